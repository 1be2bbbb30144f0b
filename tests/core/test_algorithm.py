import copy
import math

import pytest
import torch
from torch import nn

from rlgen.core.algorithm import count, descend
from rlgen.core.errors import Diverged
from rlgen.core.seeds import Linear, Seeds


def network():
    torch.manual_seed(0)
    return nn.Sequential(Linear(3, 5), nn.Tanh(), Linear(5, 2))


def loss_of(module, scale=1.0):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    return scale * module(x).square().sum()


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e9, math.inf])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_clipped_gradient_keeps_its_direction(clip, scale):
    module, reference = network(), network()
    loss_of(reference, scale).backward()
    gradient = torch.cat([p.grad.flatten() for p in reference.parameters()])
    before = flat(module).double()
    norm = descend(torch.optim.SGD(module.parameters(), lr=1.0), loss_of(module, scale), clip)
    assert norm.shape == (1,)
    torch.testing.assert_close(norm[0], gradient.norm())
    applied = torch.cat([p.grad.flatten() for p in module.parameters()])
    assert applied.norm() <= clip * (1 + 1e-5)
    torch.testing.assert_close(applied, gradient * min(1.0, clip / gradient.norm().item()), rtol=1e-4, atol=1e-12)
    torch.testing.assert_close(flat(module).double(), before - applied.double(), rtol=1e-5, atol=1e-6)


def test_gradients_of_the_previous_step_are_discarded():
    module, reference = network(), network()
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.01) for m in (module, reference)]
    loss_of(module).backward()
    for m, optimizer in zip((module, reference), optimizers, strict=True):
        descend(optimizer, loss_of(m))
    assert torch.equal(flat(module), flat(reference))


def test_a_weight_without_a_gradient_is_unchanged():
    module = network()
    before = module[0].weight.detach().clone()
    module[0].weight.requires_grad_(False)
    norm = descend(torch.optim.Adam(module.parameters(), fused=True), loss_of(module), 1.0)
    assert norm.isfinite().all()
    assert torch.equal(module[0].weight, before)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clip", [0.3, math.inf])
def test_each_seed_is_clipped_by_its_own_norm(fused, clip):
    """Gradients of the seeds differ by orders of magnitude: a common norm would shrink the small ones."""
    scales = torch.tensor([1e-3, 1.0, 1e3])
    torch.manual_seed(0)
    together = Seeds(lambda: nn.Sequential(Linear(3, 5), nn.Tanh(), Linear(5, 2)), 3)
    torch.manual_seed(0)
    alone = [Seeds(lambda: nn.Sequential(Linear(3, 5), nn.Tanh(), Linear(5, 2)), 1) for _ in scales]
    optimizer = torch.optim.Adam(together.parameters(), lr=0.01, fused=fused)
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.01, fused=fused) for m in alone]
    stream = torch.Generator().manual_seed(2)
    for _ in range(10):
        x = torch.randn(3, 8, 3, generator=stream)
        norm = descend(optimizer, (together(x).square().sum((1, 2)) * scales).sum(), clip, seeds=3)
        norms = [
            descend(o, (m(x[s : s + 1]).square().sum() * scales[s]), clip)
            for s, (m, o) in enumerate(zip(alone, optimizers, strict=True))
        ]
        torch.testing.assert_close(norm, torch.cat(norms), rtol=1e-3, atol=0)
    for s, m in enumerate(alone):
        for name, _ in together.network.named_parameters():
            torch.testing.assert_close(together.weight(name)[s], m.weight(name)[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_changes_no_weight(value, seeds, where):
    module = Seeds(network, seeds)
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    x = torch.randn(seeds, 8, 3, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        descend(optimizer, module(x).square().sum(), 1.0, seeds)
    weights, state = flat(module), copy.deepcopy(optimizer.state_dict())
    out = module(x)
    if where == "loss":
        loss = out.square().sum() + value
    else:
        out.register_hook(lambda g: torch.cat([g[:-1], torch.full_like(g[-1:], value)]))  # of the last seed
        loss = out.square().sum()
    with pytest.raises(Diverged, match="try a smaller --lr") as caught:
        descend(optimizer, loss, 1.0, seeds)
    assert caught.value.code == 3
    assert torch.equal(flat(module), weights)
    for mine, before in zip(optimizer.state_dict()["state"].values(), state["state"].values(), strict=True):
        assert all(torch.equal(mine[name], before[name]) for name in before)


def test_a_gradient_may_be_zero():
    module = network()
    norm = descend(torch.optim.SGD(module.parameters(), lr=1.0), loss_of(module) * 0, clip=1.0)
    assert norm.item() == 0
    assert torch.equal(flat(module), flat(network()))


def test_count():
    module = network()
    assert count(module) == 3 * 5 + 5 + 5 * 2 + 2
    module[0].bias.requires_grad_(False)
    assert count(module, nn.Linear(1, 1)) == 3 * 5 + 5 * 2 + 2 + 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("seeds", [1, 3])
def test_an_accelerator_skips_a_step_that_is_not_finite(seeds):
    module = Seeds(network, seeds).to("cuda")
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    x = torch.randn(seeds, 8, 3, device="cuda")
    descend(optimizer, module(x).square().sum(), 1.0, seeds)
    before = flat(module)
    norm = descend(optimizer, module(x).square().sum() * math.nan, 1.0, seeds)
    assert not norm.isfinite().any()
    assert torch.equal(flat(module), before)
    descend(optimizer, module(x).square().sum(), 1.0, seeds)
    assert not torch.equal(flat(module), before)
    assert flat(module).isfinite().all()
