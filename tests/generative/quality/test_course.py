"""Quality of samples at portraits: measured once, beside its floor, cut back by a resume."""

import pytest

from rlgen.core import portraits
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.run import Run
from rlgen.core.settings import Setup
from rlgen.data import idx
from rlgen.generative.gan.gan import GAN
from rlgen.generative.quality import course, feature_classifier, metrics


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    """A cache of its own, and a feature classifier trained in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(idx, "cache", lambda: folder)
        patch.setattr(feature_classifier, "STEPS", 20)
        yield


@pytest.fixture
def trained(tmp_path):
    """A run with portraits of a GAN at three times, and the GAN."""
    directory = Folder.create(tmp_path, "gan", kind="model", algorithm="gan", task="digits").directory
    gan = GAN("digits", GAN.Config(batch=16, width=4, discriminator_width=4, latent=8, size=8), Setup(threads=1))
    taken: list[list[int]] = []
    for _ in range(3):
        taken = portraits.add(directory, gan, taken)
        gan.step()
    return directory, gan


def test_a_row_per_portrait_with_its_floor(trained):
    directory, gan = trained
    done = []
    rows = course.measure(directory, gan, 299, progress=done.append)
    assert [row["time"] for row in rows] == portraits.times(directory) == [0, 16, 32]
    assert Folder(directory).rows("quality.jsonl") == rows
    assert sum(done) == 3
    found = metrics.evaluate(gan, 299)  # with the weights of the last portrait
    for name in ("lenet_fid", "kid", "precision", "coverage"):
        assert rows[-1][f"eval_{name}"] == pytest.approx(found[name])
        assert rows[-1][f"{name}_floor"] == pytest.approx(found["real_data_reference"][name])


def test_what_is_known_is_not_measured_again(trained, monkeypatch):
    directory, gan = trained
    rows = course.measure(directory, gan, 260)
    lines = (directory / "quality.jsonl").read_text().splitlines(keepends=True)
    (directory / "quality.jsonl").write_text(lines[0] + lines[1].replace("kid", "kit") + lines[2])
    restored = []
    restore = portraits.restore
    monkeypatch.setattr(portraits, "restore", lambda *words: (restored.append(words[2]), restore(*words)))
    assert course.measure(directory, gan, 260) == rows
    assert restored == [16]
    assert course.measure(directory, gan, 270) != rows  # of another number of samples
    assert restored == [16, 0, 16, 32]


def test_a_resume_cuts_it_back(trained):
    directory, gan = trained
    course.measure(directory, gan, 260)
    fresh = GAN("digits", gan.config, Setup(threads=1))
    Run(directory).resume(fresh)  # without a checkpoint everything begins again
    assert (directory / "quality.jsonl").read_text() == ""


def test_too_few_samples_and_no_portraits(trained, tmp_path):
    directory, gan = trained
    with pytest.raises(UserError, match="--quality 255: 128 features need 256 samples"):
        course.measure(directory, gan, 255)
    with pytest.raises(UserError, match="has no portraits"):
        course.measure(tmp_path, gan, 299)
