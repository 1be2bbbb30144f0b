import re

import pytest

from rlgen.sweep import claims, ledger, pruning, samplers, space, trials, worker
from tests.sweep.tiny import TINY

LONGER = {**TINY, "budget": 300, "eval_every": 30}


def drawn(study, count):
    """The settings of the first trials, each told by a score at once."""
    found = []
    for number in range(1, count + 1):
        with ledger.opened(study) as (journal, _):
            settings = samplers.draw(study, journal, number)
            journal.tell(number - 1, -abs(settings["lr"] - 0.3))
        found.append(settings)
    return found


@pytest.fixture
def plain(monkeypatch):
    """Journals of trials without folders."""
    monkeypatch.setattr(ledger, "_fits", lambda *_: True)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", pytest.param("gp", marks=pytest.mark.slow)])
def test_settings_are_drawn_within_the_space_and_repeated_by_the_seed(begin, sampler):
    search = {"lr": "0.01..1:log", "gamma": "0.9..0.99", "num_envs": "1..8:int"}
    one, same, other = (
        drawn(begin(name, sampler=sampler, search=search, seed=seed), 14)
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one == same != other
    assert len({settings["lr"] for settings in one}) == 14
    for settings in one:
        assert 0.01 <= settings["lr"] <= 1
        assert 0.9 <= settings["gamma"] <= 0.99
        assert settings["num_envs"] in range(1, 9)
        assert [type(value) for value in settings.values()] == [float, float, int]


@pytest.mark.usefixtures("plain")
def test_a_grid_has_each_of_its_points_once(begin):
    study = begin(sampler="grid", search={"lr": "0.1,0.2,0.3", "lr_decay": "0,0.5"}, trials=99)
    assert study.total == 6
    found = {tuple(settings.values()) for settings in drawn(study, 6)}
    assert found == {tuple(space.point(study.space, index).values()) for index in range(6)}


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_later_trials_are_drawn_where_earlier_ones_scored_high(begin, sampler):
    found = drawn(begin(sampler=sampler, search={"lr": "0.01..1", "gamma": "0.9..0.99"}), 40)
    near = [abs(settings["lr"] - 0.3) for settings in found]
    assert sum(near[30:]) < 0.75 * sum(near[:10])


def test_no_code_of_a_journal_is_run(begin):
    """A sampler of optuna keeps its state as a pickle in the journal, which could come from anybody."""
    study = begin(sampler="cmaes", search={"lr": "0.01..1", "gamma": "0.9..0.99"}, trials=2, test_seeds=0)
    worker.work(study)
    assert set(re.findall(rb'"op_code":(\d+)', (study.folder / "journal.log").read_bytes())) == {b"0", b"4", b"5", b"6"}


@pytest.mark.usefixtures("plain")
def test_evolution_draws_choices_at_random_and_whole_steps(begin):
    search = {"lr": "0.01..1:log", "num_envs": "2..8:step=3", "lr_decay": "0..1:step=0.25", "gamma": "0.9,0.99"}
    found = drawn(begin(sampler="cmaes", search=search), 12)
    assert {settings["num_envs"] for settings in found} == {2, 5, 8}
    assert {settings["lr_decay"] for settings in found} <= {0, 0.25, 0.5, 0.75, 1}
    assert {settings["gamma"] for settings in found} == {0.9, 0.99}


def test_the_best_trials_are_tested_the_earlier_of_equal_ones_first(begin):
    study = begin(finalists=2)
    scores = {1: 1.0, 2: 3.0, 3: 3.0, 4: 2.0}
    made = [
        trials.Trial(n, {}, "complete", (x,), 1.0, "tuning", (n,), study.folder / f"{n}") for n, x in scores.items()
    ]
    failed = trials.Trial(5, {}, "failed", (9.0,), 1.0, "tuning", (5,), study.folder / "5")
    assert [t.number for t in claims.best([*made, failed], study)] == [2, 3]


def test_a_worse_trial_is_pruned_where_that_is_asked_for(begin, monkeypatch):
    """Scores are made up, four evaluations of each trial; the lengths of the halving are those of the first one."""
    search = {"epsilon": "0.1,0.2,0.3"}
    study = begin(settings=LONGER, search=search, sampler="grid", pruner="sha", test_seeds=0)
    scores = iter([20.0, 21.0, 22.0, 23.0] * 2 + [1.0] * 4)
    monkeypatch.setattr(pruning, "_score", lambda study, row: next(scores) if "eval_return" in row else None)
    worker.work(study)
    found = trials.read(study.folder)
    assert [t.state for t in found] == ["complete", "complete", "pruned"]
    assert found[2].reason == "pruned at 104 by sha"
    with ledger.opened(study) as (journal, _):
        assert [t.state.name for t in journal.get_trials()] == ["COMPLETE", "COMPLETE", "PRUNED"]
        assert journal.get_trials()[0].intermediate_values == {104: 21, 208: 22, 312: 23}
    worker.work(study)
    assert trials.read(study.folder) == found


@pytest.mark.parametrize(("pruner", "name"), [("none", "Nop"), ("sha", "SuccessiveHalving"), ("wilcoxon", "Wilcoxon")])
def test_the_pruner_is_the_one_that_was_asked_for(begin, pruner, name):
    with ledger.opened(begin(pruner=pruner)) as (journal, _):
        assert type(journal.pruner).__name__ == f"{name}Pruner"


def test_scores_to_prune_by_are_higher_where_they_are_better(begin):
    study = begin(algorithm="ae", task="digits", search={"lr": "1e-3,1e-2"}, settings={})
    assert pruning._score(study, {"eval_mse": 2.0}) == -2.0
    assert pruning._score(study, {"loss": 2.0}) is None
    assert pruning._score(begin("agents"), {"eval_return": [1.0, 2.0]}) == 1.5
