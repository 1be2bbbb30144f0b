import math

import pytest
import torch

from rlgen.agents.values import Categorical, Quantile, Scalar, gather

VALUES = [Scalar(), Scalar("mse"), Categorical(7, -2.0, 4.0), Quantile(5)]
NAMES = ["huber", "mse", "c51", "qr"]


def shaped(value, *shape):
    """Random targets: numbers, or probabilities for C51."""
    target = torch.randn(*shape, value.width)
    return target.softmax(-1) if isinstance(value, Categorical) else target


def mix(value, out, policy):
    """The value of a state under a policy: the target of reward 0 and discount 1."""
    return value.target(torch.zeros(policy.shape[:-1]), torch.ones(policy.shape[:-1]), out, policy)


def moved(value, reward, discount, probabilities):
    """The target of C51 from the distribution of a single action."""
    return value.target(reward, discount, probabilities.log().unsqueeze(-2), torch.ones(*reward.shape, 1))


@pytest.mark.parametrize("shape", [(), (5,), (2, 5), (2, 1), (1, 5)])
def test_gather_selects_one_action_each(shape):
    out = torch.rand(*shape, 4, 3)
    action = torch.randint(4, shape)
    taken = gather(out, action)
    assert taken.shape == (*shape, 3)
    for index in torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(shape)).tolist() if shape else [[]]:
        assert torch.equal(taken[tuple(index)], out[tuple(index)][action[tuple(index)]])


def test_the_gradient_of_gather_reaches_the_selected_action():
    out = torch.zeros(2, 3, 1, requires_grad=True)
    gather(out, torch.tensor([2, 0])).sum().backward()
    assert out.grad[..., 0].tolist() == [[0, 0, 1], [1, 0, 0]]


# ---- every representation


@pytest.mark.parametrize("value", VALUES, ids=NAMES)
def test_a_deterministic_policy_has_the_value_of_its_action(value):
    out, action = torch.randn(2, 6, 4, value.width), torch.randint(4, (2, 6))
    mixed, chosen = mix(value, out, torch.eye(4)[action]), gather(out, action)
    torch.testing.assert_close(mixed, chosen.softmax(-1) if isinstance(value, Categorical) else chosen)


@pytest.mark.parametrize("value", VALUES, ids=NAMES)
def test_a_soft_policy_has_the_mean_value_of_its_actions(value):
    out, policy = torch.randn(2, 3, 4, value.width), torch.randn(2, 3, 4).softmax(-1)
    policy[0, 0] = torch.tensor([0.0, 0.5, 0.5, 0.0])  # masked actions
    mixed = mix(value, out, policy)
    for s in range(2):
        for b in range(3):
            rows = [out[s, b, a].softmax(-1) if isinstance(value, Categorical) else out[s, b, a] for a in range(4)]
            for k in range(value.width):
                expected = sum(policy[s, b, a].item() * rows[a][k].item() for a in range(4))
                assert mixed[s, b, k].item() == pytest.approx(expected, abs=1e-5)
    plain = mixed @ value.z if isinstance(value, Categorical) else mixed.mean(-1)
    torch.testing.assert_close(plain, (policy * value.mean(out)).sum(-1))


@pytest.mark.parametrize("value", VALUES, ids=NAMES)
def test_errors_of_a_batch_are_those_of_its_rows(value):
    """T14: (B,) against (B, 1) would silently be (B, B)."""
    out, target = torch.randn(2, 6, value.width), shaped(value, 2, 6)
    for measure in (value.error, value.priority):
        whole = measure(out, target)
        assert whole.shape == (2, 6)
        for s in range(2):
            for b in range(6):
                torch.testing.assert_close(whole[s, b], measure(out[s, b], target[s, b]))


@pytest.mark.parametrize("value", VALUES, ids=NAMES)
def test_the_gradient_is_the_derivative_of_the_error(value):
    """Against autograd in float64, where |δ| is below and above 1, and on both sides of 0."""
    out = (2 * torch.randn(3, 40, value.width, dtype=torch.float64)).requires_grad_()
    target = shaped(value, 3, 40).double()
    (expected,) = torch.autograd.grad(value.error(out, target).sum(), out)
    torch.testing.assert_close(value.gradient(out.detach(), target), expected)


@pytest.mark.parametrize("value", VALUES, ids=NAMES)
def test_priorities_are_positive_except_for_a_right_prediction(value):
    """T5: without the absolute value, an overestimated transition would never be drawn again."""
    out = 3 * torch.randn(500, value.width)
    assert (value.priority(out, shaped(value, 500)) >= 0).all()
    assert (value.priority(out, shaped(value, 500)) > 1e-3).float().mean() > 0.9
    right = out.softmax(-1) if isinstance(value, Categorical) else out
    torch.testing.assert_close(value.priority(out, right), torch.zeros(500), atol=1e-5, rtol=0)
    gradient = torch.autograd.functional.jacobian(lambda x: value.error(x, right[:1]).sum(), out[:1])
    if not isinstance(value, Quantile):  # the quantile loss of a spread is never 0
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)


# ---- scalar


def test_the_scalar_target_is_the_bellman_equation():
    reward, discount = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.9, 0.0, 0.81]])
    out = torch.tensor([[[10.0], [7.0], [-3.0]]])
    for value in (Scalar(), Quantile(1)):
        target = value.target(reward, discount, out.unsqueeze(-2), torch.ones(1, 3, 1))
        assert target.shape == (1, 3, 1)
        torch.testing.assert_close(target[..., 0], torch.tensor([[1 + 9.0, -2.0, 0.5 - 2.43]]))


def test_the_scalar_mean_is_the_number_itself():
    out = torch.rand(2, 5, 4, 1)
    assert torch.equal(Scalar().mean(out), out[..., 0])


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_the_losses_are_huber_and_mse(loss):
    delta = torch.tensor([-30.0, -1.5, -1.0, -0.4, 0.0, 0.4, 1.0, 1.5, 30.0])
    out = torch.linspace(-2, 2, len(delta))
    expected = [d * d if loss == "mse" else d * d / 2 if abs(d) < 1 else abs(d) - 0.5 for d in delta.tolist()]
    error = Scalar(loss).error(out[:, None], (out + delta)[:, None])
    assert error.shape == (len(delta),)
    torch.testing.assert_close(error, torch.tensor(expected))
    torch.testing.assert_close(Scalar(loss).priority(out[:, None], (out + delta)[:, None]), delta.abs())


# ---- C51


def projected(value, reward, discount, probabilities):
    """Algorithm 1 of Bellemare et al. 2017, atom by atom."""
    spacing, mass = (value.high - value.low) / (value.width - 1), [0.0] * value.width
    for j, p in enumerate(probabilities):
        moved = min(max(reward + discount * (value.low + j * spacing), value.low), value.high)
        place = (moved - value.low) / spacing
        below, above = math.floor(place), math.ceil(place)
        if below == above:
            mass[below] += p
        else:
            mass[below] += p * (above - place)
            mass[above] += p * (place - below)
    return mass


P = [0.1, 0.2, 0.3, 0.15, 0.25]


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        (0.0, 1.0, P),  # every atom onto itself
        (1.0, 1.0, [0, 0.1, 0.2, 0.3, 0.4]),  # by one to the right, the last one clipped
        (-1.0, 1.0, [0.3, 0.3, 0.15, 0.25, 0]),  # to the left
        (0.5, 1.0, [0.05, 0.15, 0.25, 0.225, 0.325]),  # half to each neighbour
        (1.0, 0.0, [0, 0, 0, 1, 0]),  # terminated: all mass on one atom ...
        (-0.25, 0.0, [0, 0.25, 0.75, 0, 0]),  # ... or between two
        (9.0, 0.0, [0, 0, 0, 0, 1]),
        (-9.0, 1.0, [1, 0, 0, 0, 0]),
        (0.0, 0.5, [0, 0.2, 0.475, 0.325, 0]),  # -1, -0.5, 0, 0.5 and 1: the halves go to both sides
    ],
)
def test_a_projection_by_hand(reward, discount, expected):
    """T14: atoms at -2, -1, 0, 1, 2; no mass is lost where a target coincides with an atom."""
    value = Categorical(5, -2.0, 2.0)
    target = moved(value, torch.tensor(reward), torch.tensor(discount), torch.tensor(P))
    torch.testing.assert_close(target, torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize(("atoms", "low", "high"), [(51, -10.0, 10.0), (51, 0.0, 100.0), (2, -1.0, 1.0), (7, 0.3, 0.9)])
def test_projections_agree_with_a_loop_over_atoms(atoms, low, high):
    """T14: no mass is lost."""
    value, shape = Categorical(atoms, low, high), (3, 40)
    reward = torch.randn(shape) * (high - low) / 2
    reward[:, :10] = reward[:, :10].round()
    discount = torch.rand(shape) * (torch.rand(shape) < 0.7)
    discount[:, :5] = 1.0
    before = (3 * torch.randn(*shape, atoms)).softmax(-1)
    target = moved(value, reward, discount, before)
    assert target.shape == (*shape, atoms)
    assert (target >= 0).all()
    torch.testing.assert_close(target.sum(-1), torch.ones(shape))
    for s in range(3):
        for b in range(40):
            expected = projected(value, reward[s, b].item(), discount[s, b].item(), before[s, b].tolist())
            torch.testing.assert_close(target[s, b], torch.tensor(expected), atol=2e-5, rtol=0)


def test_a_projection_without_clipping_keeps_the_mean():
    value = Categorical(31, -3.0, 3.0)
    before, reward, discount = torch.randn(200, 31).softmax(-1), torch.rand(200) * 2 - 1, torch.rand(200) * 0.6
    target = moved(value, reward, discount, before)
    torch.testing.assert_close(target @ value.z, reward + discount * (before @ value.z), atol=1e-5, rtol=1e-5)


def test_targets_outside_the_support_are_clipped_to_its_end():
    value = Categorical(31, -3.0, 3.0)
    for reward, end in ((50.0, -1), (-50.0, 0)):
        target = moved(value, torch.tensor([reward]), torch.tensor([1.0]), torch.randn(1, 31).softmax(-1))
        assert target[0, end] == pytest.approx(1)


def test_the_mean_of_a_distribution_and_its_divergence():
    value = Categorical(4, 0.0, 3.0)
    logits, target = torch.tensor([0.3, -1.0, 2.0, 0.5]), torch.tensor([0.0, 0.5, 0.25, 0.25])
    p = [math.exp(x) / sum(map(math.exp, logits.tolist())) for x in logits.tolist()]
    assert value.mean(logits).item() == pytest.approx(sum(i * x for i, x in enumerate(p)))
    cross = -sum(t * math.log(x) for t, x in zip(target.tolist(), p, strict=True))
    divergence = sum(t * math.log(t / x) for t, x in zip(target.tolist(), p, strict=True) if t)
    assert value.error(logits, target).item() == pytest.approx(cross)
    assert value.priority(logits, target).item() == pytest.approx(divergence)


def test_a_wrong_certainty_has_a_gradient():
    """T14: probabilities clamped away from 0 and 1 have no gradient there; the logits always have one."""
    value = Categorical(3, 0.0, 2.0)
    logits = torch.tensor([200.0, 0.0, -200.0], requires_grad=True)
    error = value.error(logits, torch.tensor([0.0, 0.0, 1.0]))
    assert error.item() == pytest.approx(400)
    error.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([1.0, 0.0, -1.0]))


# ---- QR-DQN


def test_quantiles_are_at_midpoints():
    assert Quantile(4).tau.tolist() == [0.125, 0.375, 0.625, 0.875]
    assert Quantile(1).tau.tolist() == [0.5]


def test_the_quantile_loss_agrees_with_a_loop():
    """T14: sum over predictions, mean over targets; with 3 targets, so that the two differ."""
    value = Quantile(5)
    out, target = 2 * torch.randn(2, 3, 5), 2 * torch.randn(2, 3, 3)
    loss = value.error(out, target)
    for s in range(2):
        for b in range(3):
            total = 0.0
            for i in range(5):
                for j in range(3):
                    u = target[s, b, j].item() - out[s, b, i].item()
                    huber = u * u / 2 if abs(u) <= 1 else abs(u) - 0.5
                    total += abs((i + 0.5) / 5 - (u < 0)) * huber / 3
            assert loss[s, b].item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "inverse"), [("exponential", lambda u: -torch.log1p(-u)), ("two peaks", lambda u: (u > 0.4) * 3 + u)]
)
def test_the_quantile_loss_is_minimal_at_the_quantiles(name, inverse):
    """Samples at 1000 even levels, with a spread far beyond the quadratic part of the Huber loss."""
    value, scale = Quantile(5), 200.0
    samples = scale * inverse((torch.arange(1000) + 0.5) / 1000)
    theta = torch.full((5,), samples.mean().item(), requires_grad=True)
    optimizer = torch.optim.Adam([theta])
    for step in range(1000):
        optimizer.param_groups[0]["lr"] = 20 * 0.993**step
        optimizer.zero_grad()
        value.error(theta, samples).backward()
        optimizer.step()
    torch.testing.assert_close(theta.detach(), scale * inverse(value.tau), atol=0.02 * scale, rtol=0)
