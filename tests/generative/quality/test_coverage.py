import math

import pytest
import torch

from rlgen.data import points
from rlgen.generative.quality.coverage import coverage


@pytest.mark.parametrize("name", points.NAMES)
def test_coverage_is_that_of_a_count_one_by_one(name):
    distribution = points.load(name)
    stream = torch.Generator().manual_seed(1)
    near = distribution.line[torch.randint(len(distribution.line), (60,), generator=stream)]
    x = near + distribution.std * torch.tensor([2.5, 0.0]) * torch.randn(60, 1, generator=stream)
    good, covered = 0, set()
    for point in x.tolist():
        distances = [math.dist(point, centre) for centre in distribution.line.tolist()]
        if min(distances) <= 3 * distribution.std:
            good += 1
            covered.add(int(distribution.mode[distances.index(min(distances))]))
    found = coverage(distribution, x)
    assert 0 < good < 60
    assert found.high_quality == good / 60
    assert found.modes == len(covered)
    assert {k for k, n in enumerate(found.counts.tolist()) if n} == covered


def test_one_point_of_high_quality_covers_its_mode():
    ring = points.load("ring")
    at = ring.line[3]
    inside, outside = (at + torch.tensor([k * ring.std, 0.0]) for k in (2.99, 3.01))
    assert (coverage(ring, inside[None]).modes, coverage(ring, inside[None]).high_quality) == (1, 1.0)
    assert (coverage(ring, outside[None]).modes, coverage(ring, outside[None]).high_quality) == (0, 0.0)
    assert coverage(ring, torch.stack([inside, inside, outside])).counts.tolist() == [0, 0, 0, 2, 0, 0, 0, 0]


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25), ("spiral", 32)])
def test_the_data_cover_every_mode_with_the_share_of_a_gaussian(name, modes):
    distribution = points.load(name)
    found = coverage(distribution, distribution.draw("test")[0])
    assert found.modes == modes
    expected = math.erf(3 / math.sqrt(2)) if name == "spiral" else 1 - math.exp(-4.5)  # of one or two coordinates
    assert found.high_quality == pytest.approx(expected, abs=0.003)
