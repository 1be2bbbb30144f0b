"""The networks of a GAN. Radford et al. 2016, arXiv:1511.06434; residual: Miyato et al. 2018, arXiv:1802.05957.

All of them take what they make or see as images (B, C, H, W) in [0, 1], and labels (B,) where there are `classes`.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Callable[[nn.Module], nn.Module]  # of the weights of a layer


def doublings(size: int) -> int:
    """How often a generator doubles the side of its image: twice, or three times for 40, 48, 56 and 64 pixels."""
    return 3 if size > 32 and size % 8 == 0 else 2


class Generator(nn.Module):
    """Noise (B, Z), and labels (B,) where there are `classes`, to images (B, C, H, W) in [0, 1]."""

    def __init__(self, latent: int, channels: int, size: int, width: int, classes: int = 0) -> None:
        super().__init__()
        self.classes, self.side = classes, size >> doublings(size)
        wide = width << (doublings(size) - 1)  # channels at the smallest side; half as many at each larger one
        self.project = nn.Linear(latent + classes, wide * self.side**2)
        layers: list[nn.Module] = [
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1),  # not in the paper: halves the distance for little time
        ]
        while wide > width:
            layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, wide // 2, 4, stride=2, padding=1)]
            wide //= 2
        layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, channels, 4, stride=2, padding=1)]
        self.grow = nn.Sequential(*layers)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, Z), (B,) -> (B, C, H, W)."""
        if y is not None:
            z = torch.cat([z, F.one_hot(y, self.classes)], 1)
        h = self.project(z).unflatten(1, (self.side, self.side, -1)).permute(0, 3, 1, 2)  # channels last in memory
        image: Tensor = self.grow(h)
        return image.float().sigmoid()  # also where the layers before compute in half precision


class ResidualGenerator(Generator):
    """The same of residual blocks, each of which doubles the side."""

    def __init__(self, latent: int, channels: int, size: int, width: int, classes: int = 0) -> None:
        nn.Module.__init__(self)
        self.classes, self.side = classes, size >> doublings(size)
        wide = width << (doublings(size) - 1)
        self.project = nn.Linear(latent + classes, wide * self.side**2)
        widths = [max(width, wide >> i) for i in range(doublings(size) + 1)]
        self.grow = nn.Sequential(
            *(Up(before, after) for before, after in pairwise(widths)),
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip


class Discriminator(nn.Module):
    """Images (B, C, H, W) in [0, 1], and labels (B,) where there are `classes`, to logits (B,): positive is real.

    Every weight matrix has the spectral norm 1, unless told otherwise, which bounds how steep the logit can be.
    No batch norm: an image's logit depends on no other image.
    """

    def __init__(self, channels: int, size: int, width: int, classes: int = 0, spectral: bool = True) -> None:
        super().__init__()
        norm = _norm(spectral)
        halvings = doublings(size) + 1
        wide = width << (halvings - 1)
        side = -(-size // 2**halvings)
        layers: list[nn.Module] = [norm(nn.Conv2d(channels, width, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        while 2 * width < wide:
            layers += [norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
            width *= 2
        layers += [norm(nn.Conv2d(width, wide, 3, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        self.shrink = nn.Sequential(*layers, nn.Flatten())
        self._judging(norm, wide * side**2, classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B,)."""
        h = self.shrink(2 * x - 1)  # centred
        logit: Tensor = self.judge(h).squeeze(1)
        if self.match is not None:
            logit = logit + (self.match(y) * h).sum(1)  # the projection of Miyato & Koyama 2018
        return logit.float()

    def _judging(self, norm: Norm, features: int, classes: int) -> None:
        self.judge = norm(nn.Linear(features, 1))
        self.match = norm(nn.Embedding(classes, features)) if classes else None


class ResidualDiscriminator(Discriminator):
    """The same of residual blocks, its features summed over places."""

    def __init__(self, channels: int, size: int, width: int, classes: int = 0, spectral: bool = True) -> None:
        nn.Module.__init__(self)
        norm = _norm(spectral)
        widths = [width << i for i in range(doublings(size))]
        self.shrink = nn.Sequential(
            Down(channels, width, norm, first=True),
            *(Down(before, after, norm) for before, after in pairwise(widths)),
            Down(widths[-1], widths[-1], norm, halve=False), nn.ReLU(), _Sum(),
        )  # fmt: skip
        self._judging(norm, widths[-1], classes)


class Up(nn.Module):
    """(B, C, H, W) -> (B, C', 2H, 2W): batch norm before each convolution, and the enlarged input added."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.BatchNorm2d(before), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1),
        )  # fmt: skip
        self.keep = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Residual and shortcut; a 1x1 convolution costs a quarter before enlarging, and is the same."""
        changed: Tensor = self.change(x)
        return changed + F.interpolate(self.keep(x), scale_factor=2)


class Down(nn.Module):
    """(B, C, H, W) -> (B, C', H/2, W/2), or of the same side; the `first` block of a network starts from pixels."""

    def __init__(self, before: int, after: int, norm: Norm, first: bool = False, halve: bool = True) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Identity() if first else nn.ReLU(), norm(nn.Conv2d(before, after, 3, padding=1)),
            nn.ReLU(), norm(nn.Conv2d(after, after, 3, padding=1)),
            nn.AvgPool2d(2) if halve else nn.Identity(),
        )  # fmt: skip
        self.keep = nn.Sequential(
            nn.AvgPool2d(2) if halve else nn.Identity(),
            norm(nn.Conv2d(before, after, 1)) if before != after else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Residual and shortcut."""
        changed: Tensor = self.change(x)
        kept: Tensor = self.keep(x)
        return changed + kept


class _Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


def _norm(spectral: bool) -> Norm:
    return (lambda layer: spectral_norm(layer)) if spectral else (lambda layer: layer)


ARCHITECTURES: dict[str, tuple[type[Generator], type[Discriminator]]] = {
    "dcgan": (Generator, Discriminator),
    "residual": (ResidualGenerator, ResidualDiscriminator),
}
