import os
import pickle
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError, Diverged, NotFinite

ROOT = Path(__file__).parents[2]


def small(value=1.0):
    return {"weights": {"layer.0": torch.full((2,), value)}, "rng": torch.arange(3), "time": 7, "names": ["a", None]}


def same(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def everything():
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    noise = torch.randn(3, 4, dtype=torch.float64)
    return {
        "optimizer": optimizer.state_dict(),  # its keys are integers, its betas a tuple
        "module": dict(module.state_dict()),
        "dtypes": [noise.to(dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16)],
        "integers": (torch.tensor([True, False]), torch.tensor([0, 255], dtype=torch.uint8), torch.tensor([-(2**62)])),
        "shapes": {"empty": torch.zeros(0, 5), "scalar": torch.tensor(3.5), "strided": noise.t()[::2]},
        "generators": {"torch": torch.Generator().get_state(), "numpy": np.random.default_rng(1).bit_generator.state},
        "plain": {"nested": [(), (1, (2.5, "ü\n")), [], {}, None, True, -0.1, 2**200], "$odd": {"$tensor": 1}},
        "keys": {1: "int", "1": "str", True and 2: {3: torch.ones(1)}, None: "none"},
        "time": 12,
    }


def test_round_trip(tmp_path):
    state = everything()
    checkpoint.save(tmp_path / "000000012", state)
    assert same(checkpoint.load(tmp_path / "000000012"), state)
    assert [path.name for path in tmp_path.iterdir()] == ["000000012"]


def test_tensors_of_equal_paths_stay_distinct(tmp_path):
    state = {"x": {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}, 1: torch.ones(2), "1": torch.zeros(2)}}
    checkpoint.save(tmp_path / "1", state)
    assert same(checkpoint.load(tmp_path / "1"), state)


def test_a_value_of_an_unknown_type_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"agent\.rng\.0 is a Random"):
        checkpoint.save(tmp_path / "1", {"agent": {"rng": [random.Random()]}})
    assert list(tmp_path.iterdir()) == []


def test_every_changed_byte_is_noticed(tmp_path):
    folder, draw = tmp_path / "1", random.Random(0)
    checkpoint.save(folder, small())
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for position in range(len(whole)):
            for change in {7, draw.randrange(1, 256)} if path.suffix == ".json" else {draw.randrange(1, 256)}:
                # 7 turns a line feed into a carriage return
                damaged = bytearray(whole)
                damaged[position] ^= change
                path.write_bytes(damaged)
                with pytest.raises(CheckpointError):
                    checkpoint.verify(folder)
        path.write_bytes(whole)
    checkpoint.verify(folder)


def test_a_large_checkpoint_is_read_to_its_end(tmp_path):
    folder, draw = tmp_path / "1", random.Random(0)
    checkpoint.save(folder, {"replay": torch.randn(200_000)})
    path = folder / "tensors.safetensors"
    for _ in range(20):
        position, change = draw.randrange(path.stat().st_size), draw.randrange(1, 256)
        with path.open("r+b") as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ change]))
            file.flush()
            with pytest.raises(CheckpointError):
                checkpoint.load(folder)
            file.seek(position)
            file.write(bytes([byte]))
    checkpoint.load(folder)


def test_every_truncation_is_noticed(tmp_path):
    folder = tmp_path / "1"
    checkpoint.save(folder, small())
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for length in {*range(0, len(whole), 5), len(whole) - 1}:
            path.write_bytes(whole[:length])
            with pytest.raises(CheckpointError):
                checkpoint.load(folder)
        path.write_bytes(whole)
    checkpoint.load(folder)


def test_a_missing_or_foreign_file_is_noticed(tmp_path):
    folder = tmp_path / "1"
    checkpoint.save(folder, small())
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(CheckpointError):
            checkpoint.load(folder)
        path.write_bytes(whole)
    (folder / "more.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(folder)
    with pytest.raises(CheckpointError, match="not a complete checkpoint"):
        checkpoint.load(tmp_path / "never")


class Fault:
    """Raises `error` at call number `fatal` of the functions that write, and counts the calls."""

    def __init__(self, monkeypatch, fatal, error, killed):
        self.calls, self.fatal, self.error = 0, fatal, error
        for owner, name in ((os, "fsync"), (checkpoint, "save_file"), (checkpoint, "sync"), (Path, "rename"),
                            (Path, "mkdir"), (Path, "write_text"), (Path, "write_bytes")):  # fmt: skip
            monkeypatch.setattr(owner, name, self.wrap(getattr(owner, name)))
        if killed:  # a killed process removes nothing
            rmtree = shutil.rmtree
            monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: None if self.calls >= fatal else rmtree(*a, **k))

    def wrap(self, function):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == self.fatal:
                raise self.error
            return function(*args, **kwargs)

        return call


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("killed", [False, True])
def test_a_crash_at_any_point_leaves_the_older_checkpoint(tmp_path, error, killed):
    older, newer = tmp_path / "000000001", tmp_path / "000000002"
    checkpoint.save(older, small(1.0))
    for fatal in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, fatal, error, killed)
            try:
                checkpoint.save(newer, small(2.0))
            except type(error):
                failed = True
            else:
                failed = False
        assert same(checkpoint.load(older), small(1.0))
        newest, *rest = checkpoint.newest_first(tmp_path)
        if newest == newer:  # only a complete checkpoint has this name
            assert same(checkpoint.load(newer), small(2.0))
            assert rest == [older]
            shutil.rmtree(newer)
        else:
            assert newest == older
            if not killed:
                assert [path.name for path in tmp_path.iterdir()] == ["000000001"]
        if not failed:
            break
    assert fault.calls == fatal - 1 > 10
    checkpoint.save(newer, small(2.0))  # leftovers do not interfere
    assert same(checkpoint.load(newer), small(2.0))


def test_files_are_on_the_disk_before_the_folder_is_renamed(tmp_path, monkeypatch):
    synced, rename = [], Path.rename

    def spy(path, target):
        contents = {file.stat().st_ino for file in path.iterdir()}
        assert len(contents) == 3  # tensors, other values, manifest
        assert contents | {path.stat().st_ino} <= set(synced)
        synced.clear()
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(Path, "rename", spy)
    checkpoint.save(tmp_path / "1", small())
    assert synced == [tmp_path.stat().st_ino]


def test_a_full_disk_raises_oserror_from_every_library(tmp_path):
    """Safetensors raises an error class of its own."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(tmp_path / "1", {"replay": torch.zeros(10_000)})
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(tmp_path / "1", {"words": "a" * 20_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, None])
def test_values_that_are_not_finite_are_never_written(tmp_path, value, dtype):
    checkpoint.save(tmp_path / "1", small())
    broken = value if dtype is None else torch.tensor([1.0, value], dtype=dtype)
    with pytest.raises(NotFinite, match=r"agent\.q\.1 (holds|is).*not written$") as caught:
        checkpoint.save(tmp_path / "2", {"time": 3, "agent": {"q": [torch.zeros(1), broken]}})
    assert not isinstance(caught.value, Diverged)  # no training, no advice on its step size
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_the_same_time_is_written_once_unless_it_is_damaged(tmp_path):
    folder = tmp_path / "1"
    checkpoint.save(folder, small())
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    checkpoint.save(folder, small())
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    (folder / "state.json").write_text("{}")
    checkpoint.save(folder, small())
    assert same(checkpoint.load(folder), small())


def test_newest_first_sorts_by_number(tmp_path):
    for name in ("000000009", "000000010", "1000000000", ".partial-000000011-5", "best"):
        (tmp_path / name).mkdir()
    assert [int(path.name) for path in checkpoint.newest_first(tmp_path)] == [10**9, 10, 9]
    assert checkpoint.newest_first(tmp_path / "none") == []


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_loading_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, events, listening = tmp_path / "checkpoints" / "1", [], []
    sys.addaudithook(lambda event, _: events.append(event) if listening else None)
    checkpoint.save(folder, everything())
    for place in (tmp_path, folder.parent):
        torch.save({"a": Bomb()}, place / "model.pt")
        (place / "state.pkl").write_bytes(pickle.dumps(Bomb()))
    checkpoint.load(folder)
    listening.append(True)
    checkpoint.load(folder)
    listening.clear()
    assert "open" in events  # the hook is active
    assert not {"pickle.find_class", "exec", "compile", "marshal.loads", "os.system", "subprocess.Popen"} & set(events)
    assert not Path("exploded").exists()

    torch.save({"a": Bomb()}, folder / "tensors.safetensors")  # nor from a pickle under the name of a valid file
    with pytest.raises(CheckpointError):
        checkpoint.load(folder)
    (folder / "manifest.json").write_bytes(
        checkpoint._manifest(folder, checkpoint.SCHEMA)
    )  # nor with a forged manifest
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(folder)
    assert not Path("exploded").exists()
