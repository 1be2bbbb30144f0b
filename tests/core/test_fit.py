import math

import pytest
import torch

from rlgen.core.errors import Diverged, StorageError
from rlgen.core.fit import ended_early, fit
from rlgen.core.run import Run
from rlgen.core.settings import Plan
from tests.core.recorded import Recorded, raise_


@pytest.fixture
def recorded(tmp_path):
    return Recorded.create(tmp_path, "walk")


def worse(algorithm):
    """Falling scores: the first evaluation is the best."""
    algorithm.evaluate = lambda: {"eval_score": -float(algorithm.time)}
    return algorithm


def expected(strides, budget, log_every, eval_every, save_every):
    """The expected calls, derived by a scan of every unit of time."""
    events, time, first = [], 0, True
    while time < budget:
        last, time = time, time + strides[time % len(strides)]
        due = {
            every: any(t % every == 0 for t in range(last + 1, time + 1))
            for every in (log_every, eval_every, save_every)
        }
        ended = time >= budget
        events.append(("step", time))
        if due[log_every] or ended:
            events.append(("flush", time))
        best = first and (due[eval_every] or ended)
        if due[eval_every] or ended:
            events.append(("evaluate", time))
            first = False
        if ended:
            events.append(("last", time))
        elif due[save_every] or best:
            events.append(("save", time))
    return events


@pytest.mark.parametrize(
    ("strides", "plan"),
    [
        ((1,), (10, 2, 5, 5)),
        ((1,), (17, 5, 7, 3)),
        ((4,), (50, 5, 7, 13)),  # a budget and periods that are no multiples of a step
        ((7, 1, 2), (60, 4, 9, 6)),  # several periods in one step
        ((1,), (5, 100, 100, 100)),  # only the end
        ((64,), (10, 1, 1, 1)),  # one step beyond the budget
    ],
)
def test_each_action_happens_when_a_multiple_is_crossed(recorded, walk, strides, plan):
    budget, log_every, eval_every, save_every = plan
    fit(
        worse(walk(strides)),
        recorded,
        Plan(budget=budget, log_every=log_every, eval_every=eval_every, save_every=save_every),
    )
    assert recorded.events == expected(strides, *plan)


def test_a_new_best_is_saved_at_once(recorded, walk):
    algorithm = walk()
    scores = {0: 9.0, 2: 1.0, 4: 0.0, 6: 3.0, 8: 3.0, 10: 2.0}
    algorithm.evaluate = lambda: {"eval_score": scores[algorithm.time]}
    fit(algorithm, recorded, Plan(budget=10, log_every=5, eval_every=2, save_every=100))
    assert [event for event in recorded.events if event[0] in ("save", "last")] == [
        ("save", 2),
        ("save", 6),
        ("last", 10),
    ]


def test_a_run_ends_at_the_score_of_stop_at(recorded, walk):
    algorithm = walk()
    plan = Plan(budget=100, log_every=3, eval_every=4, save_every=50, stop_at=8.0)
    fit(algorithm, recorded, plan)
    assert algorithm.time == 8
    assert recorded.events[-1] == ("last", 8)
    again, solved = Recorded(recorded.directory), walk()
    fit(solved, again, plan)
    assert (solved.time, solved.steps, again.events) == (8, 0, [])
    fit(solved, again, Plan(budget=100, log_every=3, eval_every=4, save_every=50, stop_at=12.0))
    assert solved.time == 12


def test_a_finished_run_takes_no_step_and_continues_with_a_larger_budget(recorded, walk):
    plan = {"log_every": 5, "eval_every": 10, "save_every": 10}
    fit(walk(), recorded, Plan(budget=20, **plan))
    text = (recorded.directory / "metrics.jsonl").read_text()
    for budget in (20, 10):
        again, algorithm = Recorded(recorded.directory), walk()
        fit(algorithm, again, Plan(budget=budget, **plan))
        assert (algorithm.time, algorithm.steps, again.events) == (20, 0, [])
    assert (recorded.directory / "metrics.jsonl").read_text() == text
    again = Recorded(recorded.directory)
    fit(algorithm := walk(), again, Plan(budget=40, **plan))
    assert algorithm.steps == 20
    straight = Run.create(recorded.directory.parent, "straight")
    fit(straightly := walk(), straight, Plan(budget=40, **plan))
    assert (recorded.directory / "metrics.jsonl").read_text() == (straight.directory / "metrics.jsonl").read_text()
    assert torch.equal(algorithm.weights, straightly.weights)


PLAN = Plan(budget=100, log_every=10, eval_every=25, save_every=30)


def test_a_diverged_state_is_not_saved(recorded, walk):
    algorithm = walk()

    def break_():
        algorithm.weights[0] = math.nan

    algorithm.at = {55: break_}
    with pytest.raises(Diverged, match=r"loss.*nan.*after.*'time': 50"):
        fit(algorithm, recorded, PLAN)
    resumed = walk()
    Run(recorded.directory).resume(resumed)
    assert resumed.time == 50
    assert resumed.weights.isfinite().all()


def test_a_full_disk_ends_only_the_last_checkpoint(recorded, walk, monkeypatch, caplog):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rlgen.core.checkpoint.save_file", full)
    with pytest.raises(StorageError, match="the checkpoint at 100 was not written"):
        fit(worse(walk()), recorded, PLAN)
    assert [record.getMessage().split(" was")[0] for record in caplog.records] == [
        f"the checkpoint at {time}"
        for time in (25, 30, 50, 60, 75, 90)  # no best is saved, so each evaluation is the best
    ]
    assert len(recorded.rows()) == 15  # ten rows of training and five evaluations: all of the budget


def test_grids_are_drawn_before_the_training_and_at_each_evaluation_and_again_at_none_of_a_resumed_run(run, walk):
    drawn, algorithm = [], walk()
    run.draw = lambda time, grids: drawn.append((time, grids))
    algorithm.draw = lambda: {"weights": algorithm.time}
    fit(algorithm, run, Plan(budget=6, log_every=1, eval_every=4, save_every=2))
    assert drawn == [(time, {"weights": time}) for time in (0, 4, 6)]
    fit(algorithm, run, Plan(budget=8, log_every=1, eval_every=4, save_every=2))
    assert drawn[3:] == [(8, {"weights": 8})]


def test_a_run_of_an_earlier_version_does_not_repeat_its_evaluation(recorded, walk, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Run, "state", tuple(name for name in Run.state if name != "due"))
        with pytest.raises(ZeroDivisionError):
            fit(walk(at={61: raise_(ZeroDivisionError)}), recorded, PLAN)
    fit(walk(), again := Recorded(recorded.directory), PLAN)
    assert again.events[0] == ("step", 61)
    assert [event for event in again.events if event[0] == "evaluate"] == [("evaluate", 75), ("evaluate", 100)]


def falling_after(time):
    """Scores that rise up to a time and fall from then on."""

    def prepare(algorithm):
        algorithm.evaluate = lambda: {"eval_score": float(min(algorithm.time, 2 * time - algorithm.time))}
        return algorithm

    return prepare


EARLY = {"log_every": 5, "eval_every": 2, "save_every": 3}


def test_patience_ends_a_run_without_better_scores(recorded, walk):
    fit(algorithm := falling_after(8)(walk()), recorded, Plan(budget=100, patience=3, **EARLY))
    assert algorithm.time == 14
    assert recorded.best_time == 8
    assert recorded.events[-1] == ("last", 14)
    assert ended_early(recorded, Plan(patience=3)) == "ended by 3 evaluations without a better score than 8, at 8"
    again, ended = Recorded(recorded.directory), falling_after(8)(walk())
    fit(ended, again, Plan(budget=100, patience=3, **EARLY))
    assert (ended.time, ended.steps) == (14, 0)
    fit(ended, again, Plan(budget=20, **EARLY))
    assert ended.time == 20


@pytest.mark.parametrize("stop", [9, 11, 13])
def test_the_count_of_evaluations_without_improvement_is_resumed(recorded, walk, stop):
    plan = Plan(budget=100, patience=3, **EARLY)
    with pytest.raises(ZeroDivisionError):
        fit(falling_after(8)(walk(at={stop: raise_(ZeroDivisionError)})), recorded, plan)
    fit(algorithm := falling_after(8)(walk()), again := Recorded(recorded.directory), plan)
    assert (algorithm.time, again.waited) == (14, 3)
    assert again.info["waited"] == 3


def test_an_equal_score_is_no_improvement(recorded, walk):
    algorithm = walk()
    algorithm.evaluate = lambda: {"eval_score": 1.0}
    fit(algorithm, recorded, Plan(budget=100, patience=2, **EARLY))
    assert algorithm.time == 6


def test_an_algorithm_at_its_minimum_ends_the_training(recorded, walk):
    class Finishing(type(walk())):
        finished = property(lambda self: self.time >= 7)

    algorithm = walk()
    algorithm.__class__ = Finishing
    fit(algorithm, recorded, Plan(budget=100, **EARLY))
    assert algorithm.time == 7
    assert recorded.events[-1] == ("last", 7)
    assert ended_early(recorded, Plan()) == "at a minimum of the loss"


def test_each_score_is_passed_on_before_the_checkpoint(recorded, walk):
    algorithm, scores = walk(), []
    algorithm.scored = lambda score: scores.append((algorithm.time, score, len(recorded.events)))
    fit(algorithm, recorded, Plan(budget=6, **EARLY))
    assert [(time, score) for time, score, _ in scores] == [(2, 2.0), (4, 4.0), (6, 6.0)]
    saved = [recorded.events[count : count + 1] for _, _, count in scores]
    assert saved[-1] == [("last", 6)]
