"""The 8x8 digits bundled with scikit-learn. Alpaydin & Kaynak 1998, doi:10.24432/C50P49."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

CLASSES = tuple("0123456789")


def read(split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) uint8 and labels (N,) of a split: 299 of the 1,797 for the test, always the same ones."""
    import torch

    images, labels = _bundled()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    test = len(order) // 6
    keep = order[:test] if split == "test" else order[test:]
    pixels = torch.from_numpy(images)[keep].mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    return pixels, torch.from_numpy(labels)[keep].long()


@cache
def _bundled() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images (N, 8, 8) of integers from 0 to 16, and labels (N,); read without scikit-learn's import of a second."""
    import numpy as np

    package = find_spec("sklearn")
    path = Path((package and package.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        table = np.loadtxt(path, delimiter=",")
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return bundle.images, bundle.target
