import pytest
import torch

from rlgen.generative.grids import (
    COLUMNS,
    comparison_grid,
    interleave_rows,
    interpolation_grid,
    latent_grid,
    manifold_grid,
    sample_grid,
)


def numbered(*shape):
    """Images of one pixel, each with its own value."""
    return torch.arange(float(torch.tensor(shape).prod())).view(*shape, 1, 1, 1)


def test_samples_have_a_column_per_class():
    grid = sample_grid(numbered(6), ("cat", "dog"))
    assert (grid.columns, grid.column_labels, grid.title) == (2, ("cat", "dog"), "samples")
    assert torch.equal(grid.images, numbered(6))
    assert sample_grid(numbered(16)).columns == COLUMNS


def test_rows_take_turns():
    above, below = numbered(16), 100 + numbered(16)
    rows = interleave_rows(above, below).flatten().view(4, 8)
    assert rows[:, 0].tolist() == [0, 100, 8, 108]
    grid = comparison_grid("reconstructions", image=above, reconstruction=below)
    assert grid.row_labels == ("image", "reconstruction")
    assert torch.equal(grid.images.flatten(), rows.flatten())


def test_interpolations_go_from_left_to_right():
    grid = interpolation_grid(numbered(2, 5))
    assert (grid.columns, grid.column_labels) == (5, ("start", "", "", "", "end"))
    assert grid.images.flatten().tolist() == list(range(10))


def test_a_latent_grid_holds_quantiles_from_the_lower_left():
    codes = latent_grid(4).view(4, 4, 2)
    normal = torch.distributions.Normal(0, 1)
    torch.testing.assert_close(normal.cdf(codes[0, :, 0]), torch.tensor([0.125, 0.375, 0.625, 0.875]))
    torch.testing.assert_close(codes[:, 0, 1], -codes[0, :, 0])  # the first row is the highest
    assert torch.equal(codes[0, :, 0], codes[3, :, 0])


def test_a_manifold_names_its_coordinates():
    grid = manifold_grid(numbered(16))
    assert grid.columns == 4
    assert grid.column_labels == ("-1.2", "-0.3", "0.3", "1.2")
    assert grid.row_labels == ("1.2", "0.3", "-0.3", "-1.2")
    with pytest.raises(AttributeError):
        grid.columns = 5
