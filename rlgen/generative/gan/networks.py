"""Generators and discriminators. DCGAN: Radford et al. 2016, arXiv:1511.06434; residual: Miyato et al. 2018,
arXiv:1802.05957.

Images are (B, C, H, W) in [0, 1], noise z is (B, Z), labels y are (B,) where there are `classes`.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rlgen.core.layers import BatchNorm2d
from rlgen.networks import encoder

Normalise = Callable[[nn.Module], nn.Module]  # a layer to the same layer with normalised weights


def doublings(size: int) -> int:
    """How often a generator doubles its resolution: twice, or three times for images of 40, 48, 56 and 64 pixels."""
    return 3 if size > 32 and size % 8 == 0 else 2


class Generator(nn.Module):
    """DCGAN: a linear layer to the lowest resolution, then a transposed convolution for each doubling."""

    def __init__(self, latent: int, channels: int, size: int, width: int, classes: int = 0) -> None:
        """`width` channels at half of the image's size, twice as many at each lower resolution."""
        super().__init__()
        self.classes, self.side = classes, size >> doublings(size)
        widest = width << (doublings(size) - 1)
        self.project = nn.Linear(latent + classes, widest * self.side**2)
        self.upsample = self._upsampling(widest, width, channels, doublings(size))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, Z), (B,) -> (B, C, H, W) in [0, 1]."""
        if y is not None:
            z = torch.cat([z, F.one_hot(y, self.classes)], 1)
        h = self.project(z).unflatten(1, (self.side, self.side, -1)).permute(0, 3, 1, 2)  # channels last in memory
        image: Tensor = self.upsample(h)
        return image.float().sigmoid()  # the layers before may have computed in bfloat16

    def _upsampling(self, widest: int, width: int, channels: int, doublings: int) -> nn.Sequential:
        """(B, widest, side, side) -> (B, C, H, W) before the sigmoid."""
        layers: list[nn.Module] = [
            BatchNorm2d(widest), nn.ReLU(),
            nn.Conv2d(widest, widest, 3, padding=1),  # not in the paper: halves the distance to real images at low cost
        ]  # fmt: skip
        for before, after in pairwise(widest >> i for i in range(doublings)):
            layers += [BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        layers += [BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1)]
        return nn.Sequential(*layers)


class ResidualGenerator(Generator):
    """A linear layer to the lowest resolution, then a residual block for each doubling."""

    def _upsampling(self, widest: int, width: int, channels: int, doublings: int) -> nn.Sequential:
        widths = [max(width, widest >> i) for i in range(doublings + 1)]
        return nn.Sequential(
            *(UpBlock(before, after) for before, after in pairwise(widths)),
            BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip


class Discriminator(nn.Module):
    """DCGAN: strided convolutions, then a linear layer to one logit, positive for real; no batch norm.

    Without batch norm the logit of an image depends on no other image. By default every weight matrix has the spectral
    norm 1, which bounds the Lipschitz constant. A conditional one adds the inner product of its features with an
    embedding of the label: D(x, y) = wᵀφ(x) + e(y)ᵀφ(x), the projection of Miyato & Koyama 2018, arXiv:1802.05637.
    """

    def __init__(self, channels: int, size: int, width: int, classes: int = 0, spectral: bool = True) -> None:
        """`width` channels at half of the image's size, twice as many at each lower resolution."""
        super().__init__()
        normalise = _spectral_norm if spectral else _unchanged
        self.features, count = self._feature_layers(normalise, channels, size, width)
        self.output = normalise(nn.Linear(count, 1))
        self.label_embedding = normalise(nn.Embedding(classes, count)) if classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1], labels (B,) -> logits (B,)."""
        h = self.features(2 * x - 1)  # (B, F)
        logit: Tensor = self.output(h).squeeze(1)
        if self.label_embedding is not None:
            logit = logit + (self.label_embedding(y) * h).sum(1)
        return logit.float()

    def _feature_layers(self, normalise: Normalise, channels: int, size: int, width: int) -> tuple[nn.Sequential, int]:
        """Layers (B, C, H, W) -> (B, F), and F."""
        halvings = doublings(size) + 1
        widths = [channels, *(width << i for i in range(halvings))]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            kernel = 3 if i + 1 == halvings else 4  # the last side may be odd, such as 7 to 4
            layers += [normalise(nn.Conv2d(before, after, kernel, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        side = -(-size // 2**halvings)
        return nn.Sequential(*layers, nn.Flatten()), widths[-1] * side**2


class ResidualDiscriminator(Discriminator):
    """Residual blocks, the features summed over all positions, then a linear layer to one logit."""

    def _feature_layers(self, normalise: Normalise, channels: int, size: int, width: int) -> tuple[nn.Sequential, int]:
        widths = [width << i for i in range(doublings(size))]
        layers = nn.Sequential(
            DownBlock(channels, width, normalise, first=True),
            *(DownBlock(before, after, normalise) for before, after in pairwise(widths)),
            DownBlock(widths[-1], widths[-1], normalise, halve=False), nn.ReLU(), _SumOverPositions(),
        )  # fmt: skip
        return layers, widths[-1]


class NetworkDiscriminator(Discriminator):
    """The blocks of one of the networks of `rlgen.networks`, then a linear layer to one logit.

    Without batch norm: with spectral norm none, otherwise layer norm. Leaky ReLU, as in DCGAN.
    """

    def __init__(
        self, network: str, channels: int, size: int, width: int, classes: int = 0, spectral: bool = True
    ) -> None:
        """The network of this name; `width` has no effect."""
        self.network, self.norm = network, "none" if spectral else "layer"
        super().__init__(channels, size, width, classes, spectral)

    def _feature_layers(self, normalise: Normalise, channels: int, size: int, width: int) -> tuple[nn.Sequential, int]:
        shape = (channels, size, size)
        blocks, count = encoder(self.network, shape, "--discriminator", norm=self.norm, activation="leaky")
        for layer in list(blocks.modules()):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                normalise(layer)
        return blocks, count


class UpBlock(nn.Module):
    """A residual block that doubles the resolution: (B, C, H, W) -> (B, C', 2H, 2W)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            BatchNorm2d(before), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1),
            BatchNorm2d(after), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """residual(x) + enlarge(conv₁ₓ₁(x)), which equals conv₁ₓ₁(enlarge(x)) at a quarter of the cost."""
        residual: Tensor = self.residual(x)
        return residual + F.interpolate(self.shortcut(x), scale_factor=2)


class DownBlock(nn.Module):
    """A residual block: (B, C, H, W) -> (B, C', H / 2, W / 2), or (B, C', H, W) without `halve`.

    The `first` block of a network has no ReLU before its first convolution, as its inputs are pixels.
    """

    def __init__(self, before: int, after: int, normalise: Normalise, first: bool = False, halve: bool = True) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Identity() if first else nn.ReLU(), normalise(nn.Conv2d(before, after, 3, padding=1)),
            nn.ReLU(), normalise(nn.Conv2d(after, after, 3, padding=1)),
            nn.AvgPool2d(2) if halve else nn.Identity(),
        )  # fmt: skip
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2) if halve else nn.Identity(),
            normalise(nn.Conv2d(before, after, 1)) if before != after else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """residual(x) + shortcut(x)."""
        residual: Tensor = self.residual(x)
        shortcut: Tensor = self.shortcut(x)
        return residual + shortcut


class _SumOverPositions(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C)."""
        return x.sum((2, 3))


def _spectral_norm(layer: nn.Module) -> nn.Module:
    return spectral_norm(layer)


def _unchanged(layer: nn.Module) -> nn.Module:
    return layer


ARCHITECTURES: dict[str, tuple[type[Generator], type[Discriminator]]] = {
    "dcgan": (Generator, Discriminator),
    "residual": (ResidualGenerator, ResidualDiscriminator),
}
