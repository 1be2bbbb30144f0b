import json

import pytest

from rlgen.core import logs
from rlgen.core.folder import Folder
from rlgen.sweep import study as studies
from rlgen.sweep import trials
from tests.cli.small import SMALL

SEARCH = ("--search", "lr=1e-4..1e-2:log")


@pytest.fixture(autouse=True)
def _optuna():
    pytest.importorskip("optuna")


def test_a_dry_run_says_what_would_be_trained_and_makes_nothing(rlgen, tmp_path):
    words = ("sweep", "dqn", "CartPole", *SEARCH, "--search", "n_step=1,3,5", "--trials", 64, "--seeds", 4)
    code, out, _ = rlgen(*words, "--budget", 1000, "--dry-run")
    assert code == 0
    assert "tuning   64 trials x 4 seeds x 1,000 steps" in out
    assert "in all   271,000 steps; nothing was trained" in out
    code, out, _ = rlgen(*words, "--sampler", "grid", "--search", "gamma=0.9,0.99", "--dry-run", "--json")
    assert json.loads(out)["trials"] == 5 * 3 * 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("dqn",), "needs ALGORITHM and TASK"),
        (("dqn", "CartPole"), "nothing is searched: add --search NAME=LOW..HIGH"),
        (("dqn", "CartPole", "--search", "lrr=1,2"), "no setting 'lrr': did you mean lr?"),
        (("dqn", "CartPole", "--search", "lr=1..0.5"), "--search lr=1..0.5 is empty"),
        (("dqn", "CartPole", "--search", "n_step=fast"), "'fast' is no number"),
        (("dqn", "CartPole", "--search", "gamma=0.9..1.9"), "less than or equal to 1"),
        (("dqn", "CartPole", *SEARCH, "--lr", "0.1"), "it is also set to 0.1"),
        (("dqn", "CartPole", *SEARCH, "--metric", "eval_retrn"), "did you mean eval_return?"),
        (("dqn", "CartPol", *SEARCH), "did you mean CartPole"),
        (("dqn", "CartPole", *SEARCH, "--trails", "3"), "has no option --trails: did you mean --trials?"),
        (("classify", "digits", *SEARCH, "--metric", "eval_test_accuracy"), "ranks no trials"),
        (
            ("dqn", "CartPole", "--search", "width=8,16", "--together", 2),
            "differ in width cannot be members",
        ),
        (("dqn", "CartPole", *SEARCH, "--together", 2, "--pruner", "sha"), "leave out --pruner"),
        (("dqn", "CartPole", *SEARCH, "--sampler", "cmaes"), "two ranges of numbers or more"),
        (("--join", "nothing"), "no study 'nothing'"),
        (("--config", "nothing.toml"), "cannot read nothing.toml"),
    ],
)
def test_what_cannot_be_searched_is_one_line(rlgen, tmp_path, words, reason):
    code, _, err = rlgen("sweep", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert reason in err
    assert not (tmp_path / "runs").exists()


def test_a_file_has_settings_the_search_and_options(rlgen, tmp_path):
    (tmp_path / "study.toml").write_text(
        'width = 32\n[search]\nlr = "1e-4..1e-2:log"\nn_step = [1, 3]\ndouble = [true, false]\n'
        '[sweep]\nalgorithm = "dqn"\ntask = "CartPole"\ntrials = 7\nname = "mine"\nsampler = "random"\n'
    )
    code, out, _ = rlgen("sweep", "--config", "study.toml", "--search", "lr=0.1,0.2", "--seeds", 1, "--dry-run")
    assert code == 0
    assert "runs/mine: dqn on CartPole" in out.replace("rlgen/", "")
    assert "sampler random" in out
    assert "lr=0.1,0.2  (2 values)" in out
    assert "n_step=1,3  (2 values)" in out
    assert "double=on,off" in out
    assert "7 trials x 1 seeds" in out
    (tmp_path / "study.toml").write_text("[sweep]\ntrails = 7\n")
    assert "[sweep] has no 'trails': did you mean trials" in rlgen("sweep", "--config", "study.toml")[2]
    words = ("sweep", "dqn", "CartPole", *SEARCH, "--config", "study.toml", "--dry-run")
    for line, reason in {
        'trials = "many"': "--trials many: input should be a valid integer",
        "trials = -1": "--trials -1: input should be greater than 0",
        'sampler = "tp"': "--sampler tp: input should be 'tpe'",
        'storage = "http://here"': "--storage http://here: string should match pattern",
    }.items():
        (tmp_path / "study.toml").write_text(f"[sweep]\n{line}\n")
        code, _, err = rlgen(*words)
        assert (code, reason in err, err.count("\n")) == (2, True, 1)
    (tmp_path / "study.toml").write_text("[sweep]\ntrials = [\n")
    assert "study.toml is not valid TOML" in rlgen("sweep", "--config", "study.toml")[2]


def test_a_study_is_trained_joined_and_printed(rlgen, tmp_path):
    small = [*SMALL, "--final-episodes", 2, "--width", 8, "--threads", 1]
    words = ["sweep", "dqn", "CartPole", *SEARCH, *small, "--trials", 1, "--seeds", 2, "--test-seeds", 2]
    assert rlgen(*words, "--name", "mine", "--prepare")[:2] == (0, "runs/mine\n")
    assert not list((tmp_path / "runs" / "mine").glob("trial*"))
    code, out, err = rlgen("sweep", "--join", "mine", "dqn", "CartPole", "--trials", 1)
    assert code == 0, err
    assert "study   runs/mine: 1 complete" in out
    assert "fresh   trial 1" in out
    assert "trial   1/1  score" in err
    code, out, _ = rlgen("sweep", "--join", "mine", "--json")
    found = json.loads(out)
    assert (found["states"], found["best"]["number"], len(found["fresh"]["scores"])) == ({"complete": 1}, 1, 2)
    assert found["gap"] == pytest.approx(found["best"]["score"] - found["fresh"]["score"])
    assert studies.load(tmp_path / "runs" / "mine").settings["width"] == 8
    assert "exists: choose another --name" in rlgen(*words, "--name", "mine")[2]
    assert "mine has seed 0, not seed 3" in rlgen("sweep", "--join", "mine", "--seed", 3)[2]
    assert "it can only be raised" in rlgen("sweep", "--join", "mine", "--finalists", 1)[2]
    (tmp_path / "more.toml").write_text('[sweep]\ntrials = "many"\n')
    assert "--trials many: input" in rlgen("sweep", "--join", "mine", "--config", "more.toml")[2]
    code, _, err = rlgen("sweep", "--join", "mine", "--search", "lr=1,2")
    assert (code, "mine has search lr=1e-4..1e-2:log, not search lr=1,2" in err) == (2, True)


def test_options_of_the_command_arrive_where_they_say(rlgen, monkeypatch, tmp_path):
    """The training is replaced by a look at what it is asked for."""
    from rlgen.sweep import opening, worker
    from rlgen.sweep.claims import Claim

    asked = []
    monkeypatch.setattr(opening, "train", lambda study, *more: asked.append((study, more)))
    small = ("sweep", "dqn", "CartPole", *SEARCH, "--runs", "here", "--quiet")
    given = {
        "trials": 7, "seeds": 2, "together": 3, "finalists": 2, "test_seeds": 4, "seed": 9,
        "sampler": "random", "metric": "eval_return", "storage": "grpc://localhost:13000",
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    code, out, err = rlgen(*small, *words, "--workers", 2)
    assert (code, out) == (0, "here/sweep-dqn-CartPole-1\n"), err
    rlgen(*small, "--pruner", "wilcoxon", "--width", 16, "--device", "cpu")
    rlgen("sweep", "--join", "here/sweep-dqn-CartPole-2", "--trust", "--json")
    (first, workers), (second, _), (third, joined) = asked
    assert {name: getattr(first, name) for name in given} == given
    assert workers == (2, True, True)  # workers, trust, quiet
    assert joined == (1, True, True)
    assert (second.pruner, second.settings, second.name) == ("wilcoxon", {"width": 16, "device": "cpu"}, third.name)
    claim = Claim("test-0001-1", 1, "test", {"lr": 0.1}, (5,), 1, 1)
    assert worker.options(first, claim) == {"seed": 5, "seeds": 4}
    assert worker.options(second, claim) == {"width": 16, "device": "cpu", "seed": 5, "seeds": 5}


def test_the_metric_and_the_preset_are_those_that_were_typed(rlgen, tmp_path):
    found = rlgen("sweep", "dqn", "CartPole", *SEARCH, "--preset", "lon", "--dry-run")
    assert "--preset lon: dqn has no preset of that name" in found[2]
    runs = tmp_path / "runs"
    assert rlgen("sweep", "classify", "digits", *SEARCH, "--metric", "eval_validation_loss", "--prepare")[0] == 0
    trial = runs / "sweep-classify-digits-1" / "trial-0001"
    folder = Folder.create(
        trial.parent, "x", trial.name, algorithm="classify", result={"score": 0.9},
        trial={"number": 1, "role": "tuning", "settings": {"lr": 0.1}, "seeds": [2], "run": 1, "runs": 1},
    )  # fmt: skip
    folder.describe(status="finished")
    rows = ({"time": 1, "eval_validation_loss": [3.0]}, {"time": 2, "eval_validation_loss": [2.0, 1.0]})
    logs.append(trial / "metrics.jsonl", rows, 1)
    (found,) = trials.read(trial.parent)
    assert (found.state, found.scores, trials.better(trial.parent)) == ("complete", (2.0, 1.0), "lower")
