"""A run that is stopped and resumed equals an uninterrupted one: every byte of its logs, every bit of its state."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rlgen.catalog import CATALOG
from rlgen.core import checkpoint, portraits
from rlgen.core.errors import Interrupted
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.core.metrics import numbers
from rlgen.core.ring import Ring
from rlgen.core.segments import Stored
from rlgen.session import prepare, reopen, restore
from tests.cases import CASES, small

ROOT = Path(__file__).parents[1]


def start(case, runs, name, file=None, **given):
    algorithm, task, options = CASES[case]
    return prepare(algorithm, task, {**options, **given}, runs=runs, name=name, file=file)


def train(session):
    with session.run as run:
        fit(session.algorithm, run, session.plan)
    return run.directory


def stop(session, time, number=signal.SIGTERM):
    """Train until a signal arrives in the step that reaches `time`."""
    algorithm, step = session.algorithm, session.algorithm.step

    def interrupted():
        before, metrics = algorithm.time, step()
        if before < time <= algorithm.time:
            signal.raise_signal(number)
        return metrics

    algorithm.step = interrupted
    with pytest.raises(Interrupted):
        train(session)
    return session.run.directory


RESUME = """
import json, sys
from pathlib import Path
from rlgen.session import prepare, reopen, restore
from tests.cases import CASES, small
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.core.metrics import numbers

for directory, given in json.loads(sys.argv[1]):
    session = reopen(Folder(Path(directory)), given, trust=True)
    with session.run as run:
        fit(session.algorithm, run, session.plan)
"""


# Slow: further settings and relatives of algorithms with a case of their own, and the other of two stops of each case.
VARIANTS = {
    "dqn on a lake", "dqn on large images", "dqn with an encoder", "rainbow of two seeds", "qlearning with masks",
    "gan with a network", "ae of convolutions", "vae of greys", "pixelcnn in half precision",
    "pixelrnn by diagonals", "classify with seeds", "bagging of convolutions", "dqn with a mask", "average",
    "snapshot",
}  # fmt: skip
STOPS = ("half", "anywhere")
EVERY = [pytest.param(case, marks=[pytest.mark.slow] if case in VARIANTS else []) for case in CASES]
STOPPED = [
    pytest.param(case, how, marks=[pytest.mark.slow] if case in VARIANTS or (number + turn) % 2 else [])
    for number, case in enumerate(CASES)
    for turn, how in enumerate(STOPS)
]


def selected(items):
    """The cases of the tests that will run, each with its stops: not the slow ones, or those chosen by `-k`."""
    parameters = [item.callspec.params for item in items if hasattr(item, "callspec")]
    chosen = {case: [each.get("how") for each in parameters if each.get("case") == case] for case in CASES}
    return {case: [how for how in STOPS if how in found] for case, found in chosen.items() if found}


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """Each case uninterrupted, and saved at the half or stopped anywhere; the latter are resumed elsewhere."""
    folder, later = tmp_path_factory.mktemp("runs"), []
    for case, stops in selected(request.session.items).items():
        budget, draw = CASES[case][2]["budget"], random.Random(case)
        config = Folder(train(start(case, folder, f"{case} straight"))).info["config"]  # not scaled by half the budget
        if "half" in stops:
            half = start(case, folder, f"{case} half", config, budget=budget // 2)
            later.append((train(half), {"budget": budget}))
        if "anywhere" in stops:
            anywhere = draw.randrange(budget // 4, budget * 9 // 10)
            later.append((stop(start(case, folder, f"{case} anywhere"), anywhere), {}))
    words = json.dumps([(str(directory), given) for directory, given in later])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RESUME, words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def text(run):
    """The logs that do not depend on the clock."""
    logs = (run / name for name in ("metrics.jsonl", "episodes.jsonl"))
    return "".join(log.read_text() for log in logs if log.exists())


def state(run):
    """The state in the newest checkpoint, without durations."""
    saved = checkpoint.load(checkpoint.newest_first(run / "checkpoints")[0])
    del saved["run"]["seconds"], saved["run"]["flushed"]
    return saved


def differences(one, other, path=""):
    """The paths at which two states differ in any bit."""
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and torch.equal(bits(one), bits(other))
        return [] if same else [path]
    if isinstance(one, Ring | Stored) and isinstance(other, Ring | Stored):
        return differences(rows(one), rows(other), path)
    if isinstance(one, dict) and list(one) == list(other):
        return [d for key in one for d in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{path}.{i}")]
    return [] if type(one) is type(other) and one == other else [path]


def rows(ring):
    """The rows of a ring buffer in one piece, in memory or in a checkpoint, and their numbers."""
    pieces = [columns for _, columns in ring.pieces()]
    return {
        "first": ring.first, "end": ring.end,
        "columns": {name: torch.cat([each[name] for each in pieces]) for name in (pieces or [{}])[0]},
    }  # fmt: skip


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor


def pictures(run):
    return {path.name: path.read_bytes() for path in run.glob("samples/*.png")}


def weights(run):
    """The time of each portrait, and its files."""
    folders = (run / "portraits").glob("*") if (run / "portraits").exists() else ()
    return {int(folder.name): {path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders}


def test_every_algorithm_is_covered():
    assert {algorithm for name, (algorithm, _, _) in CASES.items() if name not in VARIANTS} == set(CATALOG)
    assert set(CASES) > VARIANTS


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_a_new_algorithm_would_be_small_without_settings_of_its_own(entry, tmp_path):
    algorithm, task, settings = small(entry)
    made = prepare(algorithm, task, settings, runs=tmp_path)
    assert made.plan.budget <= 1_500
    assert made.algorithm.parameter_count() < 100_000


def test_differences_are_found():
    one = {"a": [torch.tensor([0.0, 1.0]), 3], "b": ("x", None)}
    assert differences(one, {"a": [torch.tensor([0.0, 1.0]), 3], "b": ("x", None)}) == []
    assert differences(one, {"a": [torch.tensor([-0.0, 1.0]), 3.0], "b": ("x", "")}) == [".a.0", ".a.1", ".b.1"]
    assert differences(one, {"a": [torch.tensor([0.0, 1.0])], "b": ("x", None)}) == [".a"]


@pytest.mark.parametrize(("case", "how"), STOPPED)
def test_a_resumed_run_equals_an_uninterrupted_one(runs, case, how):
    straight, resumed = runs / f"{case} straight", runs / f"{case} {how}"
    assert text(resumed) == text(straight)
    assert len(text(straight).splitlines()) > 10
    assert (straight / "episodes.jsonl").exists() == (CATALOG[CASES[case][0]].kind.name == "agent")
    saved = state(straight)
    assert saved["time"] >= CASES[case][2]["budget"]
    assert differences(saved, state(resumed)) == []
    assert pictures(resumed) == pictures(straight)
    assert weights(resumed) == weights(straight)
    assert Folder(resumed).info["status"] == "finished"
    timing = [row["time"] for row in Folder(resumed).rows("timing.jsonl")]
    assert timing == [row["time"] for row in Folder(straight).rows("timing.jsonl")]


@pytest.mark.parametrize("case", EVERY)
def test_a_portrait_restores_the_evaluation_of_its_time(runs, case):
    """To the bit, for every algorithm with weights: that between the first and the last."""
    straight = Folder(runs / f"{case} straight")
    times, rows = portraits.times(straight.directory), straight.rows()
    assert len(times) == (0 if CASES[case][0] == "knn" else 3)
    for time in times[1:2]:
        restored = restore(straight, at=time)
        assert restored.time == time
        found = {name: numbers(value) for name, value in restored.evaluate().items()}
        (logged,) = (row for row in rows if row["time"] == time and any(name.startswith("eval_") for name in row))
        assert {"time": time, **{name: value for name, value in found.items() if value is not None}} == logged


@pytest.mark.parametrize("case", EVERY)
def test_weights_change_in_training(runs, case):
    """Otherwise resumed runs would equal uninterrupted ones without any training."""
    trained, fresh = state(runs / f"{case} straight"), start(case, runs, f"{case} fresh").algorithm.state_dict()
    name = next(name for name in ("generator", "network", "q", "right") if name in trained)
    assert differences(trained[name], fresh[name]) != []


@pytest.mark.parametrize("case", ["dqn"])
def test_stopping_many_times_changes_nothing(runs, case, tmp_path):
    session, draw = start(case, tmp_path, "often"), random.Random(0)
    for time in sorted(draw.sample(range(1, 590), 6)):
        stop(session, time, draw.choice([signal.SIGINT, signal.SIGTERM]))
        session = reopen(Folder(session.run.directory), {})
    resumed = train(session)
    assert text(resumed) == text(runs / f"{case} straight")
    assert differences(state(resumed), state(runs / f"{case} straight")) == []


@pytest.mark.parametrize("case", ["dqn"])
def test_evaluations_do_not_change_the_training(runs, case, tmp_path):
    rarely = train(start(case, tmp_path, "rarely", eval_every=10**9, log_every=10**9, save_every=10**9))
    often = train(start(case, tmp_path, "often", eval_every=20, log_every=10, save_every=30))
    for run in (rarely, often):
        one, other = state(run), state(runs / f"{case} straight")
        del one["run"], other["run"]
        assert differences(one, other) == []
