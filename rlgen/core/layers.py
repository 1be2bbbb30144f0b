"""Layers of networks for images, for one network or for S of them with stacked weights (`rlgen.core.seeds.Seeds`).

Inputs are (..., C, H, W), or (S, ..., C, H, W) where weights are stacks (S, ...).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.processes import rows, splitting
from rlgen.core.synchronised import batch_norm


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of maps, Ioffe & Szegedy 2015, arXiv:1502.03167: (..., C, H, W) -> the same shape.

    Each of S networks has statistics of its own. The running variance is the unbiased one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / √(variance + ε) · gain + bias, per channel."""
        return _batch_norm(self, x, 3)


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation of features, (..., F) -> (..., F), as `BatchNorm2d` of maps."""

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / √(variance + ε) · gain + bias, per feature."""
        return _batch_norm(self, x, 1)


class GroupNorm(nn.GroupNorm):
    """Group normalisation, Wu & He 2018, arXiv:1803.08494; with one group layer norm, Ba et al. 2016, arXiv:1607.06450.

    (..., C, H, W) -> the same shape; (..., C) where `maps` is False.
    """

    def __init__(self, groups: int, channels: int, maps: bool = True) -> None:
        super().__init__(groups, channels)
        self.axes = 3 if maps else 1  # of one image

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / √(variance + ε) of each image's groups, · gain + bias per channel."""
        images = x.flatten(0, -1 - self.axes)
        if self.weight.dim() == 1:
            out = F.group_norm(images, self.num_groups, self.weight, self.bias, self.eps)
            return out.view(x.shape)
        unit = F.group_norm(images, self.num_groups, eps=self.eps).view(x.shape)
        shape = (len(self.weight), *[1] * (x.dim() - 1 - self.axes), -1, *[1] * (self.axes - 1))
        return torch.addcmul(self.bias.view(shape), unit, self.weight.view(shape))


class LocalResponseNorm(nn.Module):
    """Local response normalisation, Krizhevsky et al. 2012: (..., C, H, W) -> the same shape.

    b_i = a_i / (k + α Σ_j a_j²)^β, over the `size` channels around i. `nn.LocalResponseNorm` divides α by `size`.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """a / (k + α Σ a²)^β"""
        images = x.flatten(0, -4)
        out: Tensor = F.local_response_norm(images, self.size, self.alpha * self.size, self.beta, self.k)
        return out.view(x.shape)


class MaxPool2d(nn.MaxPool2d):
    """Maximum of each window: (..., C, H, W) -> (..., C, H', W').

    On a CPU with channels last: 128 images of 16 x 10 x 10 numbers take 0.1 ms, and with columns last 1.3 ms.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The maximum of each window."""
        images = x.flatten(0, -4)
        if x.device.type == "cpu":
            images = images.contiguous(memory_format=torch.channels_last)
        maps: Tensor = super().forward(images)
        return maps.view(*x.shape[:-2], *maps.shape[-2:])


class AvgPool2d(nn.AvgPool2d):
    """Mean of each window: (..., C, H, W) -> (..., C, H', W'). Padding is not counted."""

    def __init__(self, kernel: int, stride: int | None = None, padding: int = 0, ceil_mode: bool = False) -> None:
        super().__init__(kernel, stride, padding, ceil_mode, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """The mean of each window."""
        maps = super().forward(x.flatten(0, -4))
        return maps.view(*x.shape[:-2], *maps.shape[-2:])


class AdaptivePool2d(nn.Module):
    """Windows that divide a map into `side` x `side` parts, their mean or maximum: (..., C, H, W) -> (..., C, n, n)."""

    def __init__(self, side: int, maximum: bool = False) -> None:
        super().__init__()
        self.side, self.maximum = side, maximum

    def forward(self, x: Tensor) -> Tensor:
        """The mean or maximum of each part."""
        if self.side == 1:
            return x.amax((-2, -1), keepdim=True) if self.maximum else x.mean((-2, -1), keepdim=True)
        pool = F.adaptive_max_pool2d if self.maximum else F.adaptive_avg_pool2d
        maps: Tensor = pool(x.flatten(0, -4), self.side)
        return maps.view(*x.shape[:-2], *maps.shape[-2:])


class Dropout(nn.Module):
    """Dropout, Srivastava et al. 2014: in training each number is 0 with probability p, else divided by 1 - p.

    It draws from `stream`, a generator of the algorithm, so that a resumed run draws on (`draw_from`).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.stream: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x · m / (1 - p) with m from Bernoulli(1 - p); x in evaluation."""
        if not self.training or not self.p:
            return x
        kept = rows(lambda n: _empty(x, n).bernoulli_(1 - self.p, generator=self.stream), len(x))
        return x * kept.div_(1 - self.p)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


def draw_from(stream: torch.Generator, network: nn.Module) -> None:
    """Let every `Dropout` of `network` draw from `stream`, a generator on the network's device."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.stream = stream


def _empty(x: Tensor, count: int) -> Tensor:
    """`count` images like those of x, in the same memory layout; `count` is a multiple of len(x)."""
    return torch.empty_like(x if count == len(x) else torch.cat([x] * (count // len(x))))


def _batch_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor, axes: int) -> Tensor:
    """Batch normalisation of images of so many axes, C the first of them."""
    training = norm.training or norm.running_mean is None
    if training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)

    def normalise(x: Tensor, mean: Tensor, variance: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
        images, momentum = x.flatten(0, -1 - axes), norm.momentum or 0.0
        if norm.training and splitting():
            return batch_norm(images, mean, variance, gain, bias, momentum, norm.eps).view(x.shape)
        return F.batch_norm(images, mean, variance, gain, bias, training, momentum, norm.eps).view(x.shape)

    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    if mean.dim() == 1:
        return normalise(x, mean, variance, norm.weight, norm.bias)
    gains, biases = ([None] * len(mean) if weight is None else weight for weight in (norm.weight, norm.bias))
    return torch.stack([normalise(*each) for each in zip(x, mean, variance, gains, biases, strict=True)])
