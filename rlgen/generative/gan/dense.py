"""Fully connected generators and discriminators of points in two dimensions.

Three hidden layers of ReLU units, as for these distributions in Gulrajani et al. 2017, arXiv:1704.00028.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

HIDDEN = 3  # hidden layers


class DenseGenerator(nn.Module):
    """Noise and, for a conditional model, the label to a point."""

    def __init__(self, latent: int, width: int, classes: int = 0) -> None:
        """`width` features of a hidden layer."""
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(*_hidden(latent + classes, width, False), nn.Linear(width, 2))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, Z), (B,) -> (B, 2)."""
        if y is not None:
            z = torch.cat([z, F.one_hot(y, self.classes)], 1)
        point: Tensor = self.layers(z)
        return point.float()


class DenseDiscriminator(nn.Module):
    """A point to one logit, positive for real; with labels the projection of Miyato & Koyama 2018, arXiv:1802.05637."""

    def __init__(self, width: int, classes: int = 0, spectral: bool = True) -> None:
        """`width` features of a hidden layer; with `spectral` every weight matrix has the spectral norm 1."""
        super().__init__()
        self.features = nn.Sequential(*_hidden(2, width, spectral))
        output = nn.Linear(width, 1)
        embedding = nn.Embedding(classes, width) if classes else None
        self.output = spectral_norm(output) if spectral else output
        self.label_embedding = spectral_norm(embedding) if spectral and embedding is not None else embedding

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Points (B, 2), labels (B,) -> logits (B,)."""
        h = self.features(x)  # (B, F)
        logit: Tensor = self.output(h).squeeze(1)
        if self.label_embedding is not None:
            logit = logit + (self.label_embedding(y) * h).sum(1)
        return logit.float()


def _hidden(inputs: int, width: int, spectral: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *[width] * HIDDEN]):
        layer = nn.Linear(before, after)
        layers += [spectral_norm(layer) if spectral else layer, nn.ReLU()]
    return layers
