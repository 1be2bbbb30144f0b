"""The networks of the image models. Radford et al. 2016, arXiv:1511.06434; Miyato et al. 2018, arXiv:1802.05957."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Generator(nn.Module):
    """Noise (B, Z), and labels (B,) where there are `classes`, to images (B, C, H, W) in [0, 1]."""

    def __init__(self, latent: int, channels: int, size: int, width: int, classes: int = 0) -> None:
        super().__init__()
        self.classes, self.side = classes, size // 4
        self.project = nn.Linear(latent + classes, 2 * width * self.side**2)
        self.grow = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),  # not in the paper: halves the distance for little time
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, Z), (B,) -> (B, C, H, W)."""
        if y is not None:
            z = torch.cat([z, F.one_hot(y, self.classes)], 1)
        h = self.project(z).unflatten(1, (self.side, self.side, -1)).permute(0, 3, 1, 2)  # channels last in memory
        image: Tensor = self.grow(h)
        return image.sigmoid()


class Discriminator(nn.Module):
    """Images (B, C, H, W) in [0, 1], and labels (B,) where there are `classes`, to logits (B,): positive is real.

    Every weight matrix has the spectral norm 1, which bounds how steep the logit can be.
    No batch norm: an image's logit depends on no other image.
    """

    def __init__(self, channels: int, size: int, width: int, classes: int = 0) -> None:
        super().__init__()
        features = 4 * width * ((size + 7) // 8) ** 2
        self.shrink = nn.Sequential(
            spectral_norm(nn.Conv2d(channels, width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.1),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.1),
            spectral_norm(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
        )
        self.judge = spectral_norm(nn.Linear(features, 1))
        self.match = spectral_norm(nn.Embedding(classes, features)) if classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B,)."""
        h = self.shrink(2 * x - 1)  # centred
        logit: Tensor = self.judge(h).squeeze(1)
        if self.match is not None:
            logit = logit + (self.match(y) * h).sum(1)  # the projection of Miyato & Koyama 2018
        return logit
