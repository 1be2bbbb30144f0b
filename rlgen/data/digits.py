"""The 8x8 digits bundled with scikit-learn. Alpaydin & Kaynak 1998, doi:10.24432/C50P49."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = tuple("0123456789")


def read(split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) uint8 and labels (N,) of a split: 299 of the 1,797 for the test, always the same ones."""
    import torch
    from sklearn.datasets import load_digits

    bundle = load_digits()
    order = torch.randperm(len(bundle.images), generator=torch.Generator().manual_seed(0))
    test = len(order) // 6
    keep = order[:test] if split == "test" else order[test:]
    images = torch.from_numpy(bundle.images)[keep].mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    return images, torch.from_numpy(bundle.target)[keep].long()
