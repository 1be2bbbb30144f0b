import json
import signal

import numpy as np
import pytest
import torch

import rlgen
from rlgen.core.errors import Interrupted, UserError
from rlgen.core.folder import Folder
from rlgen.core.run import Run
from rlgen.lessons import page
from rlgen.lessons.runner import load, run, total
from rlgen.lessons.text import Term
from rlgen.session import prepare


def outcome(folder):
    """The page without the paths in it, and the plotted numbers."""
    return (folder / "lesson.md").read_text(), (folder / "figure.csv").read_text()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The lesson without interruption."""
    from tests.lessons.conftest import TEXT

    folder = tmp_path_factory.mktemp("straight")
    path = folder / "mine.toml"
    path.write_text(TEXT.format(options=""))
    return run(load(path), folder / "out")


def test_a_lesson_writes_page_figure_and_numbers(straight):
    text = (straight.folder / "lesson.md").read_text()
    assert "{" not in straight.text
    assert straight.text.replace("\n", " ") in text.replace("\n", " ")
    assert "16 numbers, 2 seeds" in straight.text
    assert text.count("rlgen ae digits") == 4
    assert (straight.folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in sorted(straight.folder.glob("code-*"))] == [
        "code-16-seed-0", "code-16-seed-1", "code-2-seed-0", "code-2-seed-1",
    ]  # fmt: skip


def test_the_numbers_are_those_of_the_runs(straight):
    shown = page.as_json(straight)["values"]["code-16"]["error"]
    logs = [Folder(straight.folder / f"code-16-seed-{seed}").rows() for seed in (0, 1)]
    last = [[row["eval_mse"] for row in log if "eval_mse" in row][-1] for log in logs]
    assert shown["seeds"] == last
    assert last[0] != last[1]
    assert shown["mean"] == pytest.approx(sum(last) / 2)
    assert json.loads((straight.folder / "lesson.json").read_text())["values"]["code-16"]["error"] == shown


def test_complete_runs_are_used_again(straight, monkeypatch):
    monkeypatch.setattr(Run, "save", None)  # a training would fail
    before = outcome(straight.folder)
    again = run(straight.design, straight.folder)
    assert again.text == straight.text
    assert outcome(straight.folder) == before


@pytest.mark.parametrize("rows", [1, pytest.param(9, marks=pytest.mark.slow)])
def test_an_interrupted_lesson_continues_to_the_same_page(straight, lesson, tmp_path, monkeypatch, rows):
    """Stopped in the first and in the second run, between evaluations."""
    made, written, record = load(lesson()), [], Run.record

    def interrupting(self, time, *more, **words):
        record(self, time, *more, **words)
        written.append(time)
        if len(written) == rows + 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Run, "record", interrupting)
    with pytest.raises(Interrupted, match="the same command continues"):
        run(made, tmp_path / "out")
    assert not (tmp_path / "out" / "lesson.md").exists()
    monkeypatch.setattr(Run, "record", record)
    run(made, tmp_path / "out")
    assert outcome(tmp_path / "out") == outcome(straight.folder)


@pytest.mark.slow
def test_a_stopped_run_that_cannot_be_continued_is_trained_anew(lesson, tmp_path, capsys):
    quick, out = load(lesson(), quick=True), tmp_path / "out"
    expected = run(quick, out).text
    Folder(out / "code-2-seed-0").describe(status="interrupted")
    for manifest in (out / "code-2-seed-0").glob("checkpoints/*/manifest.json"):
        manifest.write_text("{}")
    assert run(quick, out).text == expected
    assert "code-2-seed-0 is trained anew" in capsys.readouterr().err
    assert (out / "code-2-seed-0-2").is_dir()
    run(quick, out)
    assert not (out / "code-2-seed-0-3").exists()


def test_an_interruption_between_runs_is_one_line(lesson, tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="the same command continues") as error:
        run(load(lesson()), tmp_path / "out", stop)
    assert error.value.code == 130


@pytest.mark.slow
def test_other_options_are_other_runs(lesson, tmp_path):
    quick = load(lesson(), quick=True)
    assert total(quick) == 2
    run(quick, tmp_path / "out")
    changed = load(lesson(("width = 8", "width = 9")), quick=True)
    results = run(changed, tmp_path / "out")
    assert (tmp_path / "out" / "code-2-seed-0-2").is_dir()
    assert all("--width 9" in commands[0] for commands in results.commands.values())
    assert "Undecided" in results.text  # one seed decides nothing


def test_diverged_runs_are_results(lesson, tmp_path):
    made = load(lesson(("latent = [2, 16]", "lr = [1e-3, 1e30]"), ("code-{latent}", "code-{lr}"), ("{latent} ", ""),
                       ("code-16.latent", "code-1e+30.lr"), ("code-16", "code-1e+30"), ("code-2", "code-0.001"),
                       ('x = "latent"', 'x = "lr"')), quick=True)  # fmt: skip
    results = run(made, tmp_path / "out")
    assert "diverged in 1 of 1 seeds" in results.text
    assert set(results.shown()["code-1e+30"]) == {"error"}  # no curve
    assert Folder(tmp_path / "out" / "code-1e+30-seed-0").status == "diverged"


def test_seeds_side_by_side_are_one_run(tmp_path):
    path = tmp_path / "side.toml"
    path.write_text("""
title = "t"
claim = "c"
minutes = 1
text = "{agent.return}"
[[runs]]
name = "agent"
train = "dqn CartPole"
together = true
options = { budget = 300, eval_every = 300, learning_starts = 50, width = 8, final_episodes = 2, eval_episodes = 2 }
[values]
return = { label = "return", metric = "eval_return" }
curve = { label = "return", metric = "eval_return", take = "curve" }
[[panels]]
kind = "curves"
values = ["curve"]
[quick]
minutes = 1
""")
    made = load(path, seeds=3)
    assert total(made) == 1
    results = run(made, tmp_path / "out")
    folder = Folder(tmp_path / "out" / "agent-seeds-3")
    logged = [row["eval_return"] for row in folder.rows() if "eval_return" in row]
    assert results.readings["agent"].estimate(made.lesson.values["return"]).values.tolist() == logged[-1]
    assert results.readings["agent"].curve(made.lesson.values["curve"])[1].shape == (2, 3)


def test_a_search_chooses_an_option(tmp_path):
    path = tmp_path / "search.toml"
    path.write_text("""
title = "t"
claim = "c"
minutes = 1
text = "{path-gd.lr} {path-adam.lr}"
[[measurements]]
name = "search-{optimizer}"
measure = "valley"
options = { steps = 30, a = 1.0, b = 2.0 }
grid = { optimizer = ["gd", "adam"], lr = [0.001, 0.6, 3.0] }
[[measurements]]
name = "path-{optimizer}"
measure = "valley"
options = { steps = 30, a = 1.0, b = 2.0 }
grid = { optimizer = ["gd", "adam"] }
choose = { option = "lr", search = "search", value = "end", best = "min" }
[values]
end = { label = "loss", metric = "loss" }
[[panels]]
kind = "bars"
values = ["end"]
[quick]
minutes = 1
""")
    results = run(load(path), tmp_path / "out")
    for name in ("gd", "adam"):
        ends = {lr: results.readings[f"search-{name}-{lr:g}"].estimate(results.design.lesson.values["end"]).mean
                for lr in (0.001, 0.6, 3.0)}  # fmt: skip
        assert results.options[f"path-{name}"]["lr"] == min(ends, key=ends.get)
    assert [condition.name for condition in results.design.presented()] == ["path-gd", "path-adam"]


TRANSFER = """
title = "t"
claim = "c"
minutes = 1
text = "{tuned.error}"
[[runs]]
name = "source"
train = "classify digits"
options = { network = "mlp", width = 0.05, budget = 256, eval_every = 256, only_classes = "0,1" }
[[runs]]
name = "tuned"
train = "classify digits"
options = { network = "mlp", width = 0.05, budget = 256, only_classes = "2,3", init_from = "run:source" }
[values]
error = { label = "error", metric = "eval_validation_accuracy", complement = true, percent = true }
[[panels]]
kind = "bars"
values = ["error"]
[quick]
minutes = 1
"""


@pytest.mark.slow
def test_a_run_may_start_from_that_of_another_condition_with_the_same_seed(tmp_path):
    path = tmp_path / "transfer.toml"
    path.write_text(TRANSFER)
    results = run(load(path, seeds=2), tmp_path / "out")
    for seed in (0, 1):
        assert f"source-seed-{seed}" in results.commands["tuned"][seed]
    path.write_text(TRANSFER.replace("run:source", "run:sauce"))
    with pytest.raises(UserError, match="no condition 'sauce' before it"):
        load(path)


@pytest.mark.slow
def test_bias_and_variance_are_those_of_the_runs(tmp_path):
    """Of two runs of a condition, by hand: error = bias + variance in the mean over runs."""
    path = tmp_path / "spread.toml"
    text = TRANSFER.split('[[runs]]\nname = "tuned"')[0].replace("tuned", "source")
    text += '[values]\nerror = { label = "e", metric = "error", measure = "spread" }\n'
    text += 'bias = { label = "b", metric = "bias", measure = "spread" }\n'
    text += 'variance = { label = "v", metric = "variance", measure = "spread" }\n'
    path.write_text(text + '[[panels]]\nkind = "bars"\nvalues = ["error"]\n[quick]\nminutes = 1\n')
    results = run(load(path, seeds=2), tmp_path / "out")
    one, two = (rlgen.load(tmp_path / "out" / f"source-seed-{seed}") for seed in (0, 1))
    p = np.stack([each.predict(one.test_set.images) for each in (one, two)]).astype(float)
    y = np.eye(2)[one.test_set.labels.numpy()]
    found = {name: results.estimate(Term("source", name)).mean for name in ("error", "bias", "variance")}
    assert found["error"] == pytest.approx(((p - y) ** 2).sum(-1).mean(), rel=1e-5)
    assert found["variance"] == pytest.approx(((p[0] - p[1]) ** 2).sum(-1).mean() / 2, rel=1e-5)
    assert found["bias"] == pytest.approx(found["error"] - found["variance"])


def test_runs_of_one_seed_start_alike_whatever_the_optimiser(tmp_path):
    """The start and the order of minibatches that the race of optimisers relies on."""
    one, other = (
        prepare("classify", "digits", {"optimizer": name, "network": "mlp", "width": 0.05, "seeds": 2}, runs=tmp_path)
        for name in ("sgd", "adam")
    )
    weights = zip(one.algorithm.network.parameters(), other.algorithm.network.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in weights)
    for _ in range(3):
        assert torch.equal(one.algorithm.order.next_index(), other.algorithm.order.next_index())
