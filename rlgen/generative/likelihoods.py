"""How probable an image is under what a network says of each of its numbers, in nats and in bits per dimension.

The discretised logistic and its mixture: Salimans et al. 2017, arXiv:1701.05517. Over 256 levels: van den Oord et al.
2016, arXiv:1601.06759. The two ways to binarise: Burda et al. 2016, arXiv:1509.00519. They are two problems whose
numbers do not compare, so a likelihood is always named with its protocol: `static`, `dynamic` or `8-bit`.

Images x (...) are in [0, 1]; a network says K numbers of each of theirs, (..., K). Each likelihood is a value.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.seeds import torch_stream
from rlgen.data import Dataset, Split

NARROWEST = -7.0  # log-scale of a logistic: at -7 one of 256 levels takes 97 % of the probability
WIDEST = 20.0  # float32 has no numbers for what one level takes of much wider ones
CHUNK_SIZE = 1_000  # images binarised at once, to bound the memory


class Likelihood(Protocol):
    """What one number of an image can be, given the K numbers a network says of it."""

    @property
    def width(self) -> int:
        """K."""
        ...

    @property
    def levels(self) -> int:
        """How many values x can take: k / (levels - 1)."""
        ...

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """log p(x), nats: (..., K), (...) -> (...)."""
        ...

    def mean(self, out: Tensor) -> Tensor:
        """The picture a reconstruction shows: (..., K) -> (...) in [0, 1]."""
        ...

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The value whose cumulated probability first exceeds `noise`, uniform in [0, 1): (..., K), (...) -> (...)."""
        ...


@dataclass(frozen=True)
class Bernoulli:
    """x is 0 or 1; the network says the logit of 1."""

    levels: int = 2
    width: int = 1

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """x log p + (1 - x) log(1 - p)."""
        return -F.binary_cross_entropy_with_logits(_full(out).squeeze(-1), x, reduction="none")

    def mean(self, out: Tensor) -> Tensor:
        """P(x = 1)."""
        return _full(out).squeeze(-1).sigmoid()

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """1 in the upper P(x = 1) of the noise."""
        probability = self.mean(out)
        return (noise >= 1 - probability).to(probability)


@dataclass(frozen=True)
class Logistic:
    """A logistic distribution cut into levels, the outermost taking its tails; the network says mean and log-scale.

    Both are on a scale where black is -1 and white is 1.
    """

    levels: int = 256
    width: int = 2

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log of the logistic's mass between the two edges of x's level."""
        mean, scale = _full(out).unbind(-1)
        return _level(x, mean, scale, self.levels)

    def mean(self, out: Tensor) -> Tensor:
        """The location, cut to what can be seen."""
        return _seen(_full(out)[..., 0])

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the cumulated probability."""
        mean, scale = _full(out).unbind(-1)
        return _inverse(noise, mean, scale, self.levels)


@dataclass(frozen=True)
class LogisticMixture:
    """A mixture of cut logistics; the network says the logits of its components, their means and their log-scales."""

    components: int = 10
    levels: int = 256

    @property
    def width(self) -> int:
        """Three numbers a component."""
        return 3 * self.components

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """log Σ wᵢ pᵢ(x)."""
        logit, mean, scale = self._parts(out)
        return torch.logsumexp(logit.log_softmax(-1) + _level(x.unsqueeze(-1), mean, scale, self.levels), -1)

    def mean(self, out: Tensor) -> Tensor:
        """Σ wᵢ μᵢ, each cut to what can be seen."""
        logit, mean, _ = self._parts(out)
        return (logit.softmax(-1) * _seen(mean)).sum(-1)

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """The noise chooses a component; where it fell within that one's share is the noise for its logistic."""
        logit, mean, scale = self._parts(out)
        weight = logit.softmax(-1)
        upper = weight.cumsum(-1)
        chosen = (upper <= noise.unsqueeze(-1)).sum(-1, keepdim=True).clamp(max=self.components - 1)
        weight, upper, mean, scale = (part.gather(-1, chosen).squeeze(-1) for part in (weight, upper, mean, scale))
        return _inverse(((noise - upper) / weight + 1).clamp(0, 1), mean, scale, self.levels)

    def _parts(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., 3K) -> three times (..., K)."""
        logit, mean, scale = _full(out).chunk(3, -1)
        return logit, mean, scale


@dataclass(frozen=True)
class Categorical:
    """Any distribution over the levels; the network says a logit for each."""

    levels: int = 256

    @property
    def width(self) -> int:
        """A logit for each level."""
        return self.levels

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """Log of the softmax at x's level."""
        level = (x * (self.levels - 1)).round().long().unsqueeze(-1)
        return _full(out).log_softmax(-1).gather(-1, level).squeeze(-1)

    def mean(self, out: Tensor) -> Tensor:
        """The expected value."""
        out = _full(out)
        return out.softmax(-1) @ torch.linspace(0, 1, self.levels, device=out.device, dtype=out.dtype)

    def sample(self, out: Tensor, noise: Tensor) -> Tensor:
        """By the inverse of the cumulated probability."""
        upper = _full(out).softmax(-1).cumsum(-1)
        level = (upper <= noise.unsqueeze(-1)).sum(-1).clamp(max=self.levels - 1)
        return level.to(upper.dtype) / (self.levels - 1)


def likelihood(name: str, components: int = 10) -> Likelihood:
    """The one called `bernoulli`, `logistic`, `mixture` (of `components` logistics) or `softmax` (over 256 levels)."""
    known: dict[str, Likelihood] = {
        "bernoulli": Bernoulli(),
        "logistic": Logistic(),
        "mixture": LogisticMixture(components),
        "softmax": Categorical(),
    }
    return known[name]


def bits_per_dim(nats: float, dims: int) -> float:
    """-log₂ p(x) per number of the image, from -log p(x) in nats of an image of `dims` numbers."""
    return nats / (dims * math.log(2))


def uniform(likelihood: Likelihood, dims: int) -> float:
    """What is had for nothing: nats of an image of `dims` numbers whose levels are all taken for equally probable."""
    return dims * math.log(likelihood.levels)


def protocol(likelihood: Likelihood, binarise: str) -> str:
    """What belongs beside a number: `static` or `dynamic`, `binary` for images that are so, or `8-bit`."""
    return "8-bit" if likelihood.levels > 2 else "binary" if binarise == "none" else binarise


def seen(dataset: Dataset, protocol: str, split: Split) -> Dataset:
    """The images whose likelihood a protocol measures. Raises UserError where they should be binary and are not."""
    if protocol == "binary":
        check_binary(dataset)
    return binarised(dataset, split) if protocol in ("static", "dynamic") else dataset


def binarise(x: Tensor, stream: torch.Generator) -> Tensor:
    """Each number of x in [0, 1] becomes 1 with just that probability, else 0. `stream` is on the CPU."""
    return (torch.rand(x.shape, generator=stream).to(x.device) < x).to(x.dtype)


def binarised(dataset: Dataset, split: Split = "test") -> Dataset:
    """All images binarised once, in bytes of 0 or 255, the same for ever: the static protocol, and every test set."""
    stream = torch_stream(0, "binarised images" if split == "test" else "binarised training images")
    parts = torch.split(dataset.images, CHUNK_SIZE)
    return replace(dataset, images=torch.cat([binarise(part / 255, stream).mul(255).byte() for part in parts]))


def check_binary(dataset: Dataset) -> None:
    """Raises UserError for grey levels, whose cross-entropy is no likelihood."""
    if any(((part > 0) & (part < 255)).any() for part in torch.split(dataset.images, CHUNK_SIZE)):
        raise UserError(
            f"--likelihood bernoulli: {dataset.name} has grey levels, of which it is no likelihood;"
            " --binarise dynamic makes them black and white, --likelihood logistic takes them as they are"
        )


def _full(out: Tensor) -> Tensor:
    """Half precision is for networks: sums of thousands of logarithms need more."""
    return out.float() if out.dtype in (torch.bfloat16, torch.float16) else out


def _level(x: Tensor, mean: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Log of a logistic's mass in the level of x, of width δ on a scale from -1 to 1.

    log(σ(b) - σ(a)) = log σ(b) + log σ(-a) + log(1 - exp(a - b)), with a and b the edges in units of the scale s and
    b - a = δ / s: exact for the narrowest and the widest, and no branch whose gradient could be nan.
    """
    scale = scale.clamp(NARROWEST, WIDEST)
    δ = 2 / (levels - 1)
    centre, half = (2 * x - 1 - mean) * (-scale).exp(), δ / 2 * (-scale).exp()
    below = F.logsigmoid(centre + half)  # of the upper edge: 1 for white
    above = F.logsigmoid(half - centre)  # of the lower edge: 1 for black
    black, white = x < δ / 4, x > 1 - δ / 4
    within = (-torch.expm1(-2 * half)).log().masked_fill(black | white, 0)
    return below.masked_fill(white, 0) + above.masked_fill(black, 0) + within


def _inverse(noise: Tensor, mean: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Where a logistic's cumulated probability is `noise`, rounded to a level and back in [0, 1]."""
    value = _seen(mean + scale.clamp(NARROWEST, WIDEST).exp() * noise.logit())
    return (value * (levels - 1)).round() / (levels - 1)


def _seen(mean: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return ((mean + 1) / 2).clamp(0, 1)
