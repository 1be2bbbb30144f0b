"""A folder that changes between training and use: the split stays, and the change is announced."""

import numpy as np
import pytest
from PIL import Image

import rlgen

SMALL = {"width": 8, "latent": 2, "depth": 1, "batch": 8, "budget": 40, "log_every": 20, "eval_every": 40, "threads": 1}


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(30):
        add(folder, number)
    return folder


def add(folder, number):
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(folder / f"{number}.png")


def changes(caplog):
    found = [record.getMessage() for record in caplog.records if "changed since" in record.getMessage()]
    caplog.clear()
    return found


def test_a_changed_folder_is_announced_where_a_run_is_loaded_and_resumed(pictures, tmp_path, caplog):
    run = rlgen.train("ae", f"folder:{pictures}", runs=tmp_path / "runs", name="ae", **SMALL)
    known = run.info["fingerprint"]
    before = rlgen.load(run)
    assert len(known) == 12
    assert not changes(caplog)
    add(pictures, 30)
    after = rlgen.load(run)
    (line,) = changes(caplog)
    assert f"the files of folder:{pictures} changed since ae was trained" in line
    assert known in line
    assert "\n" not in line
    test = {image.tobytes() for image in before.test_set.images.numpy()}
    train = {image.numpy().tobytes() for image in after.data.images}
    assert not test & train  # no image of the former test is trained on
    rlgen.resume(run, budget=80)
    assert len(changes(caplog)) == 1
    rlgen.load(run)
    assert not changes(caplog)
