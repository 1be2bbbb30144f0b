import json
import math

import pytest
import torch
from torch import nn

from rlgen.core import divergence
from rlgen.core.errors import CheckpointError, Diverged, UserError
from rlgen.core.optim import Optimization
from rlgen.core.optim.settings import OptimizerSettings


class Trained:
    """An algorithm with one weight vector per seed, trained on batches that are kept."""

    def __init__(self, seeds=1, **settings):
        self.time = 1_250
        self.weights = nn.Linear(2, 3)
        self.optimizer = Optimization(OptimizerSettings(**settings), self.weights)


@pytest.fixture
def trained():
    made = Trained(lr=0.25)
    made.optimizer.step(lambda: made.weights(torch.ones(4, 2)).sum(), 0, {"x": torch.ones(4, 2), "labels": None})
    return made


def error_of(trained, x):
    """The error of a gradient step on x."""
    with pytest.raises(Diverged) as caught:
        trained.optimizer.step(lambda: trained.weights(x).sum(), 0, {"x": x})
    return caught.value


def test_the_batch_of_a_divergence_is_read_back(trained, tmp_path):
    x = torch.ones(4, 2)
    x[3, 1] = math.inf
    path = divergence.record(tmp_path, trained, error_of(trained, x), rollbacks=2)
    assert path == tmp_path / "diverged" / "000001250-2.json"
    found = divergence.read(path)
    assert torch.equal(found.batch["x"], x)
    assert found.facts["tensors"]["x"] == {"shape": [4, 2], "dtype": "float32", "not_finite": 1, "first": [3, 1]}
    assert (found.facts["time"], found.facts["rollbacks"], found.facts["seeds"]) == (1_250, 2, [0])
    assert found.facts["learning_rates"] == {"optimizer": 0.25}
    assert found.facts["loss"] in ("inf", "-inf", "nan")
    assert "try a smaller --lr" in found.facts["message"]
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(word))


def test_the_batch_is_kept_where_the_weights_are_found_broken_later(trained, tmp_path):
    found = divergence.read(divergence.record(tmp_path, trained, Diverged("at 1,250 weights are not finite")))
    assert found.batch["x"].shape == (4, 2)
    assert found.facts["seeds"] == []


def test_a_damaged_batch_is_refused(trained, tmp_path):
    path = divergence.record(tmp_path, trained, Diverged("nan"))
    tensors = path.with_suffix(".safetensors")
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="is damaged"):
        divergence.read(path)
    path.write_text("[]")
    with pytest.raises(CheckpointError, match="cannot be read"):
        divergence.read(path)


def test_a_newer_schema_is_refused(trained, tmp_path):
    path = divergence.record(tmp_path, trained, Diverged("nan"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": divergence.SCHEMA + 1}))
    with pytest.raises(CheckpointError, match="has schema 2 and this rlgen reads up to 1: install a newer rlgen"):
        divergence.read(path)


def test_the_record_is_bounded_in_size(trained, tmp_path, monkeypatch):
    batch = {"small": torch.zeros(4), "x": torch.arange(100.0).view(50, 2), "larger": torch.zeros(1_000)}
    kept = divergence.bounded(batch, 16 + 80)
    assert list(kept) == ["small", "x"]
    assert torch.equal(kept["x"], batch["x"][:10])
    assert list(divergence.bounded(batch, 16 + 400 + 4_000)) == ["small", "x", "larger"]
    assert list(divergence.bounded({"number": torch.tensor(0.0), "x": torch.zeros(4)}, 2)) == []
    monkeypatch.setattr(divergence, "MAX_BYTES", 16)
    trained.optimizer.batch = batch
    found = divergence.read(divergence.record(tmp_path, trained, Diverged("nan")))
    assert {name: tensor.numel() for name, tensor in found.batch.items()} == {"small": 4}
    assert found.facts["tensors"]["x"]["shape"] == [50, 2]


def test_only_the_latest_divergences_are_kept(trained, tmp_path):
    for trained.time in range(10):
        divergence.record(tmp_path, trained, Diverged("nan"))
    names = sorted(path.name for path in (tmp_path / "diverged").iterdir())
    assert names == [f"{time:09d}-0.{end}" for time in (6, 7, 8, 9) for end in ("json", "safetensors")]


def test_a_record_that_cannot_be_written_is_a_warning(trained, tmp_path, caplog):
    (tmp_path / "diverged").write_text("a file")
    assert divergence.record(tmp_path, trained, Diverged("nan")) is None
    assert "the batch of the divergence at 1,250 was not written" in caplog.text


def test_rates_are_halved_with_each_rollback(trained):
    for rollbacks, rate in ((0, 0.25), (1, 0.125), (3, 0.03125)):
        divergence.lower_rates(trained, rollbacks)
        assert trained.optimizer.learning_rate(0) == rate
    weights = torch.nn.utils.parameters_to_vector(trained.weights.parameters()).clone()
    rate = trained.optimizer.step(lambda: trained.weights(torch.ones(4, 2)).sum(), 0)["lr"]
    assert rate == 0.03125
    assert not torch.equal(weights, torch.nn.utils.parameters_to_vector(trained.weights.parameters()))


def test_a_rollback_needs_a_rate_to_lower():
    divergence.check_rollback(Trained(), "vae")
    for algorithm, name in ((Trained(optimizer="lbfgs"), "stack"), (object.__new__(Trained), "knn")):
        with pytest.raises(UserError, match=f"{name} takes no gradient steps whose rate could be lowered"):
            divergence.check_rollback(algorithm, name)


def test_the_message_names_the_time_the_seeds_the_batch_and_the_way_on(trained, tmp_path):
    error = Diverged("the loss is nan: try a smaller --lr")
    told = divergence.explained(error, trained, tmp_path, 0, tmp_path / "x.json")
    assert told == (
        "at 1,250 the loss is nan: try a smaller --lr,"
        f" or `rlgen resume {tmp_path} --on-divergence rollback`; its batch: {tmp_path}/x.json"
    )
    assert "after 3 rollbacks to a checkpoint" in divergence.explained(error, trained, tmp_path, 3, None)
    assert divergence.announced(error, 2) == (
        "the loss is nan: back to the last checkpoint, all learning rates times 0.5 (rollback 2 of 3)"
    )
