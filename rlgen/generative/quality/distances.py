"""How far one set of samples is from another: plain functions of features, checked against closed forms."""

from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 1_000  # of a matrix of distances at once, to bound the memory
NEIGHBOURS = 5  # k of the k-nearest-neighbour manifolds; the value of Naeem et al. 2020


class Manifolds(NamedTuple):
    """What two sets of features say of each other's manifold, each in [0, 1] but density."""

    precision: float  # share of samples within reach of the real images (Kynkäänniemi et al. 2019, arXiv:1904.06991)
    recall: float  # share of real images within reach of the samples
    density: float  # how many real images reach a sample, over k: 1 where the two are alike (Naeem et al. 2020)
    coverage: float  # share of real images with a sample within their reach


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), in double precision. Heusel et al. 2017, arXiv:1706.08500.

    Σ₁^½ Σ₂ Σ₁^½ is symmetric and has the eigenvalues of Σ₁ Σ₂, so nothing complex comes up. Not negative.
    """
    μ1, Σ1, μ2, Σ2 = (t.double() for t in (mean1, covariance1, mean2, covariance2))
    values, vectors = torch.linalg.eigh(Σ1)
    root = (vectors * _root(values)) @ vectors.T
    cross = _root(torch.linalg.eigvalsh(root @ Σ2 @ root)).sum()
    distance = (μ1 - μ2).square().sum() + Σ1.trace() + Σ2.trace() - 2 * cross
    return float(distance.clamp(min=0))


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Squared maximum mean discrepancy of features (N, D), (M, D), unbiased. Bińkowski et al. 2018, arXiv:1801.01401.

    E k(x, x') + E k(y, y') - 2 E k(x, y) with k(a, b) = (a·b/D + 1)³, over all pairs: no draw of subsets, no spread.
    """
    x, y = x.double(), y.double()

    def total(a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([(part @ b.T / a.shape[1] + 1).pow_(3).sum() for part in torch.split(a, ROWS)]).sum()

    def within(a: Tensor) -> Tensor:
        diagonal = (a.square().sum(1) / a.shape[1] + 1).pow(3).sum()
        return (total(a, a) - diagonal) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * total(x, y) / (len(x) * len(y)))


def manifolds(real: Tensor, fake: Tensor, k: int = NEIGHBOURS) -> Manifolds:
    """Precision, recall, density and coverage of features (N, D), (M, D): a point reaches to its k-th neighbour."""
    real, fake = real.double(), fake.double()
    real_reach, fake_reach = _reach(real, k), _reach(fake, k)
    reached = torch.zeros(len(fake), dtype=torch.long)  # by how many real points, each of the samples
    recalled = covered = 0
    for part, reach in zip(torch.split(real, ROWS), torch.split(real_reach, ROWS), strict=True):
        distance = torch.cdist(part, fake)  # (rows, M)
        inside = distance <= reach[:, None]
        reached += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((distance <= fake_reach).any(1).sum())
    return Manifolds(
        precision=float((reached > 0).double().mean()),
        recall=recalled / len(real),
        density=float(reached.double().mean()) / k,
        coverage=covered / len(real),
    )


def nearest(images: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) distance of each image to the nearest of `among`, and its index. Images are bytes (N, C, H, W).

    The distance is the root of the mean square over pixels of [0, 1].
    """
    x, y = images.flatten(1).float() / 255, among.flatten(1)
    best, index = torch.full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.long)
    for start, part in zip(range(0, len(y), 10 * ROWS), torch.split(y, 10 * ROWS), strict=True):
        part = part.float() / 255
        found = (part.square().sum(1) - 2 * x @ part.T).min(1)  # |x - y|² but for |x|², which ranks nothing
        closer = found.values < best
        best[closer], index[closer] = found.values[closer], start + found.indices[closer]
    return (x - y[index].float() / 255).square().mean(1).sqrt(), index


def _root(eigenvalues: Tensor) -> Tensor:
    """Square roots of the eigenvalues (D,) of a positive semidefinite matrix, with rounding errors taken as 0.

    An eigenvalue 0 of a singular matrix comes out as about 1e-16 of the largest, and its root as 1e-8 of that root.
    """
    resolution = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues.abs().max()
    return torch.where(eigenvalues > resolution, eigenvalues, 0).sqrt()


def _reach(points: Tensor, k: int) -> Tensor:
    """(N,) distance of each point to its k-th neighbour, itself not counted."""
    return torch.cat(
        [torch.cdist(part, points).topk(k + 1, largest=False).values[:, -1] for part in torch.split(points, ROWS)]
    )
