"""Every setting of every run is shown to configure what it names: an option without an entry here fails."""

from dataclasses import fields

import pytest
import torch

from rlgen import session
from rlgen.core import device
from rlgen.core.errors import Diverged, UserError
from rlgen.core.folder import Folder
from rlgen.core.settings import Plan, Setup

QUICK = {"budget": 1_000, "log_every": 500, "eval_every": 1_000, "save_every": 1_000}


@pytest.fixture
def train(tmp_path):
    """Train a table, one environment of which takes 100 steps between two looks at the clock."""

    def trained(**options):
        small = {"num_envs": 1, "max_episode_steps": 50, "eval_episodes": 1, "final_episodes": 1}
        prepared = session.prepare("qlearning", "CliffWalking", {**QUICK, **small, **options}, runs=tmp_path)
        prepared.train(quiet=True)
        return prepared

    return trained


def times(prepared, metric):
    return [row["time"] for row in prepared.run.rows() if metric in row]


def seed(train):
    runs = [train(seed=n) for n in (0, 0, 1)]
    first, again, other = ((run.run.directory / "metrics.jsonl").read_text() for run in runs)
    assert first == again != other
    assert [run.algorithm.seed for run in runs] == [0, 0, 1]


def budget(train):
    assert train(budget=300, log_every=100).run.info["time"] == 300
    assert train(budget=700, log_every=100).run.info["time"] == 700


def stop_at(train):
    stopped = train(stop_at=-9e9, eval_every=400)
    assert (stopped.run.info["time"], stopped.plan.budget) == (400, 1_000)


def log_every(train):
    assert times(train(log_every=200), "epsilon") == [200, 400, 600, 800, 1_000]


def eval_every(train):
    assert times(train(eval_every=400), "eval_return") == [0, 400, 800, 1_000]


def save_every(train):
    saved = train(save_every=300).run.directory / "checkpoints"
    assert {"000000900", "000001000"} <= {path.name for path in saved.iterdir()}


def patience(train):
    """Ended by so many evaluations in a row without a better return than the best."""
    prepared = train(patience=2, eval_every=50)
    returns = [row["eval_return"] for row in prepared.run.rows() if "eval_return" in row][1:]  # after the untrained one
    assert prepared.run.info["time"] < prepared.plan.budget
    assert max(returns[-2:]) <= max(returns[:-2])


def portraits(train):
    kept, without = train(eval_every=500), train(eval_every=500, portraits=False)
    assert {path.name for path in (kept.run.directory / "portraits").iterdir()} == {
        "000000000",
        "000000500",
        "000001000",
    }
    assert not (without.run.directory / "portraits").exists()


def tensorboard(train):
    files, without = train(tensorboard=True), train()
    assert len(list((files.run.directory / "tensorboard").iterdir())) == 1
    assert not (without.run.directory / "tensorboard").exists()


WIRED = {
    f.__name__: f for f in (seed, budget, stop_at, patience, log_every, eval_every, save_every, portraits, tensorboard)
}
ELSEWHERE = {"device", "deterministic", "threads", "on_divergence"}  # the tests below


def test_every_setting_has_an_entry():
    assert {*WIRED, *ELSEWHERE} == {f.name for settings in (Setup, Plan) for f in fields(settings)}


@pytest.mark.parametrize("name", WIRED)
def test_a_setting_configures_what_it_names(name, train):
    WIRED[name](train)


def test_a_diverged_run_ends_or_rolls_back_as_typed(tmp_path):
    given = {"lr": 1e30, "budget": 200, "learning_starts": 50, "width": 8, "threads": 1, "eval_episodes": 1}
    for typed, rollbacks in (({}, None), ({"on_divergence": "rollback"}, 3)):
        prepared = session.prepare("dqn", "CartPole", {**given, **typed}, runs=tmp_path)
        with pytest.raises(Diverged, match="after 3 rollbacks" if rollbacks else "--on-divergence rollback`"):
            prepared.train(quiet=True)
        assert (prepared.run.info["status"], prepared.run.info.get("rollbacks")) == ("diverged", rollbacks)
    with pytest.raises(UserError, match="qlearning takes no gradient steps"):
        session.prepare("qlearning", "CliffWalking", {"on_divergence": "rollback"}, runs=tmp_path)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2])
def test_threads_are_as_many_as_typed(tmp_path, threads, count):
    torch.set_num_threads(3 - count)
    given = {"threads": count, "budget": 10, "width": 4}
    made = session.prepare("dqn", "CartPole", given, runs=tmp_path)
    assert torch.get_num_threads() == made.run.info["threads"] == count


def test_the_device_is_the_typed_one(tmp_path, monkeypatch):
    asked = []
    choose = device.choose
    monkeypatch.setattr(device, "choose", lambda setup, **more: asked.append(setup.device) or choose(setup, **more))
    session.prepare("ae", "digits", {"device": "cpu", "width": 4, "depth": 1}, runs=tmp_path)
    assert asked == ["cpu"]
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="cuda"):
            session.prepare("ae", "digits", {"device": "cuda", "width": 4, "depth": 1}, runs=tmp_path)


def test_deterministic_kernels_are_in_run_json(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda mode, warn_only: asked.append(mode))
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: bool(asked))
    given = {"budget": 10, "width": 4, "threads": 1}
    made = session.prepare("dqn", "CartPole", given, runs=tmp_path)
    assert (asked, made.run.info["arithmetic"]["deterministic"]) == ([], False)
    made = session.prepare("dqn", "CartPole", {**given, "deterministic": True}, runs=tmp_path)
    assert (asked, made.run.info["arithmetic"]["deterministic"]) == ([True], True)


def test_a_plan_is_kept_by_a_resumed_run(train):
    prepared = train(log_every=200, save_every=300)
    plan = session.reopen(Folder(prepared.run.directory), {"budget": 1_500}).plan
    assert plan == Plan(budget=1_500, log_every=200, eval_every=1_000, save_every=300)
