import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.autoencoders import latent
from rlgen.generative.autoencoders.ae import Autoencoder
from rlgen.generative.autoencoders.vae import VAE

SMALL = {"batch": 50, "width": 16, "depth": 1}


def ae(**settings):
    return Autoencoder("digits", Autoencoder.Config(**{**SMALL, "latent": 3, **settings}), Setup(threads=1))


def vae(**settings):
    model = VAE("digits", VAE.Config(**{**SMALL, "latent": 2, **settings}), Setup(threads=1))
    torch.manual_seed(0)
    for p in model.ema.parameters():
        p += 0.3 * torch.randn_like(p)  # a new network ignores its label nearly
    return model


def test_codes_of_samples_have_the_covariance_of_the_prior():
    """A root that is not symmetric: its transpose would give another covariance."""
    model = ae()
    mean, root = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([[2.0, 0, 0], [-3, 0.5, 0], [1, 1, 0.25]])
    model.prior = lambda: (mean, root)
    codes = model._codes(torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(codes.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(codes.T.cov(), root @ root.T, atol=0.1, rtol=0)
    one = model._codes(torch.tensor([[1.0, 0, 0]]))
    assert one.tolist() == [[3.0, -5.0, 1.5]]


def test_the_prior_of_an_autoencoder_has_the_moments_of_its_codes():
    model = ae()
    for _ in range(20):
        model.step()
    codes = model.encode(model.load("train").images / 255).double()
    mean, root = model.prior()
    torch.testing.assert_close(mean.double(), codes.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close((root @ root.T).double(), codes.T.cov(), atol=1e-3, rtol=1e-3)
    assert torch.equal(root, root.tril())
    drawn = model._codes(torch.randn(100_000, 3, generator=torch.Generator().manual_seed(0))).double()
    torch.testing.assert_close(drawn.T.cov(), codes.T.cov(), rtol=0.05, atol=0.02 * codes.var().item())


def test_samples_are_decoded_codes_of_their_seed():
    model = vae()
    noise = torch.randn(5, 2, generator=torch_stream(3, "samples"))
    torch.testing.assert_close(model.sample(5, seed=3), model.decode(noise))


def test_the_columns_of_a_conditional_grid_are_classes_and_its_rows_share_their_noise():
    model = vae(conditional=True)
    grid = model.grids(4)["samples"]
    assert (grid.columns, grid.column_labels) == (10, model.classes)
    noise = torch.randn(80, 2, generator=torch_stream(4, "samples"))[:8]
    for row, column in ((0, 0), (2, 7), (7, 9)):
        expected = model.decode(noise[row : row + 1], torch.tensor([column]))[0]
        torch.testing.assert_close(grid.images[row * 10 + column], expected)
    assert not torch.allclose(grid.images[2], grid.images[7], atol=1e-3)


def test_interpolations_are_straight_lines_between_codes():
    model = vae(conditional=True)
    images = model.interpolate(3, 5, seed=1)
    pairs = torch.randint(len(model.test_set), (2, 3), generator=torch_stream(1, "ends of lines"))
    (first, y_first), (last, y_last) = (model.test_batch(index) for index in pairs)
    start, end = model.encode(first, y_first), model.encode(last, y_last)
    for row in range(3):
        for column in range(5):
            z = start[row] + column / 4 * (end[row] - start[row])
            expected = model.decode(z[None], y_first[row : row + 1])[0]  # of the class of the first image
            torch.testing.assert_close(images[row, column], expected, atol=1e-5, rtol=1e-4)


def test_reconstructions_stand_below_their_images():
    model = vae(conditional=True)
    grid = model.reconstructions()
    x, y = model.test_batch(torch.arange(32))
    assert grid.row_labels == ("image", "reconstruction")
    assert torch.equal(grid.images[:8], x[:8])
    torch.testing.assert_close(grid.images[8:16], model.reconstruct(x, y)[:8])
    torch.testing.assert_close(grid.images[24:32], model.reconstruct(x, y)[8:16])


def test_denoising_shows_the_corrupted_images():
    grid = ae(mask_fraction=0.5).reconstructions()
    assert grid.row_labels == ("image", "corrupted", "reconstruction")
    image, corrupted = grid.images[:8], grid.images[8:16]
    assert ((corrupted == image) | (corrupted == 0)).all()
    assert (corrupted[image > 0] == 0).float().mean() == pytest.approx(0.5, abs=0.1)


def test_a_manifold_is_the_images_of_a_grid_of_quantiles():
    model = vae()
    images = model.manifold(3)
    corner = torch.special.ndtri(torch.tensor([1 / 6]))  # of the lowest third
    torch.testing.assert_close(images[6], model.decode(torch.cat([corner, corner])[None])[0])
    torch.testing.assert_close(images[4], model.decode(torch.zeros(1, 2))[0])
    with pytest.raises(UserError, match="--latent 2"):
        ae().manifold()
    assert "manifold" in model.grids(0)
    assert "manifold" not in ae().grids(0)


def test_chunks_make_no_difference(monkeypatch):
    model = vae(conditional=True)
    x, y = model.test_batch(torch.arange(10))
    whole = model.encode(x, y), model.reconstruct(x, y)
    monkeypatch.setattr(latent, "CHUNK_SIZE", 3)
    torch.testing.assert_close((model.encode(x, y), model.reconstruct(x, y)), whole)
