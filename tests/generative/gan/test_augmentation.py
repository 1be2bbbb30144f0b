import copy
import itertools
import math

import pytest
import torch

from rlgen.generative.gan import augmentation
from rlgen.generative.gan.augmentation import ADAPT_INTERVAL, AdaptiveAugment, DiffAugment, NoAugmentation


def stream():
    return torch.Generator().manual_seed(0)


def adaptive(p, images=1_000):
    augment = AdaptiveAugment(stream(), images)
    augment.p.fill_(p)
    return augment


def images(channels=3, count=64, height=8, width=12):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))


KINDS = {"diffaugment": lambda: DiffAugment(stream()), "adaptive": lambda: adaptive(1.0)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_transformed_differently_and_repeatably(kind, channels):
    x = images(channels, count=1).expand(64, -1, -1, -1)
    one, twin = KINDS[kind](), KINDS[kind]()
    augmented = one(x)
    assert augmented.shape == x.shape
    assert augmented.isfinite().all()
    assert torch.equal(augmented, twin(x))
    assert not torch.equal(augmented, one(x))
    assert len({image.sum().item() for image in augmented}) == 64


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_through(kind):
    x = images().requires_grad_()
    KINDS[kind]()(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()


def test_without_a_transformation_images_stay_the_same():
    x = images()
    assert NoAugmentation()(x) is x
    assert adaptive(0.0)(x) is x
    augment = adaptive(1.0)
    augment._selected = torch.zeros  # no transformation is selected
    torch.testing.assert_close(augment(x), x)


def test_diffaugment_translates_by_an_eighth_and_cuts_out_a_half_at_most():
    x = torch.zeros(500, 1, 16, 16)
    x[:, :, 8, 8] = 1.0
    augment = DiffAugment(stream())
    white = augment(torch.ones(500, 1, 16, 16))
    cut_out = (white == 0).float().mean((1, 2, 3))
    assert 0.2 < cut_out.max() < 0.5
    brightest = augment(x).flatten(1).max(1)
    outside = brightest.values > 0.3  # of the cutout
    rows, columns = brightest.indices[outside] // 16, brightest.indices[outside] % 16
    assert (rows.min(), rows.max()) == (6, 10)
    assert (columns.min(), columns.max()) == (6, 10)


def test_diffaugment_is_the_policy_of_the_paper():
    """Brightness, saturation, contrast, translation and cutout, by a loop over images."""
    x = images(3, count=20, height=16, width=16)
    uniform = torch.rand(7, 20, 1, 1, 1, generator=stream())
    augmented = DiffAugment(stream())(x)
    for n in range(20):
        brightness, saturation, contrast, down, right, top, left = uniform[:, n].flatten().tolist()
        y = x[n] + (brightness - 0.5) / 2
        y = (y - y.mean(0)) * 2 * saturation + y.mean(0)
        y = (y - y.mean()) * (contrast + 0.5) + y.mean()
        dy, dx = int(down * 5) - 2, int(right * 5) - 2
        y0, x0 = int(top * 17) - 4, int(left * 17) - 4
        expected = torch.zeros_like(y)
        for i, j in itertools.product(range(16), range(16)):
            inside = 0 <= i - dy < 16 and 0 <= j - dx < 16
            if inside and not (y0 <= i < y0 + 8 and x0 <= j < x0 + 8):
                expected[:, i, j] = y[:, i - dy, j - dx]
        torch.testing.assert_close(augmented[n], expected, atol=1e-5, rtol=1e-5)


def test_colour_transformations_keep_greys_grey():
    augment = adaptive(1.0)
    colours = augment._colour(200, 3)
    grey = torch.full((3,), 0.5)
    middle = torch.einsum("bdc,c->bd", colours[:, :, :3], grey) + colours[:, :, 3]
    torch.testing.assert_close(middle, middle.mean(1, keepdim=True).expand(-1, 3))
    assert (middle.mean(1) - 0.5).std() == pytest.approx(0.1, abs=0.02)  # the brightness
    assert adaptive(1.0)._colour(5, 1).shape == (5, 1, 2)


def test_geometric_transformations_are_affine_and_half_of_them_mirrored():
    maps = adaptive(1.0)._geometry(400)
    assert (maps[:, 2] == torch.tensor([0.0, 0.0, 1.0])).all()
    determinants = torch.linalg.det(maps)
    assert 160 < (determinants > 0).sum() < 240
    assert determinants.abs().log2().std() == pytest.approx(2 * 0.2, abs=0.05)  # of the scale, on both axes
    assert maps[:, :2, 2].norm(dim=1).square().mean().sqrt() == pytest.approx(0.25 * math.sqrt(2), rel=0.2)


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_transformations_are_selected_with_probability_p(p):
    assert adaptive(p)._selected(10_000).mean().item() == pytest.approx(p, abs=0.02)


def test_a_hue_rotation_permutes_the_channels_after_a_third_of_a_turn():
    rotation = augmentation._hue_rotation(torch.tensor([0.0, 2 * math.pi / 3]))
    torch.testing.assert_close(rotation[0], torch.eye(3))
    torch.testing.assert_close(rotation[1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_a_quarter_turn_is_exact():
    augment, x = adaptive(1.0), images(1, count=1, height=6, width=6)
    augment._selected = torch.zeros
    augment._geometry = lambda count: torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    torch.testing.assert_close(augment(x), x.rot90(1, (2, 3)))


def test_p_grows_while_the_mean_sign_is_above_the_target():
    augment = AdaptiveAugment(stream(), 100)
    for _ in range(ADAPT_INTERVAL - 1):
        augment.adapt(torch.ones(5))
    assert augment.p == 0
    augment.adapt(torch.ones(5))
    assert augment.p.item() == pytest.approx(0.2)  # 20 images of 100
    for sign, expected in ((torch.tensor([1.0, -1.0]), 0.12), (-torch.ones(100), 0.0)):
        for _ in range(ADAPT_INTERVAL):
            augment.adapt(sign)
        assert augment.p.item() == pytest.approx(expected)
    for _ in range(ADAPT_INTERVAL):
        augment.adapt(torch.ones(100))
    assert augment.p == 1


@pytest.mark.parametrize(("positive", "grows"), [(79, False), (81, True)])
def test_the_target_is_a_mean_sign_of_six_tenths(positive, grows):
    """80 positive and 20 negative logits of 100."""
    augment = adaptive(0.5)
    for _ in range(ADAPT_INTERVAL):
        augment.adapt(torch.cat([torch.ones(positive), -torch.ones(100 - positive)]))
    assert (augment.p > 0.5) == grows


def test_p_is_saved_between_two_changes():
    one, other = AdaptiveAugment(stream(), 100), AdaptiveAugment(stream(), 100)
    for _ in range(ADAPT_INTERVAL + 2):
        one.adapt(torch.ones(5))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for augment in (one, other):
        augment.adapt(torch.ones(5))
        augment.adapt(torch.ones(5))
    assert one.p == other.p > 0.2
