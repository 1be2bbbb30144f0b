"""Rows of a ring buffer in checkpoints: shared by them, each whole by itself."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from rlgen.core import checkpoint, segments
from rlgen.core.errors import CheckpointError, NotFinite
from rlgen.core.ring import Ring
from tests.core.test_checkpoint import Fault

ROW = 40  # bytes of a row of `state`
CAPACITY = 20


@pytest.fixture(autouse=True)
def four_rows_a_segment(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 4 * ROW)


def state(end, capacity=CAPACITY):
    """Row i of `x` holds i; a ring of which all places are final."""
    first = max(0, end - capacity)
    x = torch.full((capacity, 8), 999.0)
    for i in range(first, end):
        x[i % capacity] = i
    columns = {"x": x, "n": x[:, 0].long().clone()}
    return {"part": {"rows": Ring(columns, first, end)}, "time": end}


def loaded(folder, **options):
    rows = checkpoint.load(folder, **options)["part"]["rows"]
    own = Ring({"x": torch.full((CAPACITY, 8), 999.0), "n": torch.full((CAPACITY,), 999)}, 0, 0)
    own.fill(rows)
    return rows.first, rows.end, own.columns


def same(folder, end):
    ring = state(end)["part"]["rows"]
    first, last, columns = loaded(folder)
    return (first, last) == (ring.first, ring.end) and all(torch.equal(columns[k], x) for k, x in ring.columns.items())


def names(folder):
    return sorted(
        (p.name for p in folder.iterdir() if "@" in p.name), key=lambda name: int(name.split("@")[1].split("-")[0])
    )


def at(runs, end):
    return runs / f"{end:09d}"


@pytest.mark.parametrize("end", [0, 1, 3, 4, 5, 8, 19, 20, 21, 22, 39, 45])
def test_rows_come_back(tmp_path, end):
    checkpoint.save(at(tmp_path, end), state(end))
    assert same(at(tmp_path, end), end)


def test_segments_stand_on_a_grid(tmp_path):
    checkpoint.save(at(tmp_path, 23), state(23))
    rows = ["3-4", "4-8", "8-12", "12-16", "16-20", "20-23"]
    assert names(at(tmp_path, 23)) == [f"part.rows@{each}.safetensors" for each in rows]


@pytest.mark.parametrize("stride", [1, 3, 4, 7, 20, 33])
def test_checkpoints_share_what_is_complete_and_none_needs_another(tmp_path, stride):
    written = []
    for end in range(0, 90, stride):
        checkpoint.save(at(tmp_path, end), state(end))
        written.append({p.name: p.stat().st_ino for p in at(tmp_path, end).iterdir()})
        if len(written) > 1:
            before, now = written[-2:]
            shared = {name for name in now if name in before and now[name] == before[name]}
            complete = {name for name in names(at(tmp_path, end)) if name in before}
            assert complete <= shared
            new = sum(p.stat().st_size for p in at(tmp_path, end).glob("*@*") if p.name not in shared)
            assert new <= (min(stride, CAPACITY) + 4) * ROW + 200 * (stride // 4 + 2)
        for old in checkpoint.newest_first(tmp_path)[2:]:
            shutil.rmtree(old)
        for folder in checkpoint.newest_first(tmp_path):
            assert same(folder, int(folder.name))
    assert len(names(at(tmp_path, end))) <= CAPACITY // 4 + 1


def test_a_shared_file_is_neither_written_nor_hashed_nor_flushed_again(tmp_path, monkeypatch):
    checkpoint.save(at(tmp_path, 16), state(16))
    hashed, digest, synced = [], segments.digest, []
    monkeypatch.setattr(segments, "digest", lambda path, *more: (hashed.append(path.name), digest(path, *more))[1])
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    checkpoint.save(at(tmp_path, 18), state(18))
    assert sorted(hashed) == ["part.rows@16-18.safetensors", "state.json", "tensors.safetensors"]
    old = {p.stat().st_ino for p in at(tmp_path, 16).glob("*@*")}
    new = {p.stat().st_ino for p in at(tmp_path, 18).iterdir()} - old
    assert len(old) == 4
    assert new <= set(synced)
    assert not old & set(synced)


@pytest.mark.parametrize("end", [3, 18])
def test_new_segments_are_on_the_disk_before_the_checkpoint(tmp_path, monkeypatch, end):
    synced, rename = [], Path.rename

    def spy(path, target):
        assert {each.stat().st_ino for each in (*path.iterdir(), path)} <= set(synced)
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "rename", spy)
    checkpoint.save(at(tmp_path, end), state(end))
    assert len(synced) == len(set(synced))


def test_without_hard_links_everything_is_written(tmp_path, monkeypatch):
    def refuse(*paths, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for end in (9, 14, 30):
        checkpoint.save(at(tmp_path, end), state(end))
    assert all(same(at(tmp_path, end), end) for end in (9, 14, 30))
    assert {p.stat().st_nlink for p in tmp_path.glob("*/*")} == {1}


def test_a_segment_of_another_size_is_written_anew(tmp_path):
    checkpoint.save(at(tmp_path, 8), state(8))
    cut = at(tmp_path, 8) / "part.rows@0-4.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    checkpoint.save(at(tmp_path, 10), state(10))
    assert same(at(tmp_path, 10), 10)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(at(tmp_path, 8))


@pytest.mark.parametrize(
    "manifest", [b"", b"{", b"[]", b'{"files": 3}', b'{"files": {"part.rows@x-4.safetensors": 1}}']
)
def test_a_damaged_checkpoint_has_nothing_to_share(tmp_path, manifest):
    checkpoint.save(at(tmp_path, 8), state(8))
    (at(tmp_path, 8) / "manifest.json").write_bytes(manifest)
    checkpoint.save(at(tmp_path, 10), state(10))
    assert same(at(tmp_path, 10), 10)
    assert {p.stat().st_nlink for p in at(tmp_path, 10).iterdir()} == {1}


def test_every_damage_to_a_segment_is_noticed_but_by_those_who_do_not_read_it(tmp_path):
    folder = at(tmp_path, 10)
    checkpoint.save(folder, state(10))
    for path in folder.glob("*@*"):
        whole = path.read_bytes()
        for position in (0, 9, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            with pytest.raises(CheckpointError, match="damaged"):
                checkpoint.load(folder)
            assert checkpoint.load(folder, rows=False)["time"] == 10
        for content in (whole[:-1], whole + b"\0"):
            path.write_bytes(content)
            for rows in (True, False):
                with pytest.raises(CheckpointError, match="damaged"):
                    checkpoint.load(folder, rows=rows)
        path.unlink()
        for rows in (True, False):
            with pytest.raises(CheckpointError, match="damaged"):
                checkpoint.load(folder, rows=rows)
        path.write_bytes(whole)
    assert same(folder, 10)


def test_without_rows_other_files_are_checked_all_the_same(tmp_path):
    folder = at(tmp_path, 10)
    checkpoint.save(folder, state(10))
    for name in ("state.json", "tensors.safetensors", "manifest.json"):
        whole = (folder / name).read_bytes()
        for position in range(0, len(whole), 7):
            changed = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
            digit = name == "manifest.json" and chr(whole[position]) in "0123456789abcdef"
            if not digit:  # the digest of a segment is noticed where the segment is read
                (folder / name).write_bytes(changed)
                with pytest.raises(CheckpointError):
                    checkpoint.load(folder, rows=False)
        (folder / name).write_bytes(whole)


def test_a_file_that_checkpoints_share_is_read_once(tmp_path, monkeypatch):
    for end in (8, 16, 20):
        checkpoint.save(at(tmp_path, end), state(end))
    read, opened = [], segments.files.opened
    monkeypatch.setattr(segments.files, "opened", lambda path: (read.append(path.name), opened(path))[1])
    digests = {}
    for end in (8, 16, 20):
        checkpoint.verify(at(tmp_path, end), digests=digests)
    assert sorted(name for name in read if "@" not in name) == sorted(
        ["manifest.json", "state.json", "tensors.safetensors"] * 3
    )
    assert sum("@" in name for name in read) == 2 + 4 + 5
    assert len(digests) == 5 + 6


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_never_written(tmp_path, value):
    checkpoint.save(at(tmp_path, 8), state(8))
    broken = state(10)
    broken["part"]["rows"].columns["x"][9, 2] = value
    with pytest.raises(
        NotFinite, match=r"x of part.rows@8-10.safetensors holds values that are not finite, so it was not"
    ):
        checkpoint.save(at(tmp_path, 10), broken)
    assert [p.name for p in tmp_path.iterdir()] == ["000000008"]


CRAFTED = [
    {"first": 0},
    [],
    3,
    {"first": 0, "end": 4, "segments": 3},
    {"first": 0, "end": 4, "segments": [[]]},
    {"first": 0, "end": 4, "segments": [["../x@0-4.safetensors", 0, 4]]},
    {"first": 0, "end": 4, "segments": [["tensors.safetensors", 0, 4]]},
    {"first": 0, "end": 4, "segments": [["none@0-4.safetensors", 0, 4]]},
    {"first": 0, "end": 4, "segments": []},
    {"first": 0, "end": 4, "segments": [["part.rows@0-4.safetensors", 0, 3]]},
    {"first": 0, "end": 4, "segments": [["part.rows@0-4.safetensors", 1, 4]]},
    {"first": 0, "end": 4, "segments": [["part.rows@0-4.safetensors", 0, 0]] * 9},
    {"first": "0", "end": 4, "segments": [["part.rows@0-4.safetensors", 0, 4]]},
    {"first": -4, "end": 0, "segments": [["part.rows@0-4.safetensors", -4, 0]]},
    {"first": 0, "end": 10**18, "segments": [["part.rows@0-4.safetensors", 0, 10**18]]},
    {"first": 0, "end": 10, "segments": [["part.rows@0-4.safetensors", 0, 10]]},
]


@pytest.mark.parametrize("description", CRAFTED)
def test_a_crafted_description_is_refused(tmp_path, description):
    folder = at(tmp_path, 4)
    checkpoint.save(folder, state(4))
    (folder / "state.json").write_text(json.dumps({"part": {"rows": {"$ring": description}}, "time": 4}))
    (folder / "manifest.json").write_bytes(checkpoint._manifest(folder, checkpoint.SCHEMA))
    with pytest.raises((CheckpointError, ValueError)):
        loaded(folder)


@pytest.mark.parametrize("fatal", range(1, 9))
def test_a_crash_while_segments_are_written_leaves_the_older_checkpoint(tmp_path, monkeypatch, fatal):
    older, newer = at(tmp_path, 9), at(tmp_path, 30)
    checkpoint.save(older, state(9))
    calls, write = [], segments._write

    def failing(*words):
        calls.append(words)
        if len(calls) == fatal:
            raise OSError(28, "No space left on device")
        return write(*words)

    monkeypatch.setattr(segments, "_write", failing)
    try:
        checkpoint.save(newer, state(30))
    except OSError:
        assert [p.name for p in tmp_path.iterdir()] == [older.name]
    else:
        assert fatal > len(calls) > 4
        assert same(newer, 30)
    assert same(older, 9)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("killed", [False, True])
def test_a_crash_at_any_point_leaves_the_older_checkpoints(tmp_path, monkeypatch, error, killed):
    monkeypatch.setattr(segments, "THREADS", 1)
    monkeypatch.setattr(segments.files, "THREADS", 1)
    for end in (6, 9):
        checkpoint.save(at(tmp_path, end), state(end))
    for fatal in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, fatal, error, killed)
            patch.setattr(os, "link", fault.wrap(os.link))
            patch.setattr(segments, "save_file", fault.wrap(segments.save_file))
            try:
                checkpoint.save(at(tmp_path, 15), state(15))
                failed = False
            except type(error):
                failed = True
        assert same(at(tmp_path, 6), 6)
        assert same(at(tmp_path, 9), 9)
        if at(tmp_path, 15).exists():
            assert same(at(tmp_path, 15), 15)
            shutil.rmtree(at(tmp_path, 15))
        elif not killed:
            assert sorted(p.name for p in tmp_path.iterdir()) == ["000000006", "000000009"]
        if not failed:
            break
    assert fault.calls > 15
    for old in (6, 9):  # a checkpoint needs none of those whose files it shares
        checkpoint.save(at(tmp_path, 15), state(15))
        shutil.rmtree(at(tmp_path, old))
    assert same(at(tmp_path, 15), 15)
