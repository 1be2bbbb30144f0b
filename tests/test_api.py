"""Training from Python."""

import pytest

import rlgen
from rlgen import api
from rlgen.core import errors

QUICK = {"budget": 400, "eval_episodes": 2, "final_episodes": 3}


@pytest.fixture
def run(tmp_path):
    return rlgen.train("qlearning", "FrozenLake", runs=tmp_path, seed=1, **QUICK)


def test_a_run_has_its_score(run):
    assert run.score == run.result["mean"] == run.info["result"]["mean"]
    assert run.result["episodes"] == 3


def test_a_run_without_a_result_has_no_score(run):
    run.describe(result=None)
    assert (run.score, run.result) == (None, {})


def test_the_repr_of_a_run_has_what_it_reached(run):
    text = repr(run)
    for word in (
        "qlearning-FrozenLake-1",
        "finished",
        f"{run.info['time']} steps",
        f"score {run.score:.4g}",
        str(run.directory),
    ):
        assert word in text


def test_a_run_draws_its_curves(run, tmp_path):
    assert run.plot(tmp_path / "mine.png", x="seconds").stat().st_size > 0
    assert run.plot() == run.directory / "curves.png"


def test_a_resumed_run_reaches_the_raised_budget(run):
    again = rlgen.resume(run, budget=800)
    assert 800 <= again.info["time"] < 900
    assert again.directory == run.directory
    with pytest.raises(rlgen.UserError, match="a larger --budget"):
        rlgen.resume(run)


def test_the_latest_run_is_loaded_by_default(run, tmp_path):
    agent = rlgen.load(runs=tmp_path)
    action, _ = agent.predict(0)
    assert action in range(4)
    assert rlgen.load(run.directory).seed == rlgen.load(run.name, runs=tmp_path).seed == 1


@pytest.mark.parametrize(
    "name", ["UserError", "Diverged", "CheckpointError", "DataError", "StorageError", "Interrupted"]
)
def test_errors_are_exported(name):
    assert getattr(rlgen, name) is getattr(errors, name)
    assert issubclass(getattr(rlgen, name), rlgen.UserError)
    assert name in rlgen.__all__


def test_a_name_that_there_is_not():
    with pytest.raises(AttributeError, match="module 'rlgen' has no attribute 'trian'"):
        rlgen.trian  # noqa: B018


def test_unknown_settings_are_named(tmp_path):
    for name, hint in (
        ("learning_rate", "learning_rate is lr here"),
        ("lanes", "lanes is now num_envs"),
        ("gama", "did you mean gamma"),
    ):
        with pytest.raises(rlgen.UserError, match=hint):
            rlgen.train("dqn", "CartPole", runs=tmp_path, **{name: 1})


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_progress_is_shown_where_it_is_asked_for(tmp_path, capsys, progress, shown):
    rlgen.train("qlearning", "FrozenLake", runs=tmp_path, progress=progress, **QUICK)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("qlearning on FrozenLake" in err) == shown


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_by_default(monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert api._watched() == terminal


def test_another_dataset_in_place_of_one_that_cannot_be_had_is_announced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rlgen.data.canonical", lambda task, *, data, fallback: ("digits", "no mnist, so digits"))
    rlgen.train("ae", "mnist", runs=tmp_path, budget=64, width=4, depth=1, latent=2)
    assert "no mnist, so digits" in capsys.readouterr().err
    assert (tmp_path / "ae-digits-1").is_dir()
