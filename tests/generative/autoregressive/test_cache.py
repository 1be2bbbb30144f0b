import pytest
import torch
from torch import nn

from rlgen.generative.autoregressive.cache import ActivationBuffer, CausalModule, incremental_mode
from tests.generative.autoregressive.cases import CASES, binary_images, build_network


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 4, 5)])
@pytest.mark.parametrize("case", CASES)
def test_incremental_mode_predicts_the_same_as_a_full_pass(case, shape, dtype):
    network, x, y = (
        build_network(CASES[case], shape, 2, 2, dtype),
        binary_images(3, shape, dtype),
        torch.tensor([0, 1, 1]),
    )
    expected, found = network(x, y).detach(), torch.empty(3, 2 * shape[0], *shape[1:], dtype=dtype)
    for _ in range(2):  # the second pass starts from an empty cache
        with incremental_mode(network, *shape[1:]) as cache:
            for cache.row in range(shape[1]):
                cache.column = 0
                network.begin_row(x, y)
                for cache.column in range(shape[2]):
                    found[..., cache.row, cache.column] = network(x[..., cache.row, cache.column], y)
                    network.append_pixel(x[..., cache.row, cache.column])
        tolerance = 1e-5 if dtype == torch.float32 else 1e-10
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(network(x, y), expected)


def test_incremental_mode_ends_with_its_context_even_after_an_error():
    network = nn.Sequential(CausalModule(), nn.ReLU(), CausalModule())
    with pytest.raises(KeyError), incremental_mode(network, 3, 4) as cache:  # noqa: PT012
        assert network[0].cache is network[2].cache is cache
        assert network[0].active_cache is cache
        assert torch.is_inference_mode_enabled()
        assert (cache.height, cache.width, cache.row, cache.column) == (3, 4, 0, 0)
        raise KeyError
    assert network[0].cache is network[2].cache is None
    assert not torch.is_inference_mode_enabled()
    with pytest.raises(AssertionError, match="in incremental mode only"):
        network[0].active_cache  # noqa: B018


def test_a_buffer_returns_the_receptive_field_of_each_pixel():
    """Compared with slices of the whole image, padded by zeros; later pixels are zero."""
    rows, left, right, batch, features, height, width = 3, 2, 1, 2, 4, 5, 6
    x = torch.randn(batch, features, height, width)
    buffer = ActivationBuffer(torch.zeros(width, rows, features, batch), left, right)
    written = torch.zeros(batch, features, height + rows - 1, left + width + right)
    for i in range(height):
        for j in range(width):
            written[:, :, i + rows - 1, j + left] = x[:, :, i, j]
            field = buffer.write_pixel(x[:, :, i, j], i, j)
            expected = written[:, :, i : i + rows, j : j + left + 1 + right].permute(0, 3, 2, 1).flatten(1)
            assert torch.equal(field, expected)


def test_a_buffer_returns_the_receptive_fields_of_each_row():
    rows, left, right, batch, features, height, width = 2, 1, 1, 3, 2, 4, 5
    x = torch.randn(batch, features, height, width)
    buffer = ActivationBuffer(torch.zeros(width, rows, features, batch), left, right)
    padded = nn.functional.pad(x, (left, right, rows - 1, 0))
    for i in range(height):
        assert torch.equal(buffer.write_row(x[:, :, i : i + 1], i), padded[:, :, i : i + rows])
