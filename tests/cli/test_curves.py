"""The commands plot and compare."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.report.small_runs import AGENT, EPISODES, MODEL, write, write_agent


@pytest.fixture
def four(rlgen):
    """Two runs of each of two configurations in the folder of runs."""
    Path("runs").mkdir()
    for i in range(4):
        write_agent(Path("runs", f"dqn-CartPole-{i + 1}"), i % 2, config={"lr": 1 + i // 2, "seed": i % 2})
    return [f"dqn-CartPole-{i + 1}" for i in range(4)]


def size(path):
    with Image.open(path) as picture:
        return picture.size


def test_one_run_is_drawn_into_its_folder_in_a_column_of_a_paper(rlgen, four):
    code, out, _ = rlgen("plot", four[0])
    assert (code, out) == (0, "runs/dqn-CartPole-1/curves.png\n")
    assert size("runs/dqn-CartPole-1/curves.png")[0] == 990  # 3.3 inches of 300 dots


def test_width_is_in_inches(rlgen, four):
    assert rlgen("plot", four[0], "--out", "wide.png", "--width", "5")[0] == 0
    assert size("wide.png")[0] == 1500
    assert rlgen("plot", four[0], "--width", "0")[0] == 2


def test_metrics_are_small_multiples_and_their_numbers_a_table(rlgen, four):
    code, out, _ = rlgen("plot", *four, "--metric", "loss, return", "--out", "two.png")
    assert (code, out) == (0, "two.png\n")
    assert size("two.png")[0] == 1380  # a page
    assert rlgen("plot", *four, "--metric", "loss,return", "--out", "two.csv", "--x", "seconds")[0] == 0
    with Path("two.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["metric"], row["n"]) for row in rows} == {("loss", "2"), ("return", "2")}
    assert max(float(row["seconds"]) for row in rows) == 8


def test_an_unknown_metric_is_answered_with_those_there_are(rlgen, four):
    code, _, err = rlgen("plot", four[0], "--metric", "los")
    assert code == 2
    assert err == "error: no metric 'los': did you mean loss?; dqn-CartPole-1 has eval_return, loss, return\n"


def test_what_cannot_be_drawn_is_one_line(rlgen, four):
    write(Path("runs/gan"), MODEL, [{"time": 1, "discriminator_loss": 1.0}])
    write(Path("runs/new"), AGENT, [])
    write(Path("runs/whole"), {**AGENT, "setup": {}, "plan": {}, "threads": 1, "time": 1}, [{"time": 1, "return": 1.0}])
    for words, reason in (
        (["plot", four[0], "gan"], "agents and models have no axis in common: plot dqn-CartPole-1 and gan apart"),
        (["compare", four[0], "gan"], "agents and models have no axis in common"),
        (["plot", "new"], "has no metrics yet"),
        (
            ["plot", four[0], "--out", "curves.bmp"],
            "cannot write curves.bmp: its name may end in .png, .svg, .pdf, .csv",
        ),
        (["plot", four[0], "--x", "episodes"], "dqn-CartPole-1 logged no episodes: plot it with --x steps"),
        (["plot", "gan", "--x", "episodes"], "gan is a model without episodes: plot it with --x steps"),
        (["compare", four[0]], "one run has nothing to be compared with"),
        (["plot", "whole", "--quality", "300"], "--quality is of samples: whole is an agent, which has none"),
        (["plot", four[0], "--band", "median"], "'mean', 'iqm', 'none'"),
    ):
        code, out, err = rlgen(*words)
        assert (code, out) == (2, ""), words
        assert reason in err
        assert err.count("\n") == 1


def test_episodes_are_an_axis(rlgen):
    Path("runs").mkdir()
    write(Path("runs/a"), AGENT, [{"time": 10_000, "return": 1.0, "loss": 2.0}], episodes=EPISODES)
    assert rlgen("plot", "a", "--x", "episodes", "--metric", "return,loss", "--out", "a.csv")[0] == 0
    with Path("a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["episodes"]) for row in rows if row["metric"] == "return"][:3] == [1, 2, 3]
    assert [float(row["episodes"]) for row in rows if row["metric"] == "loss"] == [400]


def test_compare_in_words(rlgen, four):
    code, out, err = rlgen("compare", *four, "--out", "both.svg", "--threshold", "20")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:6] == [
        "experiment task seeds runs",
        "A dqn · lr=1 CartPole 2 dqn-CartPole-1, dqn-CartPole-2",
        "B dqn · lr=2 CartPole 2 dqn-CartPole-3, dqn-CartPole-4",
        "",
        "differs in A B",
        "lr 1 2",
    ]
    assert "eval_return on CartPole (return per episode, greedy evaluation, higher is better)" in lines
    assert any(line.startswith("steps to ≥ 20 2,000 (2 of 2 seeds) 2,000") for line in lines)
    assert any(line.startswith("eval_return A better than B 0.50 [") for line in lines)
    assert lines[-1] == "both.svg"
    assert Path("both.svg").read_text().startswith("<?xml")


def test_compare_as_json(rlgen, four):
    code, out, _ = rlgen("compare", *four, "--json", "--metric", "loss", "--out", "both.pdf")
    assert code == 0
    found = json.loads(out)
    assert found["picture"] == "both.pdf"
    assert [metric["metric"] for metric in found["metrics"]] == ["loss"]
    assert found["metrics"][0]["better"] is None
    assert found["improvement"] == []
    assert Path("both.pdf").read_bytes().startswith(b"%PDF")


def test_runs_that_differ_in_their_seed_alone_are_compared_one_by_one(rlgen, four):
    code, out, _ = rlgen("compare", *four[:2], "--out", "two.csv")
    assert code == 0
    assert "A  dqn · dqn-CartPole-1" in out
    assert "equal in every setting" in out
    assert "note: the runs differ in their seed alone: each stands for itself" in out
    with Path("two.csv").open(newline="") as file:
        assert {row["experiment"] for row in csv.DictReader(file)} == {f"dqn · {name}" for name in four[:2]}


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_hostile_texts_are_drawn_and_printed_as_text(rlgen, suffix):
    Path("runs").mkdir()
    texts = ("$\\frac{1}{0}$ $\\input{x}$", "\x1b[2J\x00\n\u202e<script>--></svg>", "漢字🙂" + 300 * "w", "]]>&lt;%PDF")
    for i, text in enumerate(texts):
        info = {**AGENT, "algorithm": text, "task": text, "config": {text: text}, "seed": i}
        write(
            Path("runs", f"a$_{{{i}}}\x1b"), info, [{"time": 1, "return": 1.0, text: 2.0}, {"time": 2, "return": 3.0}]
        )
    names = sorted(path.name for path in Path("runs").iterdir())
    code, out, err = rlgen("compare", *names, "--out", f"hostile$x^2.{suffix}")
    assert (code, err) == (0, "")
    assert not {"\x1b", "\x00", "\u202e"} & set(out)
    if suffix == "svg":
        from xml.etree import ElementTree

        ElementTree.parse(Path("hostile$x^2.svg"))
    assert rlgen("plot", names[0], "--metric", texts[0], "--out", f"one.{suffix}")[0] == 0
