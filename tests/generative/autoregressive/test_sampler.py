import pytest
import torch

from rlgen.core.seeds import torch_stream
from rlgen.generative.autoregressive.sampler import PixelSampler, sample_pixels
from rlgen.generative.likelihoods import Bernoulli
from tests.generative.autoregressive.cases import CASES, binary_images, build_network


@pytest.mark.parametrize("case", ["masked, three levels", "gated, two levels", "row", "diagonal"])
def test_rows_can_be_sampled_with_other_uses_of_the_network_between_them(case):
    shape = (1, 6, 5)
    network, x = build_network(CASES[case], shape), binary_images(2, shape)
    before = x.clone()
    known = torch.zeros(2, 6, 5, dtype=torch.bool)
    known[0, :2] = True
    expected = sample_pixels(network, Bernoulli(), x, known, None, torch_stream(0, "noise"))
    sampler = PixelSampler(network, Bernoulli(), x, known, None, torch_stream(0, "noise"))
    whole = network(x).detach()
    for row in range(6):
        assert (sampler.rows, sampler.done) == (row, False)
        sampler.sample_row()
        assert torch.equal(network(x.clone().requires_grad_()).detach(), whole)
        assert torch.equal(sampler.x[:, :, row + 1 :], x[:, :, row + 1 :])  # not sampled yet
    assert sampler.done
    assert torch.equal(sampler.x, expected)
    assert torch.equal(x, before)
