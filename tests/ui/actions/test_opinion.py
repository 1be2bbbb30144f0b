import math
import shutil

import pytest
import torch

import rlgen
from rlgen.core import portraits
from rlgen.core.errors import UserError
from rlgen.core.images import to_bytes
from rlgen.core.seeds import derive
from rlgen.ui.actions import Session, encoding, opinion

TINY = {"size": 8, "width": 4, "discriminator_width": 4, "latent": 2, "batch": 8, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of a small GAN with three portraits."""
    return rlgen.train(
        "gan", "digits", runs=tmp_path_factory.mktemp("runs"), budget=64, eval_every=32, **TINY
    ).directory


@pytest.fixture
def loaded(run):
    return rlgen.load(run), Session(run)


def decoded(urls, shape=(1, 8, 8)):
    return torch.stack([torch.from_numpy(encoding.picture(url, shape)) for url in urls])


def logits(model, x):
    with torch.no_grad():
        return model.discriminator.eval()(x).tolist()


def test_each_discriminator_sees_the_samples_of_its_own_time(run, loaded):
    found = opinion.over_time(loaded[0], {}, loaded[1])
    assert found["times"] == portraits.times(run) == [0, 32, 64]
    assert found["portraits"]
    assert found["threshold"] == 0
    for time, samples, real in zip(found["times"], found["samples"], found["real"], strict=True):
        model = rlgen.load(run, at=time)
        grid = model.grids(derive(model.seed, "sheet"))["samples"].images
        assert samples == pytest.approx(logits(model, grid), rel=1e-4, abs=1e-5)
        assert real == pytest.approx(logits(model, model.test_batch(slice(64))[0]), rel=1e-4, abs=1e-5)
    assert found["samples"][0] != found["samples"][2]


def test_every_discriminator_on_the_samples_of_one_time(run, loaded):
    found = opinion.over_time(loaded[0], {"judged": 40}, loaded[1])
    judged = rlgen.load(run, at=32).fixed_samples()[0]  # the nearest portrait
    for time, samples in zip(found["times"], found["samples"], strict=True):
        assert samples == pytest.approx(logits(rlgen.load(run, at=time), judged), rel=1e-4, abs=1e-5)


def test_the_samples_of_a_time_are_those_of_its_picture(run, loaded):
    found = opinion.at_time(loaded[0], {"time": 30}, loaded[1])
    assert found["time"] == 32
    model = rlgen.load(run, at=32)
    assert torch.equal(decoded(found["images"]), to_bytes(model.fixed_samples()[0]))
    assert torch.equal(decoded(found["real"]), model.test_set.images[:64])


def test_the_loaded_weights_stay(loaded):
    model, session = loaded
    before = [p.clone() for p in (*model.ema.parameters(), *model.discriminator.parameters())]
    time = model.time
    opinion.over_time(model, {}, session)
    opinion.at_time(model, {"time": 0}, session)
    after = [*model.ema.parameters(), *model.discriminator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert model.time == time == 64
    with pytest.raises(UserError, match="time must be a whole number"):
        opinion.at_time(model, {"time": -1}, session)


def test_without_portraits_or_with_a_damaged_one_the_rest_is_shown(run, loaded, tmp_path):
    model, _ = loaded
    found = opinion.over_time(model, {}, Session(tmp_path))
    assert (found["times"], found["portraits"]) == ([64], False)
    assert found["samples"][0] == pytest.approx(logits(model, model.fixed_samples()[0]), rel=1e-4, abs=1e-5)
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy/portraits/000000032/tensors.safetensors").write_bytes(b"")
    assert opinion.over_time(model, {}, Session(tmp_path / "copy"))["times"] == [0, 64]


def test_a_critic_has_no_threshold_and_classes_have_a_column_each(model, tmp_path):
    made = model("wgan-gp", conditional=True)
    found = opinion.over_time(made, {}, Session(tmp_path))
    assert found["threshold"] is None
    assert all(math.isfinite(value) for value in found["samples"][0])
    x, labels = made.fixed_samples()
    assert labels.tolist() == [*range(10)] * 8
    with torch.no_grad():
        expected = made.discriminator.eval()(x, labels).tolist()
    assert found["samples"][0] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    shown = opinion.at_time(made, {}, Session(tmp_path))
    assert (shown["columns"], shown["labels"]) == (10, labels.tolist())


def test_models_without_a_discriminator_are_refused(model, tmp_path):
    for action in (opinion.over_time, opinion.at_time):
        with pytest.raises(UserError, match="VAE has no discriminator"):
            action(model("vae"), {}, Session(tmp_path))
