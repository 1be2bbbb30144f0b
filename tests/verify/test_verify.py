"""`rlgen verify`: what is damaged in a folder of a run, and what can be saved."""

import json
import shutil
import zlib

import pytest

from rlgen.core import checkpoint, inventory, labels, logs
from rlgen.core.errors import CheckpointError
from rlgen.core.folder import Folder
from rlgen.verify import checkpoints, pictures, repair, verify

TIMES = (100, 200)


def png(text=b"grey"):
    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    return pictures.SIGNATURE + chunk(b"IHDR", text) + chunk(b"IDAT", text) + chunk(b"IEND", b"")


@pytest.fixture
def run(tmp_path):
    """The folder of a run that ended: logs, checkpoints, a portrait, pictures, a report, log.txt, a note."""
    folder = Folder.create(tmp_path / "runs", "gan-digits", algorithm="gan", task="digits", time=0)
    with folder:
        directory = folder.directory
        for name in ("metrics.jsonl", "timing.jsonl"):
            logs.append(directory / name, [{"time": 50 * i, "loss": i / 3} for i in range(5)], 1)
        for time in TIMES:
            checkpoint.save(directory / "checkpoints" / f"{time:09d}", {"time": time})
        checkpoint.save(directory / "portraits" / "000000100", {"time": 100})
        (directory / "samples").mkdir()
        for name in ("curves.png", "samples/000000100.png"):
            (directory / name).write_bytes(png())
        for name in ("evolution.gif", "report.json", "log.txt"):
            (directory / name).write_text(f"{name}, as it was written")
        folder.describe(time=200, best_time=100, lines={"metrics.jsonl": 5, "timing.jsonl": 5})
    labels.write_note(directory, "a note")
    return directory


def damaged(run):
    """Damaged parts with their descriptions."""
    return {damage.part: damage for damage in verify(run).damages}


def flip(path, place=-5):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.unlink()
    path.write_bytes(content)


def test_an_undamaged_run_is_whole(run):
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*") if path.name != "run.lock")
    report = verify(run)
    assert report.whole
    assert not report.trained
    assert before == sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*") if path.name != "run.lock")


def files(run):
    return sorted(path.relative_to(run) for path in run.rglob("*") if path.is_file() and path.name != "run.lock")


def test_every_file_is_checked(run, tmp_path):
    for name in files(run):
        for deleted in (False, True):
            copy = tmp_path / "copy"
            shutil.copytree(run, copy)
            if deleted:
                (copy / name).unlink()
            else:
                flip(copy / name)
            found = damaged(copy)
            if (name.name, deleted) != ("labels.json", True):
                assert any(name.as_posix().startswith(part) for part in found), name
            assert len(found) <= 1, name
            shutil.rmtree(copy)


def test_what_can_be_saved_is_said(run):
    flip(run / "checkpoints" / "000000200" / "state.json", 3)
    assert damaged(run)["checkpoints/000000200"].saved == "`rlgen resume` and `rlgen eval` use that at 100"
    flip(run / "checkpoints" / "000000100" / "state.json", 3)
    assert "train again, with `--config" in damaged(run)["checkpoints/000000100"].saved
    assert "the best weights are lost" in damaged(run)["checkpoints/000000100"].saved
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join([lines[0], lines[1].replace(b"50", b"60"), *lines[3:]]))
    damage = damaged(run)["metrics.jsonl"]
    assert damage.text == "2 of 5 lines damaged or missing"
    assert damage.saved == "the other 3 lines are read; `rlgen resume` keeps damaged ones in metrics.jsonl.damaged"
    (run / "timing.jsonl").unlink()
    assert damaged(run)["timing.jsonl"].text == "5 of 5 lines damaged or missing"


def test_missing_checkpoints_are_named(run):
    shutil.rmtree(run / "checkpoints")
    found = damaged(run)
    assert found["checkpoints/000000200"].text == "the latest checkpoint is missing"
    assert found["checkpoints/000000100"].text == "the best checkpoint is missing"


def test_checkpoints_are_checked_as_they_are_before_they_are_loaded(run, tmp_path):
    for place in range(0, 200, 7):
        for name in ("manifest.json", "state.json", "tensors.safetensors"):
            copy = tmp_path / "copy"
            shutil.copytree(run / "checkpoints" / "000000200", copy)
            size = (copy / name).stat().st_size
            flip(copy / name, place % size)
            assert checkpoints.fault(copy, {})
            with pytest.raises(CheckpointError):
                checkpoint.verify(copy)
            shutil.rmtree(copy)


def test_a_damaged_description_is_repaired_from_its_copy(run):
    info = Folder(run).info
    assert not repair(run)
    flip(run / "run.json", 100)
    assert "--repair" in damaged(run)["run.json"].saved
    assert repair(run)
    assert Folder(run).info == info
    (run / "run.json").unlink()
    assert repair(run)
    assert verify(run).whole
    flip(run / "run.json", 100)
    flip(run / inventory.FILE, 100)
    with pytest.raises(CheckpointError):
        repair(run)


def test_a_picture_that_was_drawn_again_is_whole(run):
    (run / "curves.png").write_bytes(png(b"blue"))
    with (run / "log.txt").open("a") as file:
        file.write("a later line")
    assert verify(run).whole
    (run / "curves.png").write_bytes(png(b"blue")[:-1])
    assert damaged(run)["curves.png"].text == "does not match its checksum"


def test_every_flip_of_a_picture_is_noticed():
    content = png(bytes(range(40)))
    assert pictures.is_png(content)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        assert not pictures.is_png(bytes(flipped)), place
        assert not pictures.is_png(content[:place])
    assert not pictures.is_png(content + b"x")


def test_a_run_that_was_killed_is_checked_without_its_inventory(run):
    info = json.loads((run / "run.json").read_text())
    folder = Folder(run)
    with folder:
        (run / "log.txt").write_text("other")
        assert verify(run).trained
    assert verify(run).whole  # the inventory is of the later end
    folder.describe(status="running")
    (run / "log.txt").write_text("yet another")
    (run / "samples" / "000000100.png").unlink()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"time": 250, "lo')
    assert verify(run).whole
    (run / "curves.png").write_bytes(b"no picture")
    assert set(damaged(run)) == {"curves.png"}
    assert info["time"] == 200


def test_runs_of_earlier_versions_have_no_inventory(tmp_path):
    directory = tmp_path / "old"
    directory.mkdir()
    info = {"created": "2026-01-01T00:00:00+00:00", "time": 0, "status": "finished"}
    (directory / "run.json").write_text(json.dumps(info))
    (directory / "metrics.jsonl").write_text('{"time": 1}\n')
    assert verify(directory).whole
    (directory / "metrics.jsonl").write_text('{"time": 1}\n{"ti\n')
    assert damaged(directory)["metrics.jsonl"].text == "1 of 2 lines damaged or missing"


def test_a_link_in_a_run_is_named(run, tmp_path):
    (tmp_path / "outside").mkdir()
    (run / "links").symlink_to(tmp_path / "outside")
    assert "links is a link" in damaged(run)["."].text
