import numpy as np
import pytest
import torch

from rlgen.generative.quality import distances
from rlgen.generative.quality.distances import frechet, kernel_distance, manifolds, nearest


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(width, seed, samples=40):
    x = normal(samples, width, seed=seed) @ normal(width, width, seed=seed + 100)
    return x.mean(0), x.T.cov()


def test_frechet_of_independent_gaussians_in_closed_form():
    """With diagonal covariances it is |μ₁ - μ₂|² + Σ (σ₁ - σ₂)²."""
    μ1, μ2 = normal(6), normal(6, seed=1)
    σ1, σ2 = normal(6, seed=2).abs(), normal(6, seed=3).abs()
    expected = (μ1 - μ2).square().sum() + (σ1 - σ2).square().sum()
    assert frechet(μ1, σ1.square().diag(), μ2, σ2.square().diag()) == pytest.approx(expected.item())


def test_frechet_against_a_matrix_root():
    linalg = pytest.importorskip("scipy.linalg")
    (μ1, Σ1), (μ2, Σ2) = gaussian(8, 0), gaussian(8, 1)
    root = linalg.sqrtm((Σ1 @ Σ2).numpy())
    expected = (μ1 - μ2).square().sum() + (Σ1 + Σ2).trace() - 2 * np.trace(root).real
    assert frechet(μ1, Σ1, μ2, Σ2) == pytest.approx(expected.item())
    assert frechet(μ2, Σ2, μ1, Σ1) == pytest.approx(expected.item())
    rotation = torch.linalg.qr(normal(8, 8, seed=5)).Q
    turned = [part for μ, Σ in ((μ1, Σ1), (μ2, Σ2)) for part in (rotation @ μ, rotation @ Σ @ rotation.T)]
    assert frechet(*turned) == pytest.approx(expected.item())


def test_frechet_of_too_few_samples_is_real_and_not_negative():
    x, y = normal(5, 20), normal(5, 20, seed=1)
    one, other = (x.mean(0), x.T.cov()), (y.mean(0), y.T.cov())
    assert 0 <= frechet(*one, *one) < 1e-12
    assert frechet(*one, *other) > 1
    few, many = normal(5, 300, seed=2), normal(400, 300, seed=3)
    singular, full = (few.mean(0), few.T.cov()), (many.mean(0), many.T.cov())
    assert 0 <= frechet(*singular, *singular) < 1e-10
    assert frechet(*singular, *full) == pytest.approx(frechet(*full, *singular), rel=1e-6)
    mean, covariance = singular  # of (1.1)² times itself: |1.1 - 1|² tr Σ, without roots of rounding errors
    assert frechet(mean, covariance, mean, 1.21 * covariance) == pytest.approx(
        0.01 * covariance.trace().item(), rel=1e-8
    )


def test_a_stretch_is_a_difference():
    x = normal(300, 5)
    distances = [frechet(x.mean(0), x.T.cov(), (s * x).mean(0), (s * x).T.cov()) for s in (1, 1.1, 2)]
    assert distances == sorted(distances)
    assert distances[1] > 0.01


def test_frechet_survives_a_shift():
    x, y = normal(300, 5), 2 * normal(300, 5, seed=1)
    near = frechet(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    far = frechet(x.mean(0) + 1_000, (x + 1_000).T.cov(), y.mean(0) + 1_000, (y + 1_000).T.cov())
    assert far == pytest.approx(near, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception:UserWarning")
def test_against_torchmetrics():
    """Its distances with an extractor that passes features through."""
    from torchmetrics.image import fid, kid

    x, y = normal(200, 6), 1.5 * normal(200, 6, seed=1) + 0.3

    class Passing(torch.nn.Module):
        num_features = 6

        def forward(self, x):
            return x

    for metric, ours in (
        (fid.FrechetInceptionDistance(Passing()).set_dtype(torch.float64),
         frechet(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())),
        (kid.KernelInceptionDistance(Passing(), subsets=1, subset_size=200), kernel_distance(x, y)),
    ):  # fmt: skip
        metric.update(x, real=True)
        metric.update(y, real=False)
        theirs = metric.compute()
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        assert ours == pytest.approx(theirs.item(), rel=1e-4)


def test_kernel_distance_against_loops():
    x, y = normal(7, 3), normal(5, 3, seed=1) + 1

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 3 + 1) ** 3

    def mean(pairs):
        values = [kernel(a.tolist(), b.tolist()) for a, b in pairs]
        return sum(values) / len(values)

    within = [[(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j] for z in (x, y)]
    expected = mean(within[0]) + mean(within[1]) - 2 * mean([(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(expected)


def test_kernel_distance_is_unbiased():
    """Of two samples of one distribution it is 0 on average, and below 0 as often as above."""
    values = torch.tensor([kernel_distance(normal(30, 4, seed=i), normal(30, 4, seed=1_000 + i)) for i in range(200)])
    assert abs(values.mean()) < 4 * values.std() / 200**0.5
    assert 60 < (values < 0).sum() < 140


@pytest.mark.parametrize("k", [1, 5])
def test_manifolds_against_loops(k):
    real, fake = normal(30, 3), 1.3 * normal(20, 3, seed=1) + 0.4

    def reach(points):
        return [sorted((a - b).norm().item() for b in points)[k] for a in points]

    real_reach, fake_reach = reach(real), reach(fake)
    hits = [[(r - f).norm().item() <= d for f in fake] for r, d in zip(real, real_reach, strict=True)]
    found = manifolds(real, fake, k)
    assert found.precision == pytest.approx(sum(map(any, zip(*hits, strict=True))) / 20)
    assert found.coverage == pytest.approx(sum(map(any, hits)) / 30)
    assert found.density == pytest.approx(sum(map(sum, hits)) / 20 / k)
    recalled = [any((r - f).norm().item() <= d for f, d in zip(fake, fake_reach, strict=True)) for r in real]
    assert found.recall == pytest.approx(sum(recalled) / 30)


def test_manifolds_against_a_library():
    neighbours = pytest.importorskip("sklearn.neighbors")
    real, fake = normal(200, 6), normal(150, 6, seed=1)
    reach = neighbours.NearestNeighbors(n_neighbors=6).fit(real.numpy()).kneighbors(real.numpy())[0][:, -1]
    away = torch.cdist(real, fake).numpy()
    assert manifolds(real, fake).coverage == pytest.approx((away <= reach[:, None]).any(1).mean())


def test_manifolds_of_one_distribution_and_of_a_collapsed_one():
    """Coverage of the same distribution is 1 - 2⁻ᵏ in expectation, density 1 (Naeem et al. 2020)."""
    alike = manifolds(normal(1_500, 8), normal(1_500, 8, seed=1))
    assert alike.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert alike.density == pytest.approx(1, abs=0.1)
    collapsed = manifolds(normal(300, 8), 0.001 * normal(300, 8, seed=1))
    assert collapsed.precision == 1
    assert collapsed.recall < 0.05
    assert collapsed.coverage < 0.9


def test_rows_at_once_do_not_matter(monkeypatch):
    x, y = normal(50, 3), normal(40, 3, seed=1)
    whole = (*manifolds(x, y), kernel_distance(x, y))
    monkeypatch.setattr(distances, "CHUNK_SIZE", 7)
    assert (*manifolds(x, y), kernel_distance(x, y)) == pytest.approx(whole)


def test_nearest_images():
    stream = torch.Generator().manual_seed(0)
    among = torch.randint(256, (300, 2, 3, 3), generator=stream, dtype=torch.uint8)
    images = torch.randint(256, (20, 2, 3, 3), generator=stream, dtype=torch.uint8)
    images[4] = among[250]
    away, index = nearest(images, among)
    square = (images[:, None].double() / 255 - among[None].double() / 255).square().mean((2, 3, 4))
    torch.testing.assert_close(away.double(), square.min(1, keepdim=True).values.sqrt(), atol=1e-5, rtol=1e-5)
    assert torch.equal(index, square.argmin(1, keepdim=True))
    assert away[4] == 0
    assert index[4] == 250
    away, index = nearest(images, among, 3)
    expected = square.topk(3, largest=False)
    torch.testing.assert_close(away.double(), expected.values.sqrt(), atol=1e-5, rtol=1e-5)
    assert torch.equal(index, expected.indices)
    assert nearest(images, among[:2], 5)[0].shape == (20, 2)


def test_nearest_images_in_parts(monkeypatch):
    stream = torch.Generator().manual_seed(0)
    among = torch.randint(256, (300, 1, 3, 3), generator=stream, dtype=torch.uint8)
    away, index = nearest(among[:20], among.flip(0))
    assert index.flatten().tolist() == list(range(299, 279, -1))
    nearest_12 = nearest(among[:20], among.flip(0), 12)[1]
    monkeypatch.setattr(distances, "CHUNK_SIZE", 1)
    assert torch.equal(nearest(among[:20], among.flip(0))[1], index)
    assert torch.equal(nearest(among[:20], among.flip(0), 12)[1], nearest_12)
    assert away.count_nonzero() == 0
