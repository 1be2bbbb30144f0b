import pytest
import torch

from agents.values import Scalar, take


@pytest.mark.parametrize("shape", [(), (5,), (2, 5), (2, 1), (1, 5)])
def test_take_picks_one_action_each(shape):
    out = torch.rand(*shape, 4, 3)
    action = torch.randint(4, shape)
    taken = take(out, action)
    assert taken.shape == (*shape, 3)
    for index in torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(shape)).tolist() if shape else [[]]:
        assert torch.equal(taken[tuple(index)], out[tuple(index)][action[tuple(index)]])


def test_take_lets_the_gradient_through_to_what_was_taken():
    out = torch.zeros(2, 3, 1, requires_grad=True)
    take(out, torch.tensor([2, 0])).sum().backward()
    assert out.grad[..., 0].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_scalar_backup_is_the_bellman_equation():
    reward, discount = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.9, 0.0, 0.81]])
    out = torch.tensor([[[10.0], [7.0], [-3.0]]])
    target = Scalar().backup(reward, discount, out)
    assert target.shape == (1, 3, 1)
    torch.testing.assert_close(target[..., 0], torch.tensor([[1 + 9.0, -2.0, 0.5 - 2.43]]))


def test_scalar_mean_is_the_number_itself():
    out = torch.rand(2, 5, 4, 1)
    assert torch.equal(Scalar().mean(out), out[..., 0])


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_errors_are_those_of_the_textbook(loss):
    delta = torch.tensor([-30.0, -1.5, -1.0, -0.4, 0.0, 0.4, 1.0, 1.5, 30.0])
    out = torch.linspace(-2, 2, len(delta))
    expected = [d * d if loss == "mse" else d * d / 2 if abs(d) < 1 else abs(d) - 0.5 for d in delta.tolist()]
    error = Scalar(loss).error(out[:, None], (out + delta)[:, None])
    assert error.shape == (len(delta),)
    torch.testing.assert_close(error, torch.tensor(expected))


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_the_error_of_a_batch_is_that_of_its_members(loss):
    """(B,) against (B, 1) would silently be (B, B)."""
    value, out, target = Scalar(loss), torch.randn(2, 6, 1), torch.randn(2, 6, 1)
    whole = value.error(out, target)
    assert whole.shape == (2, 6)
    for s in range(2):
        for b in range(6):
            torch.testing.assert_close(whole[s, b], value.error(out[s, b], target[s, b]))
