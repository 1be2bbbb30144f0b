"""Distances between sets of images: functions of features, and nearest neighbours among pixels."""

from typing import NamedTuple

import torch
from torch import Tensor

from rlgen.core.images import from_bytes

CHUNK_SIZE = 1_000  # rows of a matrix of distances at once, to bound the memory
NEIGHBOURS = 5  # k of k-nearest-neighbour manifolds, as in Naeem et al. 2020


class Manifolds(NamedTuple):
    """Overlap of two sets of features, by balls around each point that reach to its k-th neighbour of the same set.

    Precision and recall: Kynkäänniemi et al. 2019, arXiv:1904.06991. Density and coverage: Naeem et al. 2020,
    arXiv:2002.09797.
    """

    precision: float  # share of samples in the ball of any real image
    recall: float  # share of real images in the ball of any sample
    density: float  # mean number of real images whose ball holds a sample, divided by k; 1 for equal distributions
    coverage: float  # share of real images with a sample in their ball


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), in double precision. Heusel et al. 2017, arXiv:1706.08500.

    Σ₁^½ Σ₂ Σ₁^½ is symmetric and has the eigenvalues of Σ₁ Σ₂, so all roots are real. The result is not negative.
    """
    μ1, Σ1, μ2, Σ2 = (t.double() for t in (mean1, covariance1, mean2, covariance2))
    values, vectors = torch.linalg.eigh(Σ1)
    root = (vectors * _root(values)) @ vectors.T
    cross = _root(torch.linalg.eigvalsh(root @ Σ2 @ root)).sum()
    distance = (μ1 - μ2).square().sum() + Σ1.trace() + Σ2.trace() - 2 * cross
    return float(distance.clamp(min=0))


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Squared maximum mean discrepancy of features (N, D), (M, D), unbiased. Bińkowski et al. 2018, arXiv:1801.01401.

    E k(x, x') + E k(y, y') - 2 E k(x, y) with k(a, b) = (a·b/D + 1)³, over all pairs, without random subsets.
    """
    x, y = x.double(), y.double()

    def total(a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([(x @ b.T / a.shape[1] + 1).pow_(3).sum() for x in torch.split(a, CHUNK_SIZE)]).sum()

    def within(a: Tensor) -> Tensor:
        diagonal = (a.square().sum(1) / a.shape[1] + 1).pow(3).sum()
        return (total(a, a) - diagonal) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * total(x, y) / (len(x) * len(y)))


def manifolds(real: Tensor, fake: Tensor, k: int = NEIGHBOURS) -> Manifolds:
    """Overlap of the features (N, D) of real images and (M, D) of samples."""
    real, fake = real.double(), fake.double()
    real_radius, fake_radius = _radius(real, k), _radius(fake, k)
    hits = torch.zeros(len(fake), dtype=torch.long)  # (M,): real images whose ball holds a sample
    recalled = covered = 0
    for points, radius in zip(torch.split(real, CHUNK_SIZE), torch.split(real_radius, CHUNK_SIZE), strict=True):
        distance = torch.cdist(points, fake)  # (n, M)
        inside = distance <= radius[:, None]
        hits += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((distance <= fake_radius).any(1).sum())
    return Manifolds(
        precision=float((hits > 0).double().mean()),
        recall=recalled / len(real),
        density=float(hits.double().mean()) / k,
        coverage=covered / len(real),
    )


def nearest(images: Tensor, among: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """Distances (N, k) of each image to its k nearest of `among`, ascending, and their indices (N, k).

    Images are bytes (N, C, H, W). A distance is the root mean square over the pixels in [0, 1]. There are fewer than k
    columns where `among` holds fewer images.
    """
    x, y = from_bytes(images.flatten(1)), among.flatten(1)
    best, index = torch.empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.long)
    for start, chunk in zip(range(0, len(y), 10 * CHUNK_SIZE), torch.split(y, 10 * CHUNK_SIZE), strict=True):
        candidates = from_bytes(chunk)
        scores = candidates.square().sum(1) - 2 * x @ candidates.T  # |x - y|² - |x|²
        found = scores.topk(min(k, len(chunk)), 1, largest=False)
        best, index = torch.cat([best, found.values], 1), torch.cat([index, start + found.indices], 1)
        best, order = best.topk(min(k, best.shape[1]), 1, largest=False)
        index = index.gather(1, order)
    return torch.stack([(x - from_bytes(y[i])).square().mean(1).sqrt() for i in index.T], 1), index


def _root(eigenvalues: Tensor) -> Tensor:
    """Square roots of the eigenvalues (D,) of a positive semidefinite matrix, with rounding errors taken as 0.

    An eigenvalue 0 of a singular matrix comes out as about 1e-16 of the largest, and its root as 1e-8 of that root.
    """
    resolution = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues.abs().max()
    return torch.where(eigenvalues > resolution, eigenvalues, 0).sqrt()


def _radius(points: Tensor, k: int) -> Tensor:
    """(N,) distance of each point to its k-th neighbour, the point itself not counted."""
    return torch.cat(
        [torch.cdist(x, points).topk(k + 1, largest=False).values[:, -1] for x in torch.split(points, CHUNK_SIZE)]
    )
