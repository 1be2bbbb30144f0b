import copy

import pytest
import torch

from rlgen.generative.gan.augmentation import EVERY, Adaptive, DiffAugment, Unchanged


def stream():
    return torch.Generator().manual_seed(0)


def adaptive(p, images=1_000):
    change = Adaptive(stream(), images)
    change.p.fill_(p)
    return change


def images(channels=3, count=64, height=8, width=12):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))


MAKERS = {"diffaugment": lambda: DiffAugment(stream()), "adaptive": lambda: adaptive(1.0)}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_change_each_in_its_own_way_and_repeatably(kind, channels):
    x = images(channels, count=1).expand(64, -1, -1, -1)
    one, twin = MAKERS[kind](), MAKERS[kind]()
    changed = one(x)
    assert changed.shape == x.shape
    assert changed.isfinite().all()
    assert torch.equal(changed, twin(x))
    assert not torch.equal(changed, one(x))
    assert len({image.sum().item() for image in changed}) == 64


@pytest.mark.parametrize("kind", MAKERS)
def test_the_generator_learns_through_them(kind):
    x = images().requires_grad_()
    MAKERS[kind]()(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()


def test_no_change_is_the_identity():
    x = images()
    assert Unchanged()(x) is x
    assert adaptive(0.0)(x) is x
    change = adaptive(1.0)
    change._pick = torch.zeros  # every single change passed over
    torch.testing.assert_close(change(x), x)


def test_diffaugment_shifts_at_most_an_eighth_and_blackens_at_most_a_half():
    x = torch.zeros(500, 1, 16, 16)
    x[:, :, 8, 8] = 1.0
    change = DiffAugment(stream())
    white = change(torch.ones(500, 1, 16, 16))
    assert (white == 0).float().mean((1, 2, 3)).max() < 0.5
    brightest = change(x).flatten(1).max(1)
    seen = brightest.values > 0.3  # not within the hole
    rows, columns = brightest.indices[seen] // 16, brightest.indices[seen] % 16
    assert (rows.min(), rows.max()) == (6, 10)
    assert (columns.min(), columns.max()) == (6, 10)


def test_moves_and_colours_of_adaptive_are_what_they_say():
    change = adaptive(1.0)
    places = change._places(200)
    assert (places[:, 2] == torch.tensor([0.0, 0.0, 1.0])).all()
    signs = torch.linalg.det(places).sign()
    assert 60 < (signs > 0).sum() < 140  # half of them mirrored
    colours = change._colours(200, 3)
    grey = torch.full((3,), 0.5)
    middle = torch.einsum("bdc,c->bd", colours[:, :, :3], grey) + colours[:, :, 3]
    torch.testing.assert_close(middle, middle.mean(1, keepdim=True).expand(-1, 3))  # grey stays grey ...
    assert (middle.mean(1) - 0.5).std() == pytest.approx(0.1, abs=0.02)  # ... but for the brightness
    assert adaptive(1.0)._colours(5, 1).shape == (5, 1, 2)


def test_a_quarter_turn_is_exact():
    change, x = adaptive(1.0), images(1, count=1, height=6, width=6)
    change._pick = torch.zeros
    change._places = lambda count: torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    torch.testing.assert_close(change(x), x.rot90(1, (2, 3)))


def test_p_follows_the_discriminator():
    change = Adaptive(stream(), 100)
    for _ in range(EVERY - 1):
        change.listen(torch.ones(5))
    assert change.p == 0
    change.listen(torch.ones(5))
    assert change.p.item() == pytest.approx(0.2)  # 20 images of 100
    for sign, expected in ((torch.tensor([1.0, -1.0]), 0.12), (-torch.ones(100), 0.0)):
        for _ in range(EVERY):
            change.listen(sign)
        assert change.p.item() == pytest.approx(expected)
    for _ in range(EVERY):
        change.listen(torch.ones(100))
    assert change.p == 1


def test_p_is_saved_in_the_middle_of_a_count():
    one, other = Adaptive(stream(), 100), Adaptive(stream(), 100)
    for _ in range(EVERY + 2):
        one.listen(torch.ones(5))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for change in (one, other):
        change.listen(torch.ones(5))
        change.listen(torch.ones(5))
    assert one.p == other.p > 0.2
