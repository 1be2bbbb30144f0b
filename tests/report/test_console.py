import io
import logging
import time as clock

import pytest
import torch
from rich.console import Console

from rlgen.core.fit import fit
from rlgen.core.progress import Progress
from rlgen.core.settings import Plan
from rlgen.kinds import AGENT
from rlgen.report import console, status
from rlgen.report.console import Display, activity

EVALUATION = {"eval_return": [400.0, 200.0]}


@pytest.fixture
def screen(monkeypatch):
    """What goes to stderr, by the clock of a test: refreshed each 10 ms, a plain line each 50 ms."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(status, "REFRESH", 0.01)
    monkeypatch.setattr(status, "FIRST", 0.05)
    monkeypatch.setattr(status, "PLAIN", 0.05)
    text = io.StringIO()
    monkeypatch.setattr(console, "_stderr", lambda: Console(file=text, width=120, soft_wrap=True, highlight=False))
    return text


@pytest.fixture
def display(screen, tmp_path):
    def make(progress=None, **options):
        return Display(AGENT, 1_000, tmp_path / "log.txt", progress or Progress(), **options)

    return make


def test_a_run_shows_where_it_is_before_its_first_row_of_metrics(display, screen):
    progress = Progress(250, "training", {"loss": torch.tensor([0.25, 0.75]), "epsilon": 0.5, "episodes": []})
    with display(progress):
        clock.sleep(0.2)
    first = screen.getvalue().splitlines()[0]
    assert "250/1,000 steps" in first
    assert "epsilon 0.5" in first
    assert "loss 0.5" in first


def test_the_phase_is_shown_and_an_evaluation_only_where_it_was_measured(display, screen):
    progress = Progress(100, "training")
    with display(progress) as shown:
        shown(100, {"return_100": 30.0})
        progress.phase = "evaluating"
        shown(100, EVALUATION)
        clock.sleep(0.2)
        progress.phase = "saving"
        clock.sleep(0.2)
    lines = screen.getvalue().splitlines()
    assert [("eval 300.0" in line) for line in lines] == [True] + [False] * (len(lines) - 1)
    assert len(lines) > 2
    assert "return (100) 30" in lines[-1]
    assert "saving" in lines[-1]


@pytest.mark.parametrize("seeds", [1, 8])
def test_the_rate_counts_the_steps_of_all_seeds_while_training(display, screen, seeds, monkeypatch):
    progress, now = Progress(40, "preparing"), 1000.0
    monkeypatch.setattr(console.clock, "perf_counter", lambda: now)
    shown = display(progress, seeds=seeds, already=40)
    steps = (7, "training", 40), (9, "training", 90), (14, "evaluating", 90), (16, "training", 140)
    for second, phase, time in steps:
        now = 1000.0 + second
        progress.phase, progress.time = phase, time
        shown._measure()
    assert shown.rate == pytest.approx(seeds * 100 / 11)


def test_a_seed_without_an_episode_does_not_stop_the_display(display):
    with display() as shown:
        shown(100, {"return": [None, 20.0], "loss": 1.0, "other": [None, None]})
        assert shown.latest == {"return": 20.0, "loss": 1.0}


def test_the_log_has_the_lines_and_warnings_that_quiet_leaves_out(display, screen, tmp_path):
    with display(quiet=True) as shown:
        shown.start("dqn on CartPole", {"device": "cpu"})
        shown(500, EVALUATION)
        logging.getLogger("rlgen").warning("careful")
    assert screen.getvalue() == "warning: careful\n"
    text = (tmp_path / "log.txt").read_text()
    assert "dqn on CartPole: device cpu" in text
    assert "500/1,000 steps" in text
    assert "eval 300" in text
    assert logging.getLogger("rlgen").handlers == []


def test_the_start_has_every_fact(display, screen):
    with display() as shown:
        shown.start("dqn on CartPole", {"device": "cpu", "changed": "[lr=1]"})
    assert "dqn on CartPole" in screen.getvalue()
    assert "[lr=1]" in screen.getvalue()


def test_an_activity_counts(screen):
    with activity("scoring", 10, "episodes") as advance:
        advance(3)
        advance()
        clock.sleep(0.2)
    assert "scoring  4/10 episodes" in screen.getvalue()
    assert "left" in screen.getvalue()


def test_a_quiet_activity_shows_nothing(screen):
    with activity("scoring", quiet=True):
        clock.sleep(0.2)
    assert screen.getvalue() == ""


def test_an_activity_after_the_training_stands_in_the_same_line(display, screen):
    with display() as shown, shown.activity("scoring", 20, "episodes") as advance:
        advance(5)
        clock.sleep(0.2)
    assert "scoring  5/20 episodes" in screen.getvalue()
    assert shown.part is None


def test_the_loop_reports_time_phase_and_metrics(run, walk):
    algorithm, phases = walk(), []
    step, evaluate, draw, save = algorithm.step, algorithm.evaluate, algorithm.draw, run.save

    def noted(name, function):
        def call(*args, **more):
            phases.append((name, run.progress.phase, run.progress.time))
            return function(*args, **more)

        return call

    algorithm.step, algorithm.evaluate = noted("step", step), noted("evaluate", evaluate)
    algorithm.draw, run.save = noted("draw", draw), noted("save", save)
    fit(algorithm, run, Plan(budget=4, log_every=1, eval_every=2, save_every=4))
    assert phases == [
        ("evaluate", "evaluating", 0), ("draw", "drawing", 0),
        ("step", "training", 0), ("step", "training", 1),
        ("evaluate", "evaluating", 2), ("draw", "drawing", 2), ("save", "saving", 2),
        ("step", "training", 2), ("step", "training", 3),
        ("evaluate", "evaluating", 4), ("draw", "drawing", 4), ("save", "saving", 4),
    ]  # fmt: skip
    assert run.progress.time == 4
    assert run.progress.metrics["time_squared"] == 16
