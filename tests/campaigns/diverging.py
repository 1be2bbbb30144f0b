"""Campaign: every algorithm is made to diverge, and stops with its last finite checkpoint, or rolls back to it."""

import argparse
import contextlib
import io
import json
import logging
import math
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from rlgen.core import checkpoint, divergence, portraits
from rlgen.core.errors import Diverged, Interrupted
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.core.optim.optimization import optimizations
from rlgen.core.optim.settings import SECOND_ORDER
from rlgen.session import Session, prepare, reopen, restore
from tests.campaigns.injection import HUGE, Injection, digests
from tests.cases import CASES

KINDS = ("rate", "batch", "weight", "seed")  # a huge learning rate; NaN in a batch, in a weight, in one seed's weights
WAYS = ("stop", "once", "always")  # stop; rollback where the NaN appears once, or again after every rollback
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class Case:
    """One training that diverges: what is trained, what breaks it at which share of the budget, what then happens."""

    name: str  # in tests.cases
    kind: str
    way: str
    share: float

    def __str__(self) -> str:
        return f"{self.name} | {self.kind} | {self.way} | at {self.share:.2f} of the budget"


def cases(seed, count):
    """`count` cases in a random order; more than there are begin again with other moments."""
    draw = random.Random(seed)
    every = [(name, kind, way) for name in CASES for kind in KINDS for way in WAYS if applies(name, kind, way)]
    chosen = []
    while len(chosen) < count:
        draw.shuffle(every)
        chosen += [Case(*each, draw.uniform(0.3, 0.9)) for each in every]
    return chosen[:count]


def applies(name, kind, way):
    """Whether this algorithm can be broken like this: tables and neighbours have no network, few have several seeds."""
    algorithm, _, settings = CASES[name]
    if algorithm == "knn" or (algorithm == "stack"):
        return False  # counts of whole numbers: nothing can diverge
    table = algorithm == "qlearning"
    if table and (kind in ("rate", "batch") or way != "stop"):
        return False
    if kind == "rate" and way == "once":
        return False  # it is there from the first step on
    if kind == "seed":
        return settings.get("seeds", 1) > 1
    return settings.get("optimizer") not in SECOND_ORDER


def survive(case: Case, runs: Path) -> str:
    """Run a case; returns what was lost, or an empty string."""
    session, injection = start(case, runs / "run")
    error, shown = train(session, whole=case.way != "once")
    if case.way != "once":
        return lost_after_stop(session, case, injection, error, shown)
    return lost_after_rollback(session, error, shown) or lost_by_a_stop(case, session, runs / "stopped")


def start(case, runs):
    """A new run, and what will break it."""
    algorithm, task, settings = CASES[case.name]
    given = {**settings, "on_divergence": "stop" if case.way == "stop" else "rollback"}
    if case.kind == "rate":
        given["lr"] = HUGE
        given |= {"discriminator_lr": HUGE} if algorithm in ("gan", "lsgan", "hinge", "wgan-gp") else {}
    session = prepare(algorithm, task, given, runs=runs)
    if case.kind == "rate":
        return session, None
    at = int(case.share * session.plan.budget)
    return session, Injection(session, case.kind, at, case.way == "once")


def train(session: Session, whole: bool):
    """The error of a training, if any, and what it showed: with curves and final scores where it is the `whole`."""
    shown, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(shown)
    handler.setLevel(logging.WARNING)
    log.addHandler(handler)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            if whole:
                session.train(quiet=True)
            else:
                with session.run as run:
                    torch.manual_seed(run.info["seed"])
                    fit(session.algorithm, run, session.plan)
    except (Diverged, Interrupted) as error:
        return error, shown.getvalue()
    finally:
        log.removeHandler(handler)
    return None, shown.getvalue()


def lost_after_stop(session, case, injection, error, shown):
    run = Folder(session.run.directory)
    if error is None:
        return "it did not diverge"
    if error.code != 3 or "\n" in str(error) or len(str(error)) > 600:
        return f"not one clear line: {error}"
    if run.info["status"] != "diverged" or run.info["error"] != str(error):
        return f"status {run.info['status']}"
    rollbacks = 0 if case.way == "stop" else divergence.ROLLBACKS
    if run.info.get("rollbacks", 0) != rollbacks or shown.count("rollback ") != rollbacks:
        return f"{run.info.get('rollbacks', 0)} rollbacks, said: {shown!r}"
    if injection is not None:
        now = digests(run.directory)
        if any(now.get(name, digest) != digest for name, digest in injection.before.items()):
            return "a checkpoint of before was changed"
        if injection.before and max(injection.before) not in now:
            return "the last checkpoint of before is gone"
    return not_finite(run) or lost_batch(run, case) or loads(run)


def lost_after_rollback(session, error, shown):
    run = Folder(session.run.directory)
    if error is not None:
        return f"it did not go on: {error}"
    if run.info["status"] != "finished" or run.info["rollbacks"] != 1 or shown.count("rollback 1 of") != 1:
        return f"status {run.info['status']}, rollbacks {run.info.get('rollbacks')}, said: {shown!r}"
    for optimization in optimizations(session.algorithm).values():
        if optimization.rate_factor != divergence.FACTOR:
            return f"the rate is lowered by {optimization.rate_factor}"
    return not_finite(run) or loads(run)


def not_finite(run):
    """Anything not finite in a checkpoint, portrait or row."""
    for folder in (*checkpoint.newest_first(run.directory / "checkpoints"), *portrait_folders(run.directory)):
        state = checkpoint.load(folder)  # verifies every byte
        if bad := [path for path, tensor in tensors(state) if not tensor.isfinite().all()]:
            return f"{folder.name} holds {bad[0]}, which is not finite"
    for name in ("metrics.jsonl", "episodes.jsonl", "timing.jsonl"):
        path = run.directory / name
        for line in path.read_text().splitlines() if path.exists() else ():
            json.loads(line, parse_constant=lambda word: 1 / 0)
    return ""


def portrait_folders(directory):
    return [directory / "portraits" / f"{each:09d}" for each in portraits.times(directory)]


def tensors(value, path=""):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from tensors(item, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from tensors(item, f"{path}.{i}")
    elif torch.is_tensor(value) and value.is_floating_point():
        yield path, value


def lost_batch(run, case):
    """What is wrong with the kept batch."""
    kept = sorted((run.directory / divergence.FOLDER).glob("*.json"))
    if not kept:
        return "no batch is kept"
    found = divergence.read(kept[-1])
    size = sum(path.stat().st_size for path in (run.directory / divergence.FOLDER).iterdir())
    if not found.batch or size > divergence.KEPT * 1.1 * divergence.MAX_BYTES:
        return f"the batch has {list(found.batch)} in {size:,} bytes"
    if case.kind == "seed" and found.facts["seeds"] != [1] and CASES[case.name][0] != "qlearning":
        return f"the seeds are {found.facts['seeds']}"
    return ""


def loads(run):
    """What is wrong with the state that is loaded from the last checkpoint, if there is one."""
    if not checkpoint.newest_first(run.directory / "checkpoints"):
        return ""
    restored = restore(run)
    values = [float(torch.as_tensor(value).double().sum()) for value in restored.evaluate().values()]
    return "" if all(map(math.isfinite, values)) else "the loaded algorithm has no finite evaluation"


def lost_by_a_stop(case, straight, runs):
    """What differs where the run is stopped after its rollback and resumed by an algorithm that never diverged."""
    session, injection = start(case, runs)
    injection.stop = (injection.at + session.plan.budget) // 2
    error, _ = train(session, whole=False)
    if not isinstance(error, Interrupted):
        return f"not stopped: {error}"
    again = reopen(Folder(session.run.directory), {})
    error, shown = train(again, whole=False)
    if error is not None or "rollback" in shown:
        return f"not resumed: {error}"
    one, other = straight.run.directory, again.run.directory
    if (one / "metrics.jsonl").read_text() != (other / "metrics.jsonl").read_text():
        return "the log of a resumed run differs"
    rates = {each.rate_factor for each in optimizations(again.algorithm).values()}
    if rates != {divergence.FACTOR}:
        return f"resumed with the rate factors {rates}"
    states = [checkpoint.load(checkpoint.newest_first(run / "checkpoints")[0]) for run in (one, other)]
    pairs = zip(*(list(tensors(state)) for state in states), strict=True)
    different = [path for (path, a), (_, b) in pairs if not torch.equal(a, b)]
    return f"{different[0]} of a resumed run differs" if different else ""


def campaign(seed: int, count: int, runs: Path) -> list[str]:
    """The cases in which anything was lost, each with what reproduces it."""
    failures = []
    for number, case in enumerate(cases(seed, count)):
        try:
            lost = survive(case, runs / str(number))
        except Exception as error:
            lost = f"{type(error).__name__}: {error}"
        if lost:
            failures.append(f"seed {seed} number {number}: {case}: {lost}")
            print(failures[-1], flush=True)
    return failures


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=len(cases(0, 1)) and FULL)
    parser.add_argument("--runs", type=Path, default=None)
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        failures = campaign(options.seed, options.count, options.runs or Path(folder))
    survived = options.count - len(failures)
    seconds = time.perf_counter() - began
    print(f"diverging: {options.count} tries, {survived} survived, {len(failures)} lost ({seconds:.0f} s)")
    return 1 if failures else 0


FULL = sum(applies(name, kind, way) for name in CASES for kind in KINDS for way in WAYS)

if __name__ == "__main__":
    sys.exit(main())
