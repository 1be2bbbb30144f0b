import math

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.seeds import torch_stream
from rlgen.data import Dataset
from rlgen.generative.likelihoods import (
    Bernoulli,
    Categorical,
    Logistic,
    LogisticMixture,
    binarise,
    binarised,
    bits_per_dim,
    check_binary,
    likelihood,
    protocol,
    uniform,
)

KINDS = [Bernoulli(), Logistic(), LogisticMixture(3), Categorical(), Logistic(levels=5), LogisticMixture(2, levels=5)]
F64 = torch.float64


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def values(kind):
    """All a number can be, (L,)."""
    return torch.linspace(0, 1, kind.levels, dtype=F64)


def table(kind, out):
    """Probability of each level: (N, K) -> (N, L)."""
    x = values(kind)
    return kind.log_prob(out.unsqueeze(1).expand(-1, len(x), -1), x.expand(len(out), -1)).exp()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [0.1, 1, 4])
def test_probabilities_sum_to_1(kind, spread):
    out = spread * torch.randn(50, kind.width, dtype=F64)
    torch.testing.assert_close(table(kind, out).sum(1), torch.ones(50, dtype=F64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [-100, -7, -3, 0, 3, 10, 100])
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.0, 0.3, 1.0, 3.0])
def test_a_logistic_of_any_width_sums_to_1_and_has_finite_gradients(mean, scale):
    x = torch.linspace(0, 1, 256)
    out = torch.tensor([mean, scale]).expand(256, 2).clone().requires_grad_()
    logs = Logistic().log_prob(out, x)
    assert logs.detach().double().exp().sum() == pytest.approx(1, abs=1e-4)
    logs.sum().backward()
    assert logs.isfinite().all()
    assert out.grad.isfinite().all()


def test_a_logistic_is_the_difference_of_two_sigmoids():
    mean, scale, level = 0.2, -1.5, 100
    edges = torch.tensor([level - 0.5, level + 0.5], dtype=F64) * 2 / 255 - 1
    lower, upper = ((edges - mean) / math.exp(scale)).sigmoid()
    log = Logistic().log_prob(torch.tensor([mean, scale], dtype=F64), torch.tensor(level / 255, dtype=F64))
    assert log.item() == pytest.approx((upper - lower).log().item(), abs=1e-9)


def test_a_mixture_of_one_is_its_component_and_of_equals_too():
    x, out = torch.rand(40).mul(255).round() / 255, torch.randn(40, 2)
    one = Logistic().log_prob(out, x)
    torch.testing.assert_close(LogisticMixture(1).log_prob(torch.cat([torch.randn(40, 1), out], 1), x), one)
    equals = torch.cat([torch.randn(40, 4), out.repeat_interleave(4, 1)], 1)
    torch.testing.assert_close(LogisticMixture(4).log_prob(equals, x), one)


def test_a_uniform_model_takes_exactly_8_bits():
    kind, dims = Categorical(), 784
    x = torch.randint(256, (dims,)) / 255
    nats = -kind.log_prob(torch.zeros(dims, 256, dtype=F64), x).sum().item()
    assert bits_per_dim(nats, dims) == pytest.approx(8, abs=1e-12)
    assert bits_per_dim(uniform(kind, dims), dims) == pytest.approx(8, abs=1e-12)
    assert uniform(Bernoulli(), 784) == pytest.approx(543.43, abs=0.01)
    assert -Bernoulli().log_prob(torch.zeros(784, 1), torch.ones(784)).sum().item() == pytest.approx(543.43, abs=0.01)
    assert bits_per_dim(uniform(Bernoulli(), 3), 3) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_as_frequent_as_they_are_probable(kind):
    out, count = torch.randn(1, kind.width, dtype=F64), 20_000
    noise = (torch.arange(count, dtype=F64) + 0.5) / count  # evenly, in place of random draws
    sampled = kind.sample(out.expand(count, -1), noise)
    found = (sampled * (kind.levels - 1)).round().long().bincount(minlength=kind.levels) / count
    torch.testing.assert_close(found, table(kind, out)[0].float(), atol=5e-4, rtol=0)
    torch.testing.assert_close(sampled * (kind.levels - 1), (sampled * (kind.levels - 1)).round())


@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_the_noise_give_valid_values(kind):
    sampled = kind.sample(torch.randn(9, kind.width), torch.tensor([0.0, 1 - 2**-24, 0.5]).repeat(3))
    assert sampled.isfinite().all()
    assert sampled.min() >= 0
    assert sampled.max() <= 1


@pytest.mark.parametrize("kind", [Bernoulli(), Categorical(), Categorical(levels=7)])
def test_the_mean_is_the_expected_value(kind):
    out = torch.randn(6, kind.width, dtype=F64)
    torch.testing.assert_close(kind.mean(out), table(kind, out) @ values(kind))


@pytest.mark.parametrize("kind", [Logistic(), LogisticMixture(3)])
def test_the_mean_of_narrow_logistics_is_nearly_the_expected_value(kind):
    out = torch.rand(6, kind.width, dtype=F64) - 0.5
    out[:, -kind.width // 3 if kind.width > 2 else -1 :] = -5
    torch.testing.assert_close(kind.mean(out), table(kind, out) @ values(kind), atol=1e-3, rtol=0)
    assert kind.mean(100 * out).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_widened(kind):
    out, x = torch.randn(8, kind.width).bfloat16(), torch.ones(8)
    assert kind.log_prob(out, x).dtype == kind.mean(out).dtype == kind.sample(out, x / 2).dtype == torch.float32


def test_names():
    assert likelihood("mixture", 5) == LogisticMixture(5)
    assert {name: likelihood(name).width for name in ("bernoulli", "logistic", "mixture", "softmax")} == {
        "bernoulli": 1,
        "logistic": 2,
        "mixture": 30,
        "softmax": 256,
    }
    assert protocol(Bernoulli(), "dynamic") == "dynamic"
    assert protocol(Logistic(), "dynamic") == "8-bit"


def grey(count=50):
    return Dataset("grey", torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(count, 1, 1, 1), None)


def test_a_pixel_is_white_with_its_brightness_as_probability():
    x = (grey().images / 255).expand(50, 20, 16, 16)
    sampled = binarise(x, torch_stream(0, "test"))
    assert set(sampled.unique().tolist()) == {0, 1}
    torch.testing.assert_close(sampled.mean((0, 1)), x[0, 0], atol=0.08, rtol=0)
    assert torch.equal(sampled[..., 0, 0], torch.zeros(50, 20))  # black stays black
    assert torch.equal(sampled[..., -1, -1], torch.ones(50, 20))


def test_static_binarisation_is_the_same_each_time():
    one, other = binarised(grey()), binarised(grey())
    assert torch.equal(one.images, other.images)
    assert set(one.images.unique().tolist()) == {0, 255}
    assert int((one.images // 255).sum()) == 6_427  # about half of 12,800; another draw would be another test set
    assert not torch.equal(one.images[0], one.images[1])
    check_binary(one)
    with pytest.raises(UserError, match="--binarise dynamic"):
        check_binary(grey())
