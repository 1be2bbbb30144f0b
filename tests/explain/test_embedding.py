import numpy as np
import torch

from rlgen.explain.embedding import features, neighbour_accuracy, principal_components, tsne
from tests.explain.by_hand import convolutional


def blobs(n=60, width=64):
    generator = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return generator.normal(size=(n, width)) + 20 * np.eye(3, width)[labels], labels


def test_features_are_those_before_the_head():
    network, x = convolutional(), torch.randn(300, 1, 8, 8)
    found = features(network, x)
    assert np.allclose(found, network.body(x).detach().numpy())
    assert found.dtype == np.float64


def test_principal_components_are_the_eigenvectors_of_the_covariance():
    rows, _ = blobs()
    points, shares = principal_components(rows)
    values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    assert np.allclose(points.var(0, ddof=1), values[:2])
    assert np.allclose(shares, values[:2] / values.sum())


def test_principal_components_of_a_single_feature():
    points, shares = principal_components(np.arange(5.0)[:, None])
    assert points.shape == (5, 2)
    assert shares.tolist() == [1, 0]


def test_tsne_separates_clusters_and_repeats():
    rows, labels = blobs()
    points = tsne(rows, 0)
    assert points.shape == (60, 2)
    assert neighbour_accuracy(points, labels) == 1.0
    assert np.array_equal(points, tsne(rows, 0))


def test_neighbours_of_the_same_class():
    rows, labels = blobs()
    assert neighbour_accuracy(rows, labels) == 1.0
    assert neighbour_accuracy(np.array([[0.0], [0.1], [5.0], [5.0]]), np.array([0, 0, 1, 2])) == 0.5
