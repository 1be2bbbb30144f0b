from dataclasses import dataclass

import pytest
import torch

from rlgen.core import checkpoint, former_names
from rlgen.core.errors import CheckpointError, NewerCheckpoint


@dataclass
class Parent:
    buffer_size: int = 1


@dataclass
class Child(Parent):
    kept: int = 2
    warmup: int = 3


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(
        former_names,
        "SETTINGS",
        {"Parent": {"capacity": "buffer_size", "gone": "", "warmup": "buffer_size"}, "Child": {"lanes": "num_envs"}},
    )
    monkeypatch.setattr(
        former_names,
        "STATE",
        {
            "Parent": {
                "lanes": "env",
                "lanes.played": "env.history",
                "replay.memory": "replay.recurrent_state",
                "average": "ema",
                "codebook.words": "codebook.codes",
            },
            "Child": {"see": "input", "input": "output", "lower.*.down": "scales.*.conv.down", "gone": ""},
        },
    )
    monkeypatch.setattr(
        former_names, "ADDED", {"Parent": {"steps": lambda state: state["time"] // 2, "time": lambda s: 0}}
    )


def test_settings_of_a_class_hold_for_those_derived_from_it(tables):
    assert former_names.settings(Parent) == {"capacity": "buffer_size", "gone": "", "warmup": "buffer_size"}
    assert former_names.settings(Child) == {"capacity": "buffer_size", "gone": ""}  # it has a field called warmup


def test_settings_are_read_by_their_current_names(tables):
    values = {"kept": 1, "capacity": 5, "gone": 6, "warmup": 7, "other": 8}
    assert former_names.current_settings(Child, values) == {"kept": 1, "buffer_size": 5, "warmup": 7, "other": 8}
    for both in ({"capacity": 5, "buffer_size": 6}, {"buffer_size": 6, "capacity": 5}):
        assert former_names.current_settings(Child, both) == {"buffer_size": 6}


def test_a_state_is_read_by_its_current_names(tables):
    state = {
        "replay": {"memory": 1, "memory2": 2, "memory.x": 3},
        "memory": 4,
        "lanes": {"played": 16, "obs": 17},
        "average": {"a.see.weight": 5, "see": 6, "seen": 7, "codebook": {"words": 8}, "x.codebook.words": 9},
        "input": 10,
        "network": {"b.lower.0.down.weight": 11, "gone.weight": 12, "words": 13},
        "time": 14,
        "optimizer": {"state": {0: {"memory": 15}}, "see": []},
        "empty": {},
    }
    assert former_names.current_state(Child, state) == {
        "replay": {"recurrent_state": 1, "memory2": 2, "recurrent_state.x": 3},
        "memory": 4,
        "env": {"history": 16, "obs": 17},
        "ema": {"a.input.weight": 5, "input": 6, "seen": 7, "codebook": {"codes": 8}, "x.codebook.codes": 9},
        "output": 10,
        "network": {"b.scales.0.conv.down.weight": 11, "words": 13},
        "time": 14,
        "optimizer": {"state": {0: {"memory": 15}}, "input": []},
        "empty": {},
        "steps": 7,
    }


@dataclass
class Trained:
    optimizer: str = "adam"
    schedule: str = "constant"
    lr_end: float | None = None
    lr_steps: int = 100
    warmup: int = 0
    learning_starts: int = 0


@pytest.mark.parametrize(
    ("former", "current"),
    [
        ({"lr_anneal": 500}, {"lr_steps": 500, "schedule": "cosine"}),
        ({"lr_anneal": 0}, {}),
        ({"lr_end": 1e-5, "lr_steps": 500}, {"lr_end": 1e-5, "lr_steps": 500, "schedule": "linear"}),
        ({"lr_end": None, "lr_steps": 500}, {"lr_end": None, "lr_steps": 500}),
        ({"warmup": 7}, {"learning_starts": 7}),
        ({"optimizer": "sgd", "warmup": 7, "lr_steps": 9}, {"optimizer": "sgd", "warmup": 7, "lr_steps": 9}),
    ],
)
def test_schedules_of_earlier_versions_have_their_names(monkeypatch, former, current):
    names = {"Trained": {"lr_anneal": "lr_steps", "warmup": "learning_starts"}}
    monkeypatch.setattr(former_names, "SETTINGS", names)
    assert former_names.current_settings(Trained, former) == current


def test_metrics_are_read_by_their_current_names():
    assert former_names.current_metrics({"time": 1, "eval_active": 2.0}) == {"time": 1, "eval_active_units": 2.0}


def test_no_pair_is_of_a_current_name():
    """A current name that is also a former name would be renamed in new checkpoints, too."""
    for table in (*former_names.SETTINGS.values(), *former_names.STATE.values(), former_names.METRICS):
        assert not set(table) & set(table.values())


def test_only_a_schema_with_former_names_is_upgraded(tmp_path, monkeypatch):
    def upgrade(state):
        return {"upgraded": state}

    state = {"x": torch.ones(2), "time": 3}
    checkpoint.save(tmp_path / "new", state)
    for schema in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "SCHEMA", schema)
            checkpoint.save(tmp_path / str(schema), state)
    assert checkpoint.load(tmp_path / "new", upgrade)["time"] == 3
    assert checkpoint.load(tmp_path / "2", upgrade)["time"] == 3  # as today but for ring buffers
    assert checkpoint.load(tmp_path / "1", upgrade)["upgraded"]["time"] == 3
    assert [checkpoint.verify(tmp_path / name) for name in ("1", "2", "new")] == [1, 2, checkpoint.SCHEMA]


def test_a_later_schema_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SCHEMA", checkpoint.SCHEMA + 1)
        checkpoint.save(tmp_path / "3", {"time": 3})
    with pytest.raises(NewerCheckpoint, match="has schema 4 and this rlgen reads up to 3: install a newer rlgen") as e:
        checkpoint.load(tmp_path / "3")
    assert isinstance(e.value, CheckpointError)
