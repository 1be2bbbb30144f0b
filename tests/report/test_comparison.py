"""Runs side by side as data: settings that differ, scores of curves, probability of improvement."""

import json
from itertools import pairwise

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.report.comparison import compare
from rlgen.report.lines import View
from rlgen.report.statistics import improvement, improvement_interval
from tests.report.small_runs import AGENT, MODEL, write

OTHER = {"lr": 0.01, "double": True}


@pytest.fixture
def two(agent):
    """Five runs of one configuration and four of another one, which ends 3 higher."""
    first = [agent(f"first-{seed}", seed) for seed in range(5)]
    return first, [agent(f"second-{seed}", 10 + seed, shift=3.0, config=OTHER) for seed in range(4)]


def of(found, metric):
    (chosen,) = (row for row in found["metrics"] if row["metric"] == metric)
    return chosen


def test_groups_are_by_configuration_and_their_differences_alone_are_named(two):
    found = compare([*two[0], *two[1]])
    assert [(e["label"], e["n"], len(e["runs"])) for e in found["experiments"]] == [
        ("dqn · lr=0.001", 5, 5),
        ("dqn · lr=0.01", 4, 4),
    ]
    assert found["differences"] == {"lr": ["0.001", "0.01"]}
    assert found["experiments"][0]["runs"] == [f"first-{seed}" for seed in range(5)]
    assert not found["apart"]


def test_best_last_area_and_time_of_each_seed(two):
    row = of(compare([*two[0], *two[1]], threshold=25.0), "eval_return")
    assert (row["better"], row["threshold"], row["range"]) == ("higher", 25.0, [1000, 4000])
    for runs, scores in zip(two, row["scores"], strict=True):
        curves = []
        for run in runs:
            rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            curves.append([(r["time"], r["eval_return"]) for r in rows if "eval_return" in r])
        times, y = np.array([t for t, _ in curves[0]]), np.array([[v for _, v in curve] for curve in curves])
        assert scores["best"]["each"] == pytest.approx(y.max(1).tolist())
        assert scores["last"]["each"] == pytest.approx(y[:, -1].tolist())
        assert scores["last"]["value"] == pytest.approx(y[:, -1].mean())
        assert scores["last"]["low"] < scores["last"]["value"] < scores["last"]["high"]
        area = [sum((a + b) / 2 for a, b in pairwise(each)) / 3 for each in y]
        assert scores["mean"]["each"] == pytest.approx(area)
        reached = [next(t for t, v in zip(times, each, strict=True) if v >= 25) for each in y]
        assert scores["time_to_threshold"]["each"] == reached
        assert scores["time_to_threshold"]["median"] == sorted(reached)[len(reached) // 2]


def test_without_a_threshold_it_is_what_all_reach(two):
    row = of(compare([*two[0], *two[1]]), "eval_return")
    best = [np.mean(scores["best"]["each"]) for scores in row["scores"]]
    assert row["threshold"] == pytest.approx(min(best))


def test_improvement_is_of_the_last_values_of_seeds(two):
    found = compare([*two[0], *two[1]])
    (row,) = (row for row in found["improvement"] if row["metric"] == "eval_return")
    first, second = (scores["last"]["each"] for scores in of(found, "eval_return")["scores"])
    assert row["probability"] == improvement([(first, second)]) < 0.1
    assert (row["low"], row["high"]) == improvement_interval([(first, second)])
    assert (row["first"], row["second"], row["n"], row["tasks"]) == ("dqn · lr=0.001", "dqn · lr=0.01", [5, 4], 1)


def test_lower_is_better_for_a_loss(tmp_path):
    runs = []
    for i, lr in enumerate((1, 1, 2, 2)):
        rows = [{"time": 100 * t, "eval_nats": 90.0 + 100 / t - 5 * lr + i % 2} for t in range(1, 6)]
        info = {**MODEL, "algorithm": "vae", "seed": i % 2, "config": {"lr": lr}}
        runs.append(write(tmp_path / f"vae-{i}", info, rows))
    found = compare(runs, threshold=110.5)
    row = of(found, "eval_nats")
    assert row["better"] == "lower"
    assert [scores["best"]["value"] for scores in row["scores"]] == [105.5, 100.5]
    assert [scores["time_to_threshold"]["each"] for scores in row["scores"]] == [[400, 500], [400, 400]]
    assert [scores["time_to_threshold"]["median"] for scores in row["scores"]] == [500, 400]  # by all of two seeds
    assert found["improvement"][0]["probability"] == 0


def test_a_threshold_that_is_not_reached(two):
    row = of(compare([*two[0], *two[1]], threshold=43.0), "eval_return")
    slow, fast = (scores["time_to_threshold"] for scores in row["scores"])
    assert (slow["median"], slow["reached"]) == (None, sum(time is not None for time in slow["each"]))
    assert fast["reached"] > slow["reached"]


def test_several_tasks_are_strata(agent):
    tasks, configs = ("CartPole", "Acrobot"), ({"lr": 1}, {"lr": 2})
    runs = []
    for t, task in enumerate(tasks):
        for c, config in enumerate(configs):
            seeds = range(3 + c)
            runs += [
                agent(f"{task}-{c}-{seed}", 100 * t + 10 * c + seed, shift=100 * t + c, task=task, config=config)
                for seed in seeds
            ]
    found = compare(runs)
    (row,) = found["improvement"]
    assert (row["tasks"], row["n"]) == (2, [6, 8])
    last = [[s["last"]["each"] for s in m["scores"] if s] for m in found["metrics"]]
    assert row["probability"] == improvement(last)
    assert (row["low"], row["high"]) == improvement_interval(last)
    assert {m["task"]: [s is not None for s in m["scores"]] for m in found["metrics"]} == {
        "CartPole": [True, True, False, False],
        "Acrobot": [False, False, True, True],
    }


def test_runs_that_differ_in_their_seed_alone_stand_for_themselves(agent):
    found = compare([agent("a"), agent("b", 1)])
    assert [e["label"] for e in found["experiments"]] == ["dqn · a", "dqn · b"]
    assert found["apart"]
    assert found["notes"] == ["the runs differ in their seed alone: each stands for itself"]
    (row,) = found["improvement"]
    assert row["probability"] in (0, 1)
    assert (row["low"], row["high"]) == (None, None)


def test_facts_beside_the_settings_that_differ(agent):
    git = [{"commit": name, "dirty": False} for name in ("abc", "def")]
    runs = [
        agent("a", git=git[0], plan={"budget": 10}, device="cpu", config={"lr": 1, "new": 3}),
        agent("b", git=git[1], plan={"budget": 20}, device="cpu", config={"lr": 2}),
        agent("c", 1, git=git[0], plan={"budget": 20}, device="cpu", config={"lr": 2}),
    ]
    assert compare(runs)["differences"] == {
        "lr": ["1", "2"],
        "new": ["3", None],
        "budget": ["10", "20"],
        "git commit": ["abc", "def, abc"],
    }


def test_the_result_is_json_with_finite_numbers(two, tmp_path):
    odd = write(
        tmp_path / "odd",
        {**AGENT, "config": {"lr": float("inf")}},
        [{"time": 1, "eval_return": None}, {"time": 2, "eval_return": 3}],
    )
    found = compare([*two[0], odd], View(band="iqm"), threshold=1e9)
    json.dumps(found, allow_nan=False)
    assert of(found, "eval_return")["scores"][1]["last"] == {"value": 3, "low": None, "high": None, "each": [3]}


def test_what_cannot_be_compared(agent, model):
    with pytest.raises(UserError, match="no axis in common"):
        compare([agent("a"), model("b")])
    with pytest.raises(
        UserError, match=r"no metric 'eval_retrun': did you mean eval_return\?; the 2 runs have eval_return"
    ):
        compare([agent("c"), agent("d", 1)], View(metrics=("eval_retrun",)))


def test_a_run_without_the_metrics_of_a_comparison_keeps_its_own(agent, tmp_path):
    rows = [{"time": 100 * i, "return": float(i)} for i in range(1, 9)]
    young = write(tmp_path / "young", {**AGENT, "config": OTHER}, rows)
    found = compare([agent("a"), young])
    assert [(row["metric"], [s is not None for s in row["scores"]]) for row in found["metrics"]] == [
        ("return", [False, True]),
        ("eval_return", [True, False]),
    ]
