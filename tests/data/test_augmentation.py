import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from rlgen.core.errors import UserError
from rlgen.data.augmentation import AUGMENTATIONS, Augmentation, parse


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count, side=28, channels=1):
    return torch.rand(count, channels, side, side, generator=stream(9))


def augmented(name, x, seed=0):
    y = torch.arange(x.shape[:-3].numel()).view(x.shape[:-3])
    return Augmentation((name,))(x, y, stream(seed))[0]


def test_names():
    assert parse("flip, Shift") == ("shift", "flip")  # in the order of application
    assert parse("flip,flip") == ("flip",)
    assert parse("none") == parse("") == ()
    assert parse(",".join(AUGMENTATIONS)) == tuple(AUGMENTATIONS)
    with pytest.raises(UserError, match='no augmentation "shfit": did you mean shift'):
        parse("shfit,flip")
    with pytest.raises(UserError, match='no augmentation "zoom": choose among shift, crop, rotate'):
        parse("zoom")
    with pytest.raises(UserError, match='no augmentation "none"'):
        parse("none,shift")


def test_names_take_no_torch():
    program = "import sys; from rlgen.data.augmentation import parse; parse('flip'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_no_augmentation_is_the_identity():
    x = images(3)
    same, mixed = Augmentation(())(x, torch.arange(3), stream())
    assert torch.equal(same, x)
    assert mixed is None


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (8, 1)])
def test_each_image_of_a_minibatch_has_a_draw_of_its_own(name, side, channels):
    """Copies of one image come out different; of a mirror image there are two kinds."""
    x = images(1, side, channels).expand(64, -1, -1, -1)
    if name == "mixup":
        x = torch.cat([x[:32], images(32, side, channels)])
    before = x.clone()
    out = augmented(name, x)
    assert out.shape == x.shape
    assert torch.equal(x, before)  # changed in a copy
    assert out.min() >= 0
    assert out.max() <= 1
    kinds = len(out[:32].flatten(1).unique(dim=0))
    assert kinds == 2 if name == "flip" else kinds >= 6


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_draws_come_from_the_generator_alone(name):
    x = images(16)
    torch.manual_seed(1)
    first = augmented(name, x)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)  # the global stream is where it was
    assert torch.equal(first, augmented(name, x))
    assert not torch.equal(first, augmented(name, x, seed=1))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_leading_axis_of_seeds(name):
    """(S, B, C, H, W) is (S·B, C, H, W), except that images are mixed with those of their own seed."""
    x = images(12, side=8)
    stacked = augmented(name, x.view(3, 4, 1, 8, 8))
    assert stacked.shape == (3, 4, 1, 8, 8)
    if name != "mixup":
        assert torch.equal(stacked.view_as(x), augmented(name, x))


@pytest.mark.parametrize(("name", "margin", "border"), [("shift", 2, "reflect"), ("crop", 4, "constant")])
def test_shifts_and_crops_are_windows_of_the_padded_image(name, margin, border):
    side = 28 if name == "shift" else 32
    x = images(400, side, 3)
    out = augmented(name, x)
    padded = F.pad(x, (margin,) * 4, mode=border)
    found = set()
    for image, whole in zip(out, padded, strict=True):
        places = [
            (top - margin, left - margin)
            for top in range(2 * margin + 1)
            for left in range(2 * margin + 1)
            if torch.equal(whole[:, top : top + side, left : left + side], image)
        ]
        assert len(places) == 1
        found.add(places[0])
    assert len(found) > 0.9 * (2 * margin + 1) ** 2
    for axis in (0, 1):
        assert {place[axis] for place in found} == set(range(-margin, margin + 1))


@pytest.mark.parametrize(("side", "largest"), [(8, 1), (28, 2), (64, 5)])
def test_a_shift_is_scaled_to_the_image(side, largest):
    x = torch.zeros(500, 1, side, side)
    x[:, :, side // 2, side // 2] = 1
    rows, columns = augmented("shift", x).nonzero()[:, 2:].unbind(1)
    for place in (rows, columns):
        assert (place - side // 2).unique().tolist() == list(range(-largest, largest + 1))


def test_a_flip_mirrors_half_of_the_images_left_to_right():
    x = images(1_000, 8)
    out = augmented("flip", x)
    mirrored = (out == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(out[~mirrored], x[~mirrored])
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.06)


def test_a_rotation_turns_about_the_centre_by_up_to_15_degrees():
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, 40)] * 2, indexing="ij")
    x = (0.5 + 0.25 * columns).expand(500, 1, 40, 40)  # a slope, which stays a slope: its gradient is turned
    out = augmented("rotate", x)[:, 0, 10:30, 10:30]
    assert out.mean((1, 2)) == pytest.approx(torch.full((500,), 0.5), abs=1e-3)
    across, down = out.diff(dim=2).mean((1, 2)), out.diff(dim=1).mean((1, 2))
    angle = torch.atan2(down, across).rad2deg()
    assert angle.abs().max() <= 15.01
    assert (angle.min(), angle.max()) == (pytest.approx(-15, abs=0.5), pytest.approx(15, abs=0.5))
    assert torch.hypot(across, down) == pytest.approx((x[0, 0, 0, 1] - x[0, 0, 0, 0]).expand(500), rel=1e-3)
    assert len(rows)


def test_cutout_erases_a_square_of_a_quarter_of_the_side():
    x = images(300, 32, 3)
    out = augmented("cutout", x)
    sizes = set()
    for image, before in zip(out, x, strict=True):
        gone = (image != before).any(0)
        rows, columns = gone.any(1).sum().item(), gone.any(0).sum().item()
        assert gone.sum() == rows * columns  # a rectangle: a square, cut off at the border
        assert torch.allclose(image[:, gone], before.mean((1, 2))[:, None])
        sizes.add((rows, columns))
    assert max(sizes) == (8, 8)
    assert all(4 <= side <= 8 for pair in sizes for side in pair)


def test_noise_has_its_deviation():
    change = augmented("noise", torch.full((200, 1, 28, 28), 0.5)) - 0.5
    assert change.mean().abs() < 1e-3
    assert change.std() == pytest.approx(0.05, rel=0.02)


def test_mixup_weighs_images_and_labels_alike():
    x, y = images(256, 8), torch.arange(256) % 10
    out, mixed = Augmentation(("mixup",))(x, y, stream())
    other, share = mixed
    assert ((share >= 0) & (share < 1)).all()
    assert share.mean() == pytest.approx(0.5, abs=0.06)
    for image, before, label, weight in zip(out, x, other, share, strict=True):
        second = (image - (1 - weight) * before) / weight
        near = (x - second).abs().flatten(1).amax(1)
        if weight > 0.01:
            assert y[near.argmin()] == label
            assert near.min() < 1e-3


def test_seeds_are_not_mixed_with_each_other():
    """The validation images of one member may be training images of another."""
    x, y = torch.arange(3).float().view(3, 1, 1, 1, 1).expand(3, 16, 1, 8, 8), torch.arange(3)[:, None].expand(3, 16)
    out, (other, _) = Augmentation(("mixup",))(x, y, stream())
    assert torch.equal(out, x)
    assert torch.equal(other, y)


def test_augmentations_follow_each_other():
    x, y = images(8), torch.arange(8)
    both, generator = Augmentation(("shift", "flip")), stream(3)
    expected = Augmentation(("flip",))(Augmentation(("shift",))(x, y, generator)[0], y, generator)[0]
    assert torch.equal(both(x, y, stream(3))[0], expected)
    assert torch.equal(Augmentation(("flip", "shift"))(x, y, stream(3))[0], expected)
