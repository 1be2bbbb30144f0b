"""Portraits: which are kept, what they hold, and what happens where one cannot be written or read."""

import logging
import subprocess
import sys

import pytest
import torch
from torch import nn

from rlgen.core import checkpoint, portraits
from rlgen.core.errors import CheckpointError, Diverged, UserError
from rlgen.core.fit import fit
from rlgen.core.run import Run
from rlgen.core.settings import Plan
from rlgen.core.state import Stateful


class Weighted(Stateful):
    """Adds 1 to its weights in every step; its `moments` belong to the training alone."""

    state = ("network", "part", "moments", "time")
    learned = ("network", "part", "time")
    score = "eval_weight"

    def __init__(self, size=3):
        self.network, self.part, self.moments, self.time = nn.Linear(size, 1, bias=False), Part(), torch.zeros(2), 0
        nn.init.zeros_(self.network.weight)

    def describe_task(self):
        return {}

    def step(self):
        with torch.no_grad():
            self.network.weight += 1
        self.time += 1
        self.part.known = self.part.other = self.time
        self.moments += 1
        return {"loss": 0.0}

    def evaluate(self):
        return {"eval_weight": self.network.weight.mean()}

    def draw(self):
        return {}


class Part(Stateful):
    state = ("known", "other")
    learned = ("known",)
    known = other = 0


PLAN = Plan(budget=100, log_every=1, eval_every=1, save_every=10)


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "runs", "weighted")


def train(run, algorithm=None, plan=PLAN, **more):
    algorithm = algorithm or Weighted()
    with run:
        fit(algorithm, run, Plan(**{**vars(plan), **more}))
    return run


def kept(count, most):
    """Times of the portraits after evaluations 0, 1, ..., count - 1, chosen by trying strides one after the other."""
    stride = 1
    while True:
        times = sorted({*range(0, count, stride), count - 1})
        if len(times) <= most:
            return times
        stride *= 2


@pytest.mark.parametrize("most", [2, 3, 5, 32])
def test_an_even_choice_is_kept_after_any_number_of_evaluations(most):
    taken = []
    for number in range(300):
        taken = portraits.thinned([*taken, [number, 7 * number]], most)
        assert [time for _, time in taken] == [7 * each for each in kept(number + 1, most)]
        assert len(taken) >= min(number + 1, most // 2 + 1)


def test_a_long_run_has_at_most_32(run):
    train(run)
    assert portraits.times(run.directory) == kept(101, 32)
    assert 16 < len(portraits.times(run.directory)) <= 32


def test_a_portrait_holds_the_learned_state_alone(run):
    train(run, budget=4)
    saved = checkpoint.load(run.directory / "portraits" / "000000003")
    assert saved.keys() == {"network", "part", "time"}
    assert saved["part"] == {"known": 3}
    restored = Weighted()
    restored.part.other = -1
    Run(run.directory).load(restored, at=3)
    assert (restored.time, restored.part.known, restored.part.other) == (3, 3, -1)
    assert restored.network.weight.tolist() == [[3.0] * 3]
    assert restored.moments.tolist() == [0, 0]


def test_the_nearest_is_taken_and_of_two_the_earlier(run):
    train(run, budget=20, eval_every=4)
    assert portraits.times(run.directory) == [0, 4, 8, 12, 16, 20]
    nearest = {at: portraits.nearest(run.directory, at) for at in (0, 1, 2, 3, 9, 10, 11, 19, 10**9)}
    assert nearest == {0: 0, 1: 0, 2: 0, 3: 4, 9: 8, 10: 8, 11: 12, 19: 20, 10**9: 20}


@pytest.mark.parametrize(("size", "count"), [(10, 5), (100_000, 5), (100_001, 3), (250_000, 2), (250_001, 0)])
def test_a_large_network_has_fewer(run, monkeypatch, size, count):
    """Each takes 4 bytes per weight; of 2 MB in all."""
    monkeypatch.setattr(portraits, "MAX_BYTES", 2_000_000)
    train(run, Weighted(size), budget=4)
    found = portraits.times(run.directory)
    assert len(found) == count
    assert (run.directory / "portraits").exists() == (count > 0)


@pytest.mark.parametrize(
    "stop", [pytest.param(3, marks=pytest.mark.slow), 33, pytest.param(70, marks=pytest.mark.slow)]
)
def test_a_resume_cuts_them_back_and_ends_with_the_same(run, tmp_path, stop):
    train(run)
    other = Run.create(tmp_path / "runs", "weighted")
    train(other, budget=stop)
    later = Run(other.directory)
    for time in (stop + 1, stop + 20):  # of a training that was killed before its next checkpoint
        checkpoint.save(other.directory / "portraits" / f"{time:09d}", {"time": time})
    algorithm = Weighted()
    later.resume(algorithm)
    assert max(portraits.times(other.directory)) == algorithm.time == stop
    train(later)
    assert portraits.times(other.directory) == portraits.times(run.directory)
    for time in portraits.times(run.directory):
        one, same = (each.directory / "portraits" / f"{time:09d}" / "manifest.json" for each in (run, other))
        assert one.read_bytes() == same.read_bytes()


def test_a_run_of_an_earlier_version_goes_on_without_the_portraits_it_has_not(run):
    train(run, budget=20, portraits=False)
    assert portraits.times(run.directory) == []
    (newest, *_) = checkpoint.newest_first(run.directory / "checkpoints")
    saved = checkpoint.load(newest)
    del saved["run"]["portraits"]
    for path in newest.parent.iterdir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    checkpoint.save(newest, saved)
    train(Run(run.directory), budget=23)
    assert portraits.times(run.directory) == [21, 22, 23]


def test_training_continues_without_a_portrait_on_a_full_disk(run, monkeypatch, caplog):
    save = checkpoint.save

    def full(folder, state, **how):
        if folder.parent.name == "portraits" and state["time"] in (2, 3):
            raise OSError(28, "No space left on device")
        save(folder, state, **how)

    monkeypatch.setattr(checkpoint, "save", full)
    with caplog.at_level(logging.WARNING, "rlgen"):
        train(run, budget=5)
    assert [record.getMessage()[:40] for record in caplog.records] == [
        f"the portrait at {time} was not written ([Errn"[:40] for time in (2, 3)
    ]
    assert portraits.times(run.directory) == [0, 1, 4, 5]
    assert run.info["status"] == "finished"


def test_weights_that_are_not_finite_end_the_training(run, monkeypatch):
    algorithm = Weighted()
    monkeypatch.setattr(algorithm, "evaluate", lambda: {"eval_weight": 0.0})
    algorithm.network.weight.data.fill_(torch.nan)
    with pytest.raises(Diverged, match=r"network\.weight holds values that are not finite"):
        train(run, algorithm)
    assert portraits.times(run.directory) == []


def test_a_damaged_portrait_is_one_clear_line(run):
    train(run, budget=3)
    path = run.directory / "portraits" / "000000002" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match=r"^the portrait of weighted-1 at 2: .* damaged.*; use another") as raised:
        Run(run.directory).load(Weighted(), at=2)
    assert "\n" not in str(raised.value)
    Run(run.directory).load(Weighted(), at=1)


def test_a_portrait_of_another_network_is_one_clear_line(run):
    train(run, budget=3)
    with pytest.raises(CheckpointError, match="does not fit its settings"):
        Run(run.directory).load(Weighted(size=5), at=2)


def test_a_run_without_portraits_has_none_nearest(run):
    train(run, budget=3, portraits=False)
    assert not (run.directory / "portraits").exists()
    with pytest.raises(UserError, match=r"weighted-1 has no portraits, .*checkpoints"):
        Run(run.directory).load(Weighted(), at=2)


def test_times_are_known_without_torch(run):
    train(run, budget=3)
    words = "import sys; from pathlib import Path; from rlgen.core import portraits; "
    words += "print(portraits.times(Path(sys.argv[1])), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words, str(run.directory)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 1, 2, 3] False"
