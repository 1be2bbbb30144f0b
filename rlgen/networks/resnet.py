"""Residual networks, and plain networks without their shortcuts. He et al. 2015, arXiv:1512.03385.

The form for images of 224 pixels has 18 to 152 layers with weights, the one for 32 pixels 6 n + 2: 20, 32, 44, 56, 110.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.seeds import Conv2d, Linear
from rlgen.networks.base import ConvNet, Layers, flatten
from rlgen.networks.settings import NetworkSettings

EXPANSION = 4  # of the channels of a bottleneck by its last convolution


class Residual(nn.Module):
    """y = σ(F(x) + shortcut(x)): (..., C, H, W) -> (..., C', H / stride, W / stride)."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module | None, activation: nn.Module) -> None:
        """Without a `shortcut`: y = σ(F(x)), a block of a plain network."""
        super().__init__()
        self.residual, self.shortcut, self.activation = residual, shortcut, activation

    def forward(self, x: Tensor) -> Tensor:
        """σ(F(x) + shortcut(x))"""
        y: Tensor = self.residual(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return self.activation(y)  # type: ignore[no-any-return]


class ZeroPadded(nn.Module):
    """Shortcut of option A, without weights: every `stride`-th pixel, and zeros for the new channels."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        """(..., C, H, W) -> (..., C + added, H / stride, W / stride)"""
        half = self.added // 2
        return F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))


class Blocks:
    """Builds the blocks of a network, each from the channels of the one before."""

    def __init__(self, settings: NetworkSettings, channels: int, plain: bool) -> None:
        self.make, self.settings, self.channels, self.plain = Layers(settings), settings, channels, plain

    def basic(self, channels: int, stride: int) -> Residual:
        """Two 3x3 convolutions, the first with the stride."""
        layers = [*self.make.convolution(self.channels, channels, 3, stride), *self._last(channels, channels, 3)]
        return self._block(layers, channels, stride)

    def bottleneck(self, channels: int, stride: int) -> Residual:
        """1x1, 3x3 and 1x1 convolutions, to four times the `channels`.

        The stride is in the 3x3 convolution (version 1.5, as in Torch's and NVIDIA's code), or in the first (version 1,
        the paper): the weights are the same, the multiply-adds are fewer.
        """
        first, second = (stride, 1) if self.settings.bottleneck_stride == "1x1" else (1, stride)
        layers = [
            *self.make.convolution(self.channels, channels, 1, first),
            *self.make.convolution(channels, channels, 3, second),
            *self._last(channels, EXPANSION * channels, 1),
        ]
        return self._block(layers, EXPANSION * channels, stride)

    def _last(self, before: int, after: int, kernel: int) -> list[nn.Module]:
        """Convolution and normalisation: the activation comes after the sum."""
        convolution = Conv2d(before, after, kernel, padding=kernel // 2, bias=self.make.biased)
        return [convolution, *self.make.norm(after)]

    def _block(self, layers: list[nn.Module], channels: int, stride: int) -> Residual:
        before, self.channels = self.channels, channels
        shortcut = None if self.plain else self._shortcut(before, channels, stride)
        return Residual(nn.Sequential(*layers), shortcut, self.make.activation())

    def _shortcut(self, before: int, after: int, stride: int) -> nn.Module:
        """The identity where the shape is the same; else option A or B."""
        if stride == 1 and before == after:
            return nn.Identity()
        if self.settings.shortcut == "A":
            return ZeroPadded(after - before, stride)
        return nn.Sequential(Conv2d(before, after, 1, stride, bias=self.make.biased), *self.make.norm(after))


class ResNet(ConvNet):
    """Four stages of 64, 128, 256 and 512 channels, four times as many with bottlenecks.

    Images of 224 pixels: a 7x7 convolution and pooling to a quarter of the side first. Small images: a 3x3 convolution.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        settings: NetworkSettings,
        blocks: tuple[int, ...],
        bottleneck: bool = False,
        plain: bool = False,
    ) -> None:
        make = Layers(settings)
        width = make.width(64)
        if settings.stem == "image":
            body = {"conv1": make.convolution(shape[0], width, 7, 2), "pool1": make.pool(3, 2, 1)}
        else:
            body = {"conv1": make.convolution(shape[0], width, 3)}
        chain = Blocks(settings, width, plain)
        for stage, count in enumerate(blocks):
            channels = make.width(64 << stage)
            for i in range(count):
                stride = 2 if stage and not i else 1
                block = chain.bottleneck(channels, stride) if bottleneck else chain.basic(channels, stride)
                body[f"conv{stage + 2}_{i + 1}"] = block
        body["features"] = nn.Sequential(make.global_pool(), flatten(), *make.dropout())
        super().__init__(body, Linear(chain.channels, classes))


class SmallResNet(ConvNet):
    """6 n + 2 layers for images of 32 pixels: three stages of n blocks with 16, 32 and 64 channels (section 4.2)."""

    def __init__(
        self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings, depth: int, plain: bool = False
    ) -> None:
        make = Layers(settings)
        width = make.width(16)
        body: dict[str, nn.Module] = {"conv1": make.convolution(shape[0], width, 3)}
        chain = Blocks(settings, width, plain)
        for stage in range(3):
            for i in range((depth - 2) // 6):
                body[f"stage{stage + 1}_{i + 1}"] = chain.basic(make.width(16 << stage), 2 if stage and not i else 1)
        body["features"] = nn.Sequential(make.global_pool(), flatten(), *make.dropout())
        super().__init__(body, Linear(chain.channels, classes))
