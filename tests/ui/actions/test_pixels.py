import itertools
import math

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.images import to_bytes
from rlgen.generative.autoregressive.base import nll
from rlgen.ui.actions import Session, encoding, pixels

FAMILY = pytest.mark.parametrize("name", ["pixelcnn", "gated-pixelcnn", "pixelrnn"])


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path)


def decoded(urls, shape=(1, 8, 8)):
    return torch.stack([torch.from_numpy(encoding.picture(url, shape)) for url in urls])


@FAMILY
def test_nats_of_the_pixels_add_up_to_the_likelihood_of_the_image(model, session, name):
    made = model(name)
    found = pixels.image(made, {"of": "test", "index": 3}, session)
    x, _ = made.test_batch(slice(3, 4))
    with torch.no_grad():
        expected = nll(made.likelihood, made.ema(x, None), x).item()
    assert found["total"] == pytest.approx(expected, rel=1e-5)
    assert sum(map(sum, found["nats"])) == pytest.approx(expected, rel=1e-5)
    assert found["uniform"] == pytest.approx(64 * math.log(2))
    assert found["label"] == made.test_set.labels[3]
    assert torch.equal(decoded([found["image"]])[0], to_bytes(x[0]))


@FAMILY
def test_a_pixel_has_the_probability_that_its_nats_say(model, session, name):
    made = model(name)
    request = {"of": "test", "index": 3, "row": 4, "column": 5}
    whole, found = pixels.image(made, request, session), pixels.pixel(made, request, session)
    (p,), (level,), (nats,) = found["probabilities"], found["levels"], found["nats"]
    assert sum(p) == pytest.approx(1)
    assert level == round(made.test_batch(slice(3, 4))[0][0, 0, 4, 5].item())
    assert -math.log(p[level]) == pytest.approx(nats, rel=1e-5) == pytest.approx(whole["nats"][4][5], rel=1e-5)


@FAMILY
def test_the_receptive_field_is_that_of_finite_differences(model, session, name):
    """Of the outputs for the image itself and further test images, by each input."""
    made = model(name)
    found = pixels.pixel(made, {"of": "test", "index": 70, "row": 4, "column": 5}, session)
    network = made.ema.double()
    x = torch.cat([made.test_batch(slice(70, 71))[0], made.test_batch(slice(found["images"] - 1))[0]]).double()
    slopes = torch.zeros(8, 8, dtype=torch.float64)
    with torch.no_grad():
        for i in range(8):
            for j in range(8):
                step = torch.zeros_like(x)
                step[:, 0, i, j] = 1e-5
                difference = (network(x + step) - network(x - step))[:, 0, 4, 5] / 2e-5
                slopes[i, j] = difference.abs().mean()
    made.ema.float()
    torch.testing.assert_close(torch.tensor(found["field"]).double(), slopes, atol=2e-5, rtol=1e-3)
    before = torch.arange(64).view(8, 8) < 4 * 8 + 5
    assert found["earlier"] == 37
    assert found["seen"] == ((slopes > 1e-12) & before).sum().item()
    assert found["blind_pixels"] == sum(map(sum, found["blind"]))


def test_the_blind_spot_vanishes_in_the_gated_model(model, session):
    given = {"levels": 1, "blocks": 6, "first_kernel": 3}
    request = {"of": "test", "index": 0, "row": 6, "column": 3}
    one, two = (pixels.pixel(model(name, **given), request, session) for name in ("pixelcnn", "gated-pixelcnn"))
    assert one["blind_pixels"] > 0 == two["blind_pixels"]
    assert one["seen"] < two["seen"] == two["earlier"]


def test_colours_and_grey_levels_have_a_distribution_each(model, session):
    made = model("pixelcnn", likelihood="mixture", components=2)
    found = pixels.pixel(made, {"of": "test", "index": 1, "row": 2, "column": 3}, session)
    assert len(found["probabilities"][0]) == 256
    assert found["levels"][0] == made.test_set.images[1, 0, 2, 3]
    picture = {"of": "picture", "picture": encoding.png((torch.arange(64) * 4).byte().view(8, 8).numpy())}
    assert pixels.pixel(made, {**picture, "row": 1, "column": 2}, session)["levels"] == [40]
    with pytest.raises(UserError, match="row must be a whole number from 0 to 7"):
        pixels.pixel(made, {"row": 8, "column": 0}, session)


def test_a_completion_comes_in_slices_and_is_that_of_the_model(model, session, monkeypatch):
    made = model("gated-pixelcnn")
    monkeypatch.setattr(pixels, "SLICE", 0.0)  # a row at a time
    known = [1] * 32 + [0] * 32
    request = {"of": "test", "index": 2, "known": known, "count": 3, "seed": 5}
    answers = [pixels.complete(made, request, session)]
    while not answers[-1]["done"]:
        answers.append(pixels.complete(made, {"continue": True}, session))
        pixels.pixel(made, {"row": 7, "column": 7}, session)  # between two rows
    assert [answer["row"] for answer in answers] == list(range(1, 9))
    x, _ = made.test_batch(slice(2, 3))
    mask = torch.tensor(known).view(8, 8).bool()
    expected = made.complete(x.repeat(3, 1, 1, 1), mask, seed=5)
    assert torch.equal(decoded(answers[-1]["images"]), to_bytes(expected))
    other = pixels.complete(made, {**request, "seed": 6}, session)
    assert other["row"] == 1


def test_a_completion_of_one_class(model, session):
    made = model("pixelcnn", conditional=True)
    request = {"of": "test", "index": 0, "known": [0] * 64, "count": 2, "label": 3}
    found = pixels.complete(made, request, session)
    expected = made.complete(torch.zeros(2, 1, 8, 8), torch.zeros(8, 8, dtype=torch.bool), labels=[3, 3])
    assert found["done"]
    assert torch.equal(decoded(found["images"]), to_bytes(expected))


def test_the_time_of_all_slices_of_a_completion_is_bounded(model, session, monkeypatch):
    """By a clock that advances by a second whenever it is read."""
    clock = itertools.count()
    monkeypatch.setattr(pixels.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(pixels, "SLICE", 0.0)  # a row at a time, of 3 seconds
    monkeypatch.setattr(pixels, "MAX_SECONDS", 10.0)
    answers = [pixels.complete(model("pixelcnn"), {"known": [0] * 64}, session)]
    answers += [pixels.complete(model("pixelcnn"), {"continue": True}, session) for _ in range(4)]
    assert [answer["row"] for answer in answers] == [1, 2, 3, 3, 3]
    assert [answer["stopped"] for answer in answers] == [False, False, False, True, True]
    assert not any(answer["done"] for answer in answers)


def test_bad_requests_of_completions(model, session):
    made = model("pixelcnn")
    with pytest.raises(UserError, match="no completion to continue"):
        pixels.complete(made, {"continue": True}, session)
    with pytest.raises(UserError, match="known must be a list of 64 numbers"):
        pixels.complete(made, {"known": [1]}, session)
    with pytest.raises(UserError, match="count must be a whole number from 1 to 16"):
        pixels.complete(made, {"known": [0] * 64, "count": 17}, session)
    for action in (pixels.image, pixels.pixel, pixels.complete):
        with pytest.raises(UserError, match="does not predict pixel by pixel"):
            action(model("vae"), {}, session)
