import json
import shutil
import struct

import numpy as np
import pytest

from rlgen import api
from rlgen.core.folder import Folder
from rlgen.report.event_files import EventFiles, crc32c, record, scalars
from rlgen.report.pictures import write_png


def read(path):
    """The records of a file, each checked against its two checksums."""
    data, found = path.read_bytes(), []
    while data:
        length = data[:8]
        (size,) = struct.unpack("<Q", length)
        content, rest = data[12 : 12 + size], data[12 + size :]
        assert record(content) == data[: 16 + size]
        found.append(content)
        data = rest[4:]
    return found


def values(content):
    """Step and numbers by name of a record of scalars, by a decoder of its own."""

    def varint(i):
        number = shift = 0
        while True:
            number |= (content[i] & 0x7F) << shift
            shift, i = shift + 7, i + 1
            if content[i - 1] < 0x80:
                return number, i

    assert content[0] == 0x09
    assert content[9] == 0x10
    step, i = varint(10)
    assert content[i] == 0x2A
    _, i = varint(i + 1)
    found = {}
    while i < len(content):
        assert content[i] == 0x0A
        size, i = varint(i + 1)
        letters = content[i + 1]
        name = content[i + 2 : i + 2 + letters].decode()
        assert content[i + 2 + letters] == 0x15
        (found[name],) = struct.unpack("<f", content[i + 3 + letters : i + size])
        i += size
    return step, found


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksums_of_the_standard(data, crc):
    assert crc32c(data) == crc


def test_a_record_in_bytes():
    data = scalars(1.5, 300, {"loss": 0.25})
    event = b"\x09" + struct.pack("<d", 1.5) + b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15" + struct.pack("<f", 0.25)
    assert data[12:-4] == event
    assert struct.unpack("<Q", data[:8]) == (len(event),)


@pytest.fixture
def folder(tmp_path):
    folder = Folder.create(tmp_path, "x", algorithm="gan", task="mnist")
    rows = [{"time": 0, "eval_a": 1.5}, {"time": 100, "loss": [1, 2], "b": 3}, {"time": 300, "loss": [None, 4e99]}]
    (folder.directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_png(np.zeros((8, 12), np.uint8), folder.directory / "samples" / "000000100.png")
    return folder


def files(folder):
    return {p.parent.name: p for p in sorted((folder.directory / "tensorboard").rglob("events*"))}


def test_every_row_is_exported_seeds_in_folders_of_their_own(folder):
    assert len(EventFiles(folder).export()) == 3
    found = files(folder)
    assert set(found) == {"tensorboard", "seed-0", "seed-1"}
    head, *events = read(found["tensorboard"])
    assert b"brain.Event:2" in head
    assert [values(event) for event in events[:2]] == [(0, {"eval_a": 1.5}), (100, {"b": 3.0})]
    assert b"samples" in events[2]
    assert b"\x89PNG" in events[2]
    assert [values(event) for event in read(found["seed-1"])[1:]] == [(100, {"loss": 2.0}), (300, {"loss": np.inf})]
    assert [values(event) for event in read(found["seed-0"])[1:]] == [(100, {"loss": 1.0})]


def test_a_second_export_replaces_the_first_under_a_later_name(folder):
    EventFiles(folder).export()
    first = files(folder)["tensorboard"].name
    EventFiles(folder).export()
    assert len(files(folder)) == 3
    assert files(folder)["tensorboard"].name > first


SMALL = {"budget": 600, "log_every": 100, "eval_every": 300, "save_every": 300, "learning_starts": 100}


def test_a_resumed_run_has_the_events_of_its_log_and_no_others(tmp_path):
    run = api.train("dqn", "CartPole", runs=tmp_path, progress=False, tensorboard=True, **SMALL)
    (path,) = (run.directory / "tensorboard").iterdir()
    complete = [values(event) for event in read(path)[1:]]
    logged = [(row.pop("time"), set(row)) for row in run.rows()]
    assert logged == [(step, set(found)) for step, found in complete]
    shutil.rmtree(max((run.directory / "checkpoints").iterdir()))
    Folder(run.directory).describe(status="interrupted")
    api.resume(run, progress=False)
    (again,) = (run.directory / "tensorboard").iterdir()
    assert again != path
    assert [values(event) for event in read(again)[1:]] == complete


def test_tensorboard_reads_scalars_and_images(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    EventFiles(folder).export()
    reader = accumulator.EventAccumulator(str(folder.directory / "tensorboard"))
    reader.Reload()
    assert set(reader.Tags()["scalars"]) == {"eval_a", "b"}
    assert [(event.step, event.value) for event in reader.Scalars("b")] == [(100, 3.0)]
    (image,) = reader.Images("samples")
    assert (image.step, image.width, image.height) == (100, 12, 8)
    seed = accumulator.EventAccumulator(str(folder.directory / "tensorboard" / "seed-1"))
    seed.Reload()
    assert [(event.step, event.value) for event in seed.Scalars("loss")] == [(100, 2.0), (300, np.inf)]
