"""run.json: its seal, and the types of its entries."""

import json

import pytest

from rlgen.core import description, seal
from rlgen.core.errors import CheckpointError, NewerCheckpoint, UserError

INFO = {"created": "2026-01-01T00:00:00+00:00", "algorithm": "dqn", "plan": {"budget": 10}, "time": 3}


def test_a_description_is_read_as_it_was_written(tmp_path):
    description.write(tmp_path, INFO)
    assert description.read(tmp_path, sealed=True) == INFO
    assert json.loads((tmp_path / "run.json").read_text())["sha256"]


def test_every_flip_of_a_sealed_file_is_noticed(tmp_path):
    content = seal.dump(INFO)
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            (tmp_path / "run.json").write_bytes(flipped)
            with pytest.raises(UserError):
                description.read(tmp_path, sealed=True)


def test_every_truncation_of_a_sealed_file_is_noticed(tmp_path):
    content = seal.dump(INFO)
    for size in range(len(content) - 1):
        (tmp_path / "run.json").write_bytes(content[:size])
        with pytest.raises(UserError):
            description.read(tmp_path, sealed=True)


def test_a_changed_description_is_read_where_the_seal_does_not_matter(tmp_path):
    description.write(tmp_path, INFO)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace("dqn", "gan"))
    assert description.read(tmp_path)["algorithm"] == "gan"
    with pytest.raises(CheckpointError, match=r"run\.json was changed after it was written.*`rlgen verify"):
        description.read(tmp_path, sealed=True)


def test_a_description_of_an_earlier_version_has_no_seal(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(INFO, indent=2) + "\n")
    assert description.read(tmp_path, sealed=True) == INFO


def test_an_empty_object_has_a_seal():
    assert seal.is_intact(seal.dump({}))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"plan": None}, "plan is None"),
        ({"plan": {"budget": 0}}, "budget is 0"),
        ({"plan": {"budget": True}}, "budget is True"),
        ({"plan": {"budget": "9\n"}}, "budget is '9"),
        ({"plan": {"budget": 10**80}}, r"budget is 1000.*\.\.\."),
        ({"created": 5}, "created is 5"),
        ({"created": "yesterday"}, "created is 'yesterday'"),
        ({"created": "2026-01-01T00:00:00"}, "created has no time zone"),
        ({"algorithm": ["dqn"]}, r"algorithm is \['dqn'\]"),
        ({"time": -1}, "time is -1"),
        ({"time": 0.5}, "time is 0.5"),
    ],
)
def test_entries_of_a_wrong_type_are_named(more, match):
    import re

    assert description.fault(INFO) is None
    assert re.search(match, description.fault({**INFO, **more}))


def test_a_full_disk_leaves_room_for_the_status(tmp_path):
    description.write(tmp_path, INFO)
    before = (tmp_path / "run.json").stat()
    description.overwrite(tmp_path, {**INFO, "status": "failed"})
    assert description.read(tmp_path, sealed=True)["status"] == "failed"
    assert (tmp_path / "run.json").stat().st_ino == before.st_ino
    description.overwrite(tmp_path, {**INFO, "error": "x" * 9_000})  # does not fit into its blocks
    assert "error" not in description.read(tmp_path, sealed=True)


def test_a_later_schema_is_refused(tmp_path):
    description.write(tmp_path, INFO)
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["schema"] == description.SCHEMA == 1
    for schema in (2, 10**30, "new", None):
        (tmp_path / "run.json").write_text(json.dumps({**written, "schema": schema}))  # its seal need not be known
        with pytest.raises(NewerCheckpoint, match=r"has schema .* and this rlgen reads up to 1: install a newer rlgen"):
            description.read(tmp_path, sealed=True)
