import itertools
import math

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.seeds import torch_stream
from rlgen.generative.autoregressive import base
from rlgen.generative.autoregressive.base import nll
from rlgen.generative.autoregressive.pixelrnn import PixelRNN
from rlgen.generative.autoregressive.sampler import PixelSampler, sample_pixels
from rlgen.generative.likelihoods import Bernoulli, Categorical, LogisticMixture
from tests.generative.autoregressive.cases import CASES, CNN, binary_images, build_model, build_network


@pytest.mark.parametrize("case", CASES)
def test_the_probabilities_of_all_images_of_nine_pixels_sum_to_1(case):
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=9)), dtype=torch.float64).view(512, 1, 3, 3)
    network = build_network(CASES[case], (1, 3, 3), classes=2)
    with torch.no_grad():
        out = network(x, torch.ones(512, dtype=torch.long))
    probability = (-nll(Bernoulli(), out, x)).exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-9)
    assert probability.max() < 0.9


@pytest.mark.parametrize("case", ["masked", "gated", "row", "diagonal"])
def test_the_probabilities_of_all_images_of_two_channels_sum_to_1(case):
    """The outputs of a channel are predicted from the earlier channels of its pixel."""
    x = torch.tensor(list(itertools.product([0.0, 0.5, 1.0], repeat=4)), dtype=torch.float64).view(81, 2, 1, 2)
    with torch.no_grad():
        out = build_network(CASES[case], (2, 1, 2), outputs=3)(x)
    assert (-nll(Categorical(3), out, x)).exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_the_negative_log_likelihood_is_a_sum_over_channels_and_pixels():
    """Outputs k of channel c are feature c · K + k."""
    x, out = binary_images(2, (3, 2, 4)), torch.randn(2, 3 * 4, 2, 4, dtype=torch.float64)
    expected = torch.zeros(2, dtype=torch.float64)
    for n, c, i, j in itertools.product(range(2), range(3), range(2), range(4)):
        log_p = out[n, 4 * c : 4 * c + 4, i, j].log_softmax(0)
        expected[n] -= log_p[int(x[n, c, i, j] * 3)]
    torch.testing.assert_close(nll(Categorical(4), out, x), expected)


@pytest.mark.parametrize("case", CASES)
def test_predictions_depend_on_the_class(case):
    network = build_network(CASES[case], classes=3)
    one, other = (network(binary_images(1, (1, 5, 6)), torch.tensor([label])) for label in (0, 1))
    assert (one != other).double().mean() > 0.8


def slow_sampling(network, likelihood, x, known, y, noise):
    """As `sample_pixels`, by a pass over the whole image for each value."""
    batch, channels, height, width = x.shape
    x = x.clone()
    for i, j, c in itertools.product(range(height), range(width), range(channels)):
        with torch.no_grad():
            out = network(x, y).unflatten(1, (channels, -1))[:, c, :, i, j]
        value = likelihood.sample(out, torch.rand(batch, generator=noise, dtype=x.dtype))
        x[:, c, i, j] = torch.where(known[:, i, j], x[:, c, i, j], value)
    return x


@pytest.mark.parametrize(
    ("likelihood", "shape"), [(Bernoulli(), (1, 6, 5)), (LogisticMixture(2), (3, 3, 4)), (Categorical(4), (2, 3, 3))]
)
@pytest.mark.parametrize("case", ["masked, three levels", "gated, two levels", "row", "diagonal"])
def test_cached_sampling_gives_the_images_of_full_passes(case, likelihood, shape):
    network, x = build_network(CASES[case], shape, likelihood.width, classes=2), binary_images(4, shape)
    known, y = torch.zeros(4, *shape[1:], dtype=torch.bool), torch.tensor([0, 1, 1, 0])
    known[2, 0] = known[3, :, 0] = True
    samples, expected = (
        sampling(network, likelihood, x, known, y, torch_stream(0, "noise"))
        for sampling in (sample_pixels, slow_sampling)
    )
    assert torch.equal(samples, expected)
    where = known.unsqueeze(1).expand_as(x)
    assert torch.equal(samples[where], x[where])
    assert len(samples[0].unique()) > 1


def test_samples_have_the_probability_of_the_likelihood():
    network = build_network(CNN, (1, 2, 2))
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64).view(16, 1, 2, 2)
    with torch.no_grad():
        expected = (-nll(Bernoulli(), network(x), x)).exp()
    count = 20_000
    start = torch.zeros(count, 1, 2, 2, dtype=torch.float64)
    known = torch.zeros(count, 2, 2, dtype=torch.bool)
    samples = sample_pixels(network, Bernoulli(), start, known, None, torch_stream(0, "noise")).flatten(1)
    number = (samples * torch.tensor([8.0, 4.0, 2.0, 1.0])).sum(1).long()
    found = torch.bincount(number, minlength=16)
    assert ((found - count * expected).square() / (count * expected)).sum() < 37.7  # 99.9 % of chi-squared of 15


@pytest.mark.parametrize(
    ("likelihood", "binarise", "protocol", "bits"),
    [
        ("bernoulli", "dynamic", "dynamic", 1.0),
        ("bernoulli", "static", "static", 1.0),
        ("mixture", "dynamic", "8-bit", 8.0),
    ],
)
def test_likelihoods_are_reported_with_protocol_and_uniform_baseline(likelihood, binarise, protocol, bits):
    model = build_model(likelihood, binarise=binarise)
    assert model.protocol == protocol
    metrics = model.final()
    assert metrics["uniform_bits"] == pytest.approx(bits)
    assert metrics["eval_bits"] == pytest.approx(metrics["eval_nats"].item() / 64 / math.log(2), rel=1e-5)
    assert model.final()["eval_nats"] == metrics["eval_nats"]


@pytest.mark.parametrize("conditional", [False, True])
def test_the_evaluation_is_a_mean_over_all_test_images(conditional, monkeypatch):
    """By the EMA network, with the labels of the test images, whatever the number evaluated at once."""
    model = build_model("mixture", conditional=conditional)
    for _ in range(3):
        model.step()
    x, y = model.test_batch(slice(None))
    assert (y is not None) == conditional
    with torch.no_grad():
        expected = nll(model.likelihood, model.ema(x, y), x).double().mean()
    assert model.measure()["eval_nats"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.measure()["eval_nats"].dtype == torch.float64
    monkeypatch.setattr(base, "CHUNK_SIZE", 37)  # the last chunk of 299 has three
    assert model.measure()["eval_nats"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_float64_mean_is_formed_on_the_cpu(monkeypatch):
    """Some accelerators, such as MPS, have no float64."""
    model, moved = build_model(), []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: moved.append(x.dtype) or cpu(x))
    model.measure()
    assert set(moved) == {torch.float32}


def test_samples_are_compared_with_images_of_the_same_levels():
    assert set(build_model().real("train").images.unique().tolist()) == {0, 255}
    assert torch.equal(build_model().real("test").images, build_model().test_set.images)
    assert len(build_model("mixture").real("test").images.unique()) > 10


@pytest.mark.parametrize(("binarise", "same"), [("static", True), ("dynamic", False)])
def test_images_are_binarised_once_or_at_every_step(binarise, same):
    model, inputs = build_model(binarise=binarise), []
    model.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    x, y = model.data.next()
    model.update(x, y)
    model.update(x, y)
    assert torch.equal(*inputs) == same
    assert set(inputs[0].unique().tolist()) == {0, 1}


@pytest.mark.parametrize("kind", [None, PixelRNN])
def test_completion_keeps_the_known_pixels(kind):
    model = build_model(conditional=True, **({"kind": kind} if kind else {}))
    x, known = binary_images(6, (1, 8, 8), torch.float32), torch.zeros(8, 8, dtype=torch.bool)
    known[:4] = True
    completed = model.complete(x, known, seed=3)
    assert torch.equal(completed[:, :, :4], x[:, :, :4])
    assert not torch.equal(completed[:, :, 4:], x[:, :, 4:])
    assert torch.equal(completed, model.complete(x, known, seed=3))
    assert not torch.equal(completed, model.complete(x, known, seed=4))


def test_each_image_has_its_own_known_pixels(monkeypatch):
    model = build_model()
    x = binary_images(6, (1, 8, 8), torch.float32)
    known = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    monkeypatch.setattr(base, "CHUNK_SIZE", 4)  # images of two chunks
    completed = model.complete(x, known, seed=3)
    where = known.unsqueeze(1)
    assert torch.equal(completed[where], x[where])
    assert not torch.equal(completed[~where], x[~where])


def test_the_ema_network_makes_the_samples_of_the_labels(monkeypatch):
    model, given = build_model(conditional=True), []

    def spy(network, likelihood, x, known, y, noise):
        given.append((network, y.tolist()))
        return PixelSampler(network, likelihood, x, known, y, noise)

    monkeypatch.setattr(base, "PixelSampler", spy)
    monkeypatch.setattr(base, "CHUNK_SIZE", 2)
    model.sample(3, labels=torch.tensor([4, 7, 1]))
    assert given == [(model.ema, [4, 7]), (model.ema, [1])]


def test_completions_are_shown_below_the_image_and_the_given_half():
    model = build_model(conditional=True)
    grids = model.grids(0)
    samples, completions = grids["samples"], grids["completions"]
    assert samples.column_labels == tuple("0123456789")
    assert samples.images.shape == (80, 1, 8, 8)
    assert (completions.columns, completions.row_labels) == (10, ("image", "given half", *["completion"] * 4))
    image, given, *completed = completions.images.unflatten(0, (6, 10))
    assert torch.equal(image, model.test_batch(slice(10))[0])
    assert torch.equal(given[:, :, :4], image[:, :, :4])
    assert (given[:, :, 4:] == 0.5).all()
    assert all(torch.equal(row[:, :, :4], image[:, :, :4]) for row in completed)
    assert not torch.equal(completed[0], completed[1])


def test_shapes_and_labels_that_do_not_fit_are_refused():
    model, conditional = build_model(), build_model(conditional=True)
    with pytest.raises(UserError, match=r"completes images of shape \(1, 8, 8\)"):
        model.complete(torch.zeros(1, 1, 28, 28), torch.zeros(28, 28, dtype=torch.bool))
    with pytest.raises(UserError, match=r"its shape must be \(8, 8\) or \(1, 8, 8\)"):
        model.complete(torch.zeros(1, 1, 8, 8), torch.zeros(8, dtype=torch.bool))
    with pytest.raises(UserError, match="without --conditional"):
        model.sample(1, labels=torch.tensor([0]))
    with pytest.raises(UserError, match="labels from 0 to 9"):
        conditional.sample(1, labels=torch.tensor([10]))
    with pytest.raises(UserError, match="grey levels"):
        build_model(binarise="none")
