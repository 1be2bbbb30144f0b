"""Likelihoods of pixels given the outputs of a network, in nats and in bits per dimension.

Discretised logistic and mixture of them: Salimans et al. 2017, arXiv:1701.05517. Softmax over 256 levels: van den Oord
et al. 2016, arXiv:1601.06759. Static and dynamic binarisation: Burda et al. 2016, arXiv:1509.00519. Likelihoods of
differently binarised images do not compare, so each is reported with its protocol: `static`, `dynamic`, `binary` or
`8-bit`.

Images x (...) are in [0, 1]; the outputs of a network for them are (..., K).
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from rlgen.core import processes
from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes, to_bytes
from rlgen.core.seeds import torch_stream
from rlgen.data import Dataset, Split

MIN_LOG_SCALE = -7.0  # of a logistic: at -7 one of 256 levels has 97 % of the probability
MAX_LOG_SCALE = 20.0  # the probability of one level of a much wider logistic underflows in float32
CHUNK_SIZE = 1_000  # images binarised at once, to bound the memory


class Likelihood(Protocol):
    """The distribution of one channel of a pixel given K outputs of a network."""

    @property
    def width(self) -> int:
        """Number of outputs K."""
        ...

    @property
    def levels(self) -> int:
        """Number of values of x, which are k / (levels - 1)."""
        ...

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """log p(x) in nats: (..., K), (...) -> (...)."""
        ...

    def mean(self, out: Tensor) -> Tensor:
        """The mean, as reconstructions show it: (..., K) -> (...) in [0, 1]."""
        ...

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The smallest value whose cumulative probability exceeds `noise` from [0, 1): (..., K), (...) -> (...)."""
        ...


@dataclass(frozen=True)
class Bernoulli:
    """x is 0 or 1; the output is the logit of 1."""

    levels: int = 2
    width: int = 1

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """x log p + (1 - x) log(1 - p)."""
        return -F.binary_cross_entropy_with_logits(_float32(out).squeeze(-1), x, reduction="none")

    def mean(self, out: Tensor) -> Tensor:
        """P(x = 1)."""
        return _float32(out).squeeze(-1).sigmoid()

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """1 for noise of at least 1 - P(x = 1)."""
        probability = self.mean(out)
        return (noise >= 1 - probability).to(probability)


@dataclass(frozen=True)
class Logistic:
    """A logistic distribution discretised to levels, the outermost with its tails; outputs: mean and log-scale.

    Both are on a scale from -1 (black) to 1 (white).
    """

    levels: int = 256
    width: int = 2

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log of the probability between the two edges of x's level."""
        mean, scale = _float32(out).unbind(-1)
        return _log_mass(x, mean, scale, self.levels)

    def mean(self, out: Tensor) -> Tensor:
        """The mean of the logistic, clipped to [0, 1]."""
        return _clipped(_float32(out)[..., 0])

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the cumulative distribution."""
        mean, scale = _float32(out).unbind(-1)
        return _inverse(noise, mean, scale, self.levels)


@dataclass(frozen=True)
class LogisticMixture:
    """A mixture of discretised logistics; outputs: logits, means and log-scales of its components."""

    components: int = 10
    levels: int = 256

    @property
    def width(self) -> int:
        """Three outputs per component."""
        return 3 * self.components

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """log Σ wᵢ pᵢ(x)."""
        logit, mean, scale = self._components(out)
        return torch.logsumexp(logit.log_softmax(-1) + _log_mass(x.unsqueeze(-1), mean, scale, self.levels), -1)

    def mean(self, out: Tensor) -> Tensor:
        """Σ wᵢ μᵢ, each μᵢ clipped to [0, 1]."""
        logit, mean, _ = self._components(out)
        return (logit.softmax(-1) * _clipped(mean)).sum(-1)

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The noise selects a component by its weight, and its position within that weight a value of the component."""
        logit, mean, scale = self._components(out)
        weight = logit.softmax(-1)
        upper = weight.cumsum(-1)
        selected = (upper <= noise.unsqueeze(-1)).sum(-1, keepdim=True).clamp(max=self.components - 1)
        weight, upper, mean, scale = (x.gather(-1, selected).squeeze(-1) for x in (weight, upper, mean, scale))
        return _inverse(((noise - upper) / weight + 1).clamp(0, 1), mean, scale, self.levels)

    def _components(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., 3K) -> three times (..., K)."""
        logit, mean, scale = _float32(out).chunk(3, -1)
        return logit, mean, scale


@dataclass(frozen=True)
class Categorical:
    """Any distribution over the levels; outputs: a logit per level."""

    levels: int = 256

    @property
    def width(self) -> int:
        """One output per level."""
        return self.levels

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log-softmax at the level of x."""
        level = (x * (self.levels - 1)).round().long().unsqueeze(-1)
        return _float32(out).log_softmax(-1).gather(-1, level).squeeze(-1)

    def mean(self, out: Tensor) -> Tensor:
        """The expected value."""
        out = _float32(out)
        return out.softmax(-1) @ torch.linspace(0, 1, self.levels, device=out.device, dtype=out.dtype)

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the cumulative distribution."""
        upper = _float32(out).softmax(-1).cumsum(-1)
        level = (upper <= noise.unsqueeze(-1)).sum(-1).clamp(max=self.levels - 1)
        return level.to(upper.dtype) / (self.levels - 1)


def likelihood(name: str, components: int = 10) -> Likelihood:
    """The likelihood `name`: bernoulli, logistic, mixture (of `components` logistics) or softmax (256 levels)."""
    known: dict[str, Likelihood] = {
        "bernoulli": Bernoulli(),
        "logistic": Logistic(),
        "mixture": LogisticMixture(components),
        "softmax": Categorical(),
    }
    return known[name]


def bits_per_dim(nats: float, dims: int) -> float:
    """-log₂ p(x) per dimension, from -log p(x) in nats of an image with `dims` = C · H · W dimensions."""
    return nats / (dims * math.log(2))


def uniform(likelihood: Likelihood, dims: int) -> float:
    """-log p(x) in nats of an image with `dims` dimensions where all levels are equally probable."""
    return dims * math.log(likelihood.levels)


def protocol(likelihood: Likelihood, binarise: str) -> str:
    """The name of the images' form: binarised `static` or `dynamic`, `binary` as they are stored, or `8-bit`."""
    return "8-bit" if likelihood.levels > 2 else "binary" if binarise == "none" else binarise


def stored_images(dataset: Dataset, protocol: str, split: Split) -> Dataset:
    """The images of a protocol, binarised once for `static` and `dynamic`.

    Dynamic binarisation has new training images in each epoch, but one set of test images, that of the static one.
    Raises UserError for `binary` images with grey levels.
    """
    if protocol == "binary":
        check_binary(dataset)
    return binarised(dataset, split) if protocol in ("static", "dynamic") else dataset


def binarise(x: Tensor, stream: torch.Generator) -> Tensor:
    """1 with probability x, else 0, for each x in [0, 1]; `stream` is on the CPU."""
    chance = processes.rows(lambda n: torch.rand(n, *x.shape[1:], generator=stream), len(x))
    return (chance.to(x.device) < x).to(x.dtype)


def binarised(dataset: Dataset, split: Split = "test") -> Dataset:
    """All images binarised to bytes 0 or 255, with the same result each time."""
    stream = torch_stream(0, "binarised images" if split == "test" else "binarised training images")
    chunks = torch.split(dataset.images, CHUNK_SIZE)
    return replace(dataset, images=torch.cat([to_bytes(binarise(from_bytes(chunk), stream)) for chunk in chunks]))


def check_binary(dataset: Dataset) -> None:
    """Raise UserError for grey levels, whose cross-entropy is not a likelihood."""
    if any(((chunk > 0) & (chunk < 255)).any() for chunk in torch.split(dataset.images, CHUNK_SIZE)):
        raise UserError(
            f"--likelihood bernoulli: {dataset.name} has grey levels, and this is a likelihood of black and white:"
            " --binarise dynamic binarises them, --likelihood logistic takes them as they are"
        )


def _float32(out: Tensor) -> Tensor:
    """Outputs in half precision as float32: sums of thousands of logarithms need it."""
    return out.float() if out.dtype in (torch.bfloat16, torch.float16) else out


def _log_mass(x: Tensor, mean: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Log of the probability of the level of x, of width δ on a scale from -1 to 1, under a logistic.

    log(σ(b) - σ(a)) = log σ(b) + log σ(-a) + log(1 - exp(a - b)), with a and b the edges in units of the scale s and
    b - a = δ / s: exact for every scale, without a branch whose gradient could be nan.
    """
    scale = scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
    δ = 2 / (levels - 1)
    centre, half = (2 * x - 1 - mean) * (-scale).exp(), δ / 2 * (-scale).exp()
    below = F.logsigmoid(centre + half)  # of the upper edge: 1 for white
    above = F.logsigmoid(half - centre)  # of the lower edge: 1 for black
    black, white = x < δ / 4, x > 1 - δ / 4
    within = (-torch.expm1(-2 * half)).log().masked_fill(black | white, 0)
    return below.masked_fill(white, 0) + above.masked_fill(black, 0) + within


def _inverse(noise: Tensor, mean: Tensor, scale: Tensor, levels: int) -> Tensor:
    """The quantile of a logistic at `noise`, rounded to a level in [0, 1]."""
    value = _clipped(mean + scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE).exp() * noise.logit())
    return (value * (levels - 1)).round() / (levels - 1)


def _clipped(mean: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1], clipped."""
    return ((mean + 1) / 2).clamp(0, 1)
