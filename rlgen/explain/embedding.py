"""The features of a network in two dimensions, by principal components and by t-SNE.

Pearson 1901, doi:10.1080/14786440109462720. van der Maaten & Hinton 2008, JMLR 9. Both as scikit-learn computes them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CHUNK_SIZE = 256  # images at once, to bound the memory
PERPLEXITY = 30.0  # effective number of neighbours of t-SNE
Floats = NDArray[np.float64]


@torch.no_grad()
def features(network: nn.Module, x: Tensor) -> Floats:
    """The features before the head (N, F) of normalised images (N, C, H, W)."""
    found = [network.features(chunk).flatten(1) for chunk in torch.split(x, CHUNK_SIZE)]  # type: ignore[operator]
    return np.asarray(torch.cat(found).cpu().double().numpy())


def principal_components(rows: Floats) -> tuple[Floats, Floats]:
    """The first two principal components (N, 2) of features (N, F), and their shares of the variance (2,)."""
    from sklearn.decomposition import PCA

    model = PCA(min(2, *rows.shape), svd_solver="full")
    points = model.fit_transform(rows)
    missing = 2 - points.shape[1]
    return np.pad(points, ((0, 0), (0, missing))), np.pad(model.explained_variance_ratio_, (0, missing))


def tsne(rows: Floats, seed: int) -> Floats:
    """t-SNE (N, 2) of features (N, F), after 50 principal components; the same for the same `seed`."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if min(rows.shape) > 50:
        rows = PCA(50, random_state=seed).fit_transform(rows)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    init = "pca" if min(rows.shape) >= 2 else "random"
    return np.asarray(TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(rows), np.float64)


def neighbour_accuracy(rows: Floats, labels: NDArray[np.int64]) -> float:
    """The share of images whose nearest other image in the features has the same class."""
    from sklearn.neighbors import NearestNeighbors

    _, nearest = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows)
    itself = nearest[:, 0] == np.arange(len(rows))
    other = np.where(itself, nearest[:, 1], nearest[:, 0])
    return float((labels[other] == labels).mean())
