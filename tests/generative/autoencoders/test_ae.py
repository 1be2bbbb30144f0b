import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from rlgen.core.errors import DataError, UserError
from rlgen.core.images import Grid
from rlgen.core.settings import Setup
from rlgen.generative.autoencoders import latent
from rlgen.generative.autoencoders.ae import Autoencoder, k_largest, pca_error

SMALL = {"batch": 50, "width": 16, "depth": 1, "latent": 4}


def build(seed=0, task="digits", **settings):
    return Autoencoder(task, Autoencoder.Config(**{**SMALL, **settings}), Setup(seed=seed, threads=1))


def test_a_linear_autoencoder_is_pca():
    """Its error is that of the first principal components, and not lower."""
    model = build(depth=0, latent=6, lr=3e-2, batch=100, schedule="cosine", lr_steps=120_000, ema=0.9)
    while model.time < 120_000:
        model.step()
    x = model.real("train").images / 255
    with torch.no_grad():
        again = model.decoded_mean(model.ema, model.latent_code(model.ema, x, None), None)
    flat = x.flatten(1).numpy()
    pca = PCA(6).fit(flat)
    best = ((pca.inverse_transform(pca.transform(flat)) - flat) ** 2).mean()
    assert best * 0.99999 <= (again - x).square().mean().item() <= best * 1.01


def test_the_error_of_pca_is_measured_on_test_images():
    train, test = (build().real(split) for split in ("train", "test"))
    errors = [pca_error(train, test, components) for components in (1, 10, 64, 1_000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10
    x = train.images.double().flatten(1) / 255
    _, _, directions = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    centred = test.images.double().flatten(1) / 255 - x.mean(0)
    again = (centred @ directions[:10].T @ directions[:10] + x.mean(0)).clamp(0, 1) - x.mean(0)
    assert errors[1] == pytest.approx((again - centred).square().mean().item(), rel=1e-4)


def test_errors_are_per_pixel_in_the_log_and_per_image_in_the_loss():
    model = build()
    metrics = model.step()
    assert metrics["loss"].item() == pytest.approx(64 * metrics["mse"].item())
    x = model.test_batch(torch.arange(len(model.test_set)))[0]
    evaluation = model.evaluate()
    assert evaluation["eval_mse"].item() == pytest.approx((model.reconstruct(x) - x).square().mean().item(), rel=1e-5)
    assert evaluation["eval_psnr"].item() == pytest.approx(-10 * evaluation["eval_mse"].log10().item())
    assert evaluation["eval_pca_mse"] == pytest.approx(pca_error(model.real("train"), model.test_set, 4))
    assert "manifold" not in model.draw()


def test_a_sparse_code_keeps_its_largest_dimensions():
    code = torch.tensor([[3.0, -5.0, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    assert k_largest(code, 2)[0].tolist() == [3, 0, 0, 2]
    assert k_largest(code, 2)[1].count_nonzero() == 2  # of equals too
    assert torch.equal(k_largest(code, 0), code)
    model = build(latent=20, k_sparse=3)
    model.step()
    x = model.test_batch(torch.arange(9))[0]
    assert (model.encode(x) != 0).sum(1).tolist() == [3] * 9
    z = torch.rand(2, 20)
    assert torch.equal(model.decode(z), model.decode(k_largest(z, 3)))
    with pytest.raises(UserError, match="--latent 10 has fewer: raise it"):
        Autoencoder.Config(latent=10, k_sparse=11).check({})


def test_a_masked_pixel_is_black_in_all_colours():
    model = object.__new__(Autoencoder)
    model.config = Autoencoder.Config(mask_fraction=0.5)
    black = model.corrupt(torch.ones(4, 3, 8, 8), torch.Generator().manual_seed(0)) == 0
    assert torch.equal(black.any(1), black.all(1))
    assert 0.3 < black.float().mean() < 0.7


@pytest.mark.parametrize("how", [{"noise_std": 0.5}, {"mask_fraction": 0.5}])
def test_the_input_is_corrupted_and_the_target_is_not(how, monkeypatch):
    model = build(**how)
    x = model.test_batch(torch.arange(50))[0]
    corrupted = model.corrupt(x, torch.Generator().manual_seed(0))
    assert not torch.equal(corrupted, x)
    if "mask_fraction" in how:
        kept = (corrupted == x) | (corrupted == 0)
        assert kept.all()
        assert (corrupted[x > 0] == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    monkeypatch.setattr(model, "decoded_mean", lambda network, z, y: x)  # a perfect answer
    assert model.loss(x, None)[0] == 0
    monkeypatch.undo()
    metrics = model.evaluate()
    assert metrics["eval_denoised_mse"] != metrics["eval_mse"]
    assert "eval_denoised_mse" not in build().evaluate()


def test_both_networks_learn(monkeypatch):
    for settings in ({}, {"network": "convolutional", "width": 4}):
        model = build(lr=5e-3, ema=0.9, **settings)
        first = model.step()["mse"]
        for _ in range(100):
            last = model.step()["mse"]
        assert last < first / 2
        assert model.evaluate()["eval_mse"] < first / 2


def test_grids_and_interpolations():
    model = build(latent=2)
    for _ in range(5):
        model.step()
    metrics = model.draw()
    assert {name for name, value in metrics.items() if isinstance(value, Grid)} == {
        "samples",
        "reconstructions",
        "interpolations",
        "manifold",
    }
    assert model.manifold(3).shape == (9, 1, 8, 8)
    lines = model.interpolate(3, 5, seed=2)
    assert lines.shape == (3, 5, 1, 8, 8)
    starts = torch.randint(len(model.test_set), (2, 3), generator=latent.torch_stream(2, "ends of lines"))[0]
    torch.testing.assert_close(lines[:, 0], model.reconstruct(model.test_batch(starts)[0]))
    with pytest.raises(UserError, match="--latent 2"):
        build().manifold()
    with pytest.raises(UserError, match="this model encodes images of shape"):
        model.encode(torch.zeros(1, 1, 28, 28))


def test_samples_depend_on_their_seed_not_on_how_many_are_made_at_once(monkeypatch):
    model = build()
    model.step()
    images = model.sample(10, seed=3)
    assert images.shape == (10, 1, 8, 8)
    assert torch.equal(images, model.sample(10, seed=3))
    assert not torch.equal(images, model.sample(10, seed=4))
    assert 0 <= images.min() < images.max() <= 1
    monkeypatch.setattr(latent, "CHUNK_SIZE", 3)
    torch.testing.assert_close(images, model.sample(10, seed=3))


def test_the_step_size_falls_to_a_hundredth():
    model = build(schedule="cosine", lr_steps=150, lr=1e-2)
    sizes = []
    for _ in range(4):
        model.step()
        sizes.append(model.optimizer.rule.param_groups[0]["lr"])
    assert sizes[0] > sizes[1] > sizes[2] == sizes[3] == pytest.approx(1e-4)


def test_images_that_do_not_fit_are_refused(tmp_path):
    for number in range(3):
        Image.effect_noise((30, 20), 100).save(tmp_path / f"{number}.png")
    task = f"folder:{tmp_path}"
    with pytest.raises(DataError, match="give a --size"):
        build(task=task, network="convolutional")
    model = build(task=task)
    model.step()
    assert model.evaluate()["eval_mse"] > 0


def test_parameters_are_counted():
    model = build()
    assert model.parameter_count() == 64 * 16 + 16 + 16 * 4 + 4 + 4 * 16 + 16 + 16 * 64 + 64
