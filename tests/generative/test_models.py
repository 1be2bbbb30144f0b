"""Properties of every model: grey and colour images, small and large, and evaluations without side effects."""

import copy
import math
import shutil

import pytest
import torch
from PIL import Image

from rlgen.catalog import CATALOG, find
from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders import vae
from rlgen.kinds import MODEL

CODER = {"width": 4, "depth": 1, "latent": 2}
PIXELS = {"width": 6, "head_width": 6, "first_kernel": 3}
TINY = {
    "ae": {**CODER, "network": "convolutional"},
    "vae": CODER,
    "vqvae": {"width": 4, "codebook_size": 5, "code_dim": 3, "prior_width": 4, "prior_blocks": 1},
    "gan": {"width": 4, "discriminator_width": 4, "latent": 2},
    "pixelcnn": {**PIXELS, "levels": 2, "width_multiplier": 1, "blocks": 2},
    "gated-pixelcnn": {**PIXELS, "levels": 2, "width_multiplier": 1, "blocks": 2},
    "pixelrnn": {**PIXELS, "layers": 1},
}
EVERY = pytest.mark.parametrize("name", TINY)


def build(name, task="digits", **given):
    entry = find(name)
    if issubclass(entry.config, settings.Likely) and task != "digits":
        given = {"likelihood": "mixture", "components": 2, **given}
    config = resolve(entry.config, entry.preset, {**TINY[name], "batch": 8, **given})
    return entry.algorithm(task, config, Setup(threads=1))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes in colour, no two pictures alike."""
    folder, stream = tmp_path_factory.mktemp("photographs"), torch.Generator().manual_seed(0)
    for kind, hue in (("blue", (0, 0, 1)), ("red", (1, 0, 0))):
        (folder / kind).mkdir()
        for number in range(12):
            pixels = 255 * (0.5 * torch.rand(20, 24, 3, generator=stream) + 0.5 * torch.tensor(hue))
            Image.fromarray(pixels.byte().numpy()).save(folder / kind / f"{number}.png")
    return f"folder:{folder}"


def tensors(state, path=""):
    """The values of a state by their paths."""
    if isinstance(state, dict):
        return {k: v for key, value in state.items() for k, v in tensors(value, f"{path}.{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for i, value in enumerate(state) for k, v in tensors(value, f"{path}.{i}").items()}
    return {path: state}


def same(one, other):
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    return all(torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items())


def networks(model):
    """The trained network and its moving average."""
    return getattr(model, "generator", None) or model.network, model.ema


def test_every_model_of_the_catalog_is_tested():
    variants = {"lsgan", "hinge", "wgan-gp"}  # of gan, which has tests of them
    assert set(TINY) | variants == {name for name, entry in CATALOG.items() if entry.kind is MODEL}


@EVERY
def test_photographs_of_two_classes(name, photographs):
    model = build(name, photographs, size=8, **({} if name == "ae" else {"conditional": True}))
    for _ in range(4):  # more than an epoch, with a smaller last batch
        metrics = model.step()
    assert model.data.epoch == 1
    assert all(torch.as_tensor(value).isfinite().all() for value in metrics.values())
    reported = {**model.final(), **model.evaluate(), **model.draw()}
    for metric, value in reported.items():
        if isinstance(value, Grid):
            assert value.images.shape[1:] == (3, 8, 8)
            assert len(value.images) % value.columns == 0
            assert 0 <= value.images.min() < value.images.max() <= 1
        else:
            assert torch.as_tensor(value).isfinite().all(), metric
    expected = {"samples", "completions"} if "pixel" in name else {"samples", "interpolations"}
    expected |= {"reconstructions"} if name in ("ae", "vae", "vqvae") else set()
    expected |= {"manifold"} if "latent" in TINY[name] else set()
    assert {metric for metric, value in reported.items() if isinstance(value, Grid)} == expected
    images = model.sample(3, seed=1)
    assert images.shape == (3, 3, 8, 8)
    assert torch.equal(images, model.sample(3, seed=1))
    if model.conditional:
        assert model.label("red") == 1
        assert torch.equal(images, model.sample(3, seed=1, labels=torch.tensor([0, 1, 0])))
        with pytest.raises(UserError, match="2 samples take 2 labels from 0 to 1"):
            model.sample(2, labels=torch.tensor([0, 2]))


@EVERY
@pytest.mark.parametrize("size", [28, 32, 64])
def test_sizes(name, size, photographs):
    model = build(name, photographs, size=size, batch=2)
    assert all(torch.as_tensor(value).isfinite().all() for value in model.step().values())
    assert model.shape == (3, size, size)
    if "pixel" not in name:  # whose samples of that size take a while
        assert model.sample(1).shape == (1, 3, size, size)


@EVERY
def test_measuring_changes_nothing(name):
    model = build(name)
    model.step()
    before, stream = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    reported = {**model.evaluate(), **model.draw()}
    model.sample(2)
    assert same(before, model.state_dict())
    assert torch.equal(stream, torch.get_rng_state())
    trained, average = networks(model)
    assert trained.training
    assert not average.training
    again = {**model.evaluate(), **model.draw()}
    assert same(reported, again)


@EVERY
def test_averages(name):
    for ema, alike in ((0.0, True), (0.9, False)):
        model = build(name, ema=ema)
        for _ in range(3):
            model.step()
        trained, average = (module.state_dict() for module in networks(model))
        assert all(torch.equal(value, trained[key]) for key, value in average.items()) == alike
        assert not any(p.requires_grad for p in model.ema.parameters())


@EVERY
def test_the_average_is_what_is_measured_and_drawn(name):
    """A GAN measures its discriminator."""
    model = build(name)
    model.step()
    trained, average = networks(model)

    def reported():
        measured = {} if name == "gan" else model.measure()
        return {**measured, "sample": model.sample(3), **model.grids(0)}

    def perturb(network):
        for p in network.parameters():
            p.data += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))

    before = reported()
    perturb(trained)
    assert same(before, reported())
    perturb(average)
    after = reported()
    unmoved = {metric for metric, value in before.items() if same(value, after[metric])}
    assert unmoved <= {"eval_pca_mse", "eval_perplexity"}  # of a codebook, which is no parameter


@EVERY
def test_grids_have_the_same_noise_at_every_evaluation(name):
    model = build(name)
    before = model.draw()
    assert set(before) == set(model.grids(0))
    model.time += 1_000
    assert same(before, model.draw())


@pytest.mark.parametrize("name", ["ae", "vae", "vqvae", "pixelcnn"])
def test_chunks_make_no_difference(name, monkeypatch):
    """The last of the 299 are three: a mean of means would give them the weight of 37."""
    monkeypatch.setattr(
        vae, "reparameterize", lambda mean, log_variance, noise: mean.expand_as(noise)
    )  # as random draws depend on the chunks
    model = build(name)
    reported = {key: value for key, value in model.measure().items() if "iwae" not in key}
    module = {"pixelcnn": "autoregressive.base"}.get(name, f"autoencoders.{name}")
    monkeypatch.setattr(f"rlgen.generative.{module}.CHUNK_SIZE", 37)
    again = model.measure()
    for key, value in reported.items():
        assert float(again[key]) == pytest.approx(float(value), rel=1e-5), key


@pytest.mark.parametrize("name", ["vae", "vqvae", "pixelcnn", "pixelrnn"])
def test_bits_are_of_each_colour_of_each_pixel(name, photographs):
    model = build(name, photographs, size=8, likelihood="softmax")
    reported = model.final()
    assert reported["uniform_bits"] == pytest.approx(8)
    assert float(reported["eval_bits"]) == pytest.approx(float(reported["eval_nats"]) / (3 * 8 * 8 * math.log(2)))


def test_a_uniform_network_needs_eight_bits(photographs):
    model = build("pixelcnn", photographs, size=8, likelihood="softmax")
    for p in model.ema.head.output.parameters():
        p.data.zero_()
    assert float(model.measure()["eval_bits"]) == pytest.approx(8)


@pytest.mark.parametrize("name", ["vae", "vqvae", "pixelcnn", "gated-pixelcnn", "pixelrnn"])
def test_photographs_keep_their_levels_by_default(name, photographs):
    entry = find(name)
    model = entry.algorithm(
        photographs, resolve(entry.config, *entry.presets(photographs), {**TINY[name], "size": 8}), Setup(threads=1)
    )
    assert model.protocol == "8-bit"


@EVERY
def test_half_precision_learns_in_full(name):
    full, half = (build(name, precision=precision) for precision in ("float32", "bfloat16"))
    for model in (full, half):
        for _ in range(2):
            metrics = model.step()
        assert all(p.dtype == torch.float32 for p in networks(model)[0].parameters())
        assert all(torch.as_tensor(value).isfinite().all() for value in metrics.values())
    assert not same(networks(full)[0].state_dict(), networks(half)[0].state_dict())
    assert half.sample(2).dtype == torch.float32


@EVERY
def test_without_labels_there_is_nothing_to_condition_on(name, tmp_path):
    for number in range(3):
        Image.effect_noise((12, 12), 100).save(tmp_path / f"{number}.png")
    if name != "ae":
        with pytest.raises(UserError, match="has no labels; put the images of each class into a folder of its own"):
            build(name, f"folder:{tmp_path}", size=8, conditional=True)
    with pytest.raises(UserError, match="trained without --conditional"):
        build(name, f"folder:{tmp_path}", size=8).sample(1, labels=torch.tensor([0]))


@pytest.mark.parametrize("name", [pytest.param("vae", marks=pytest.mark.slow), "vqvae", "pixelcnn"])
def test_any_distribution_over_256_levels(name):
    model = build(name, likelihood="softmax")
    loss = model.step()["loss"]
    reported = model.final()
    assert model.protocol == "8-bit"
    assert reported["uniform_bits"] == pytest.approx(8)
    assert float(reported["eval_nats"]) == pytest.approx(float(loss), rel=0.3)  # one step further
    if name == "pixelcnn":  # the others show expected values
        x = model.sample(3)
        assert torch.equal((x * 255).round() / 255, x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, at what it uses itself
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # caused by torch itself
@pytest.mark.skipif(not shutil.which("g++"), reason="no g++ to compile with")
@pytest.mark.parametrize("name", ["vae", "pixelcnn"])
def test_compiled_code_computes_the_same(name):
    reported = []
    for model in (build(name, precision="float32"), build(name, precision="float32", compile=True)):
        loss, _ = model.loss(model.data.next()[0], None)
        loss.backward()
        reported.append({"loss": loss.detach(), **{key: p.grad for key, p in model.network.named_parameters()}})
    torch.testing.assert_close(*reported, atol=1e-4, rtol=1e-4)


def test_without_a_compiler_nothing_is_compiled(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"--compile: the C\+\+ compiler no-such-compiler is not .*leave --compile out"):
        build("gan", compile=True)
