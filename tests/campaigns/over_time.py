"""Campaign: runs of every earlier form load, act and resume; later forms are refused; another machine is noted.

`--write DIR` makes a set of small runs of today's form, to be added to tests/fixtures/runs under the name of that form.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import rlgen
from rlgen import data
from rlgen.core import checkpoint, description, portraits, seal
from rlgen.core.errors import NewerCheckpoint, UserError
from rlgen.core.folder import Folder

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
log = logging.getLogger("rlgen")
AGENT = {
    "width": 4, "depth": 1, "buffer_size": 60, "learning_starts": 50, "batch": 8, "train_freq": 8, "gradient_steps": 1,
    "eval_episodes": 2, "final_episodes": 2, "budget": 400, "log_every": 100, "eval_every": 200, "save_every": 200,
}  # fmt: skip
IMAGES = {"batch": 50, "threads": 1, "budget": 300, "log_every": 100, "eval_every": 150, "save_every": 150}
RUNS = {
    "dqn": ("dqn", "CartPole", {**AGENT, "threads": 1}),
    "vae": ("vae", "digits", {**IMAGES, "width": 4, "depth": 1, "latent": 2}),
    "classify": ("classify", "digits", {**IMAGES, "network": "linear", "train_images": 300}),
}


def fixtures():
    """Every run of an earlier form, as form/name."""
    return sorted(f"{path.parent.name}/{path.name}" for path in FIXTURES.glob("*/*"))


def write(folder: Path) -> None:
    """Make the runs of today's form in `folder`, each with what it does now."""
    for name, (algorithm, task, settings) in RUNS.items():
        run = rlgen.train(algorithm, task, runs=folder, name=name, **settings)
        for old in checkpoint.newest_first(run.directory / "checkpoints")[1:]:
            shutil.rmtree(old)
        for at in portraits.times(run.directory)[1:]:
            shutil.rmtree(run.directory / "portraits" / f"{at:09d}")
        for path in run.directory.iterdir():
            if path.is_dir() and path.name not in ("checkpoints", "portraits"):
                shutil.rmtree(path)
            elif path.is_file() and path.suffix != ".jsonl" and path.name != "run.json":
                path.unlink()
        (run.directory / "expected.json").write_text(json.dumps(acts(rlgen.load(run))))


def acts(trained) -> dict[str, list[float]]:
    """What the trained does, as numbers."""
    if hasattr(trained, "rollout"):
        observations = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
        return {"q": trained.values(observations).q.flatten().tolist(), "returns": trained.rollout(2, 0)[0].tolist()}
    if hasattr(trained, "sample"):
        return {"sample": trained.sample(4, seed=0).flatten()[:64].tolist()}
    return {"probabilities": trained.predict(data.load("digits", "test").images[:8]).flatten().tolist()}


def loads(name, copy):
    """It loads and acts as it did."""
    expected, found = json.loads((FIXTURES / name / "expected.json").read_text()), acts(rlgen.load(copy))
    for key, values in expected.items():
        if not np.allclose(values, found[key], rtol=1e-4, atol=1e-5):
            return f"{key} differ"
    for at in portraits.times(copy):
        rlgen.load(copy, at=at).evaluate()
    return ""


def resumes(name, copy):
    """It is trained on to twice its time, after the rows it has."""
    before, reached = Folder(copy).rows(), Folder(copy).info["time"]
    run = rlgen.resume(copy, budget=2 * reached)
    rows = run.rows()
    if [without_marks(row) for row in rows[: len(before)]] != [without_marks(row) for row in before]:
        return "rows of before differ"
    if run.info["status"] != "finished" or run.info["time"] < 2 * reached or len(rows) <= len(before):
        return f"it is {run.info['status']} at {run.info['time']}"
    newest = checkpoint.newest_first(copy / "checkpoints")[0]
    rlgen.load(copy)
    return "" if checkpoint.verify(newest) == checkpoint.SCHEMA else "its checkpoint is of the former schema"


def without_marks(row):
    return {key: value for key, value in row.items() if key not in ("n", "crc")}


def newer_checkpoint(name, copy):
    """A checkpoint of a later schema is refused by load and resume, and stays as it is."""
    raise_schema(checkpoint.newest_first(copy / "checkpoints")[0])
    return refused(lambda: rlgen.load(copy), copy) or refused(lambda: rlgen.resume(copy, budget=10_000), copy)


def newer_portrait(name, copy):
    """A portrait of a later schema is refused."""
    times = portraits.times(copy)
    if times:
        raise_schema(copy / "portraits" / f"{times[0]:09d}")
    return refused(lambda: rlgen.load(copy, at=times[0]), copy) if times else ""


def newer_description(name, copy):
    """A run.json of a later schema is refused by load and resume, and named in the list of runs."""
    facts = {**description.read(copy), "schema": description.SCHEMA + 1}
    (copy / "run.json").write_bytes(seal.dump(facts))
    readable, unreadable = Folder.sorted(copy.parent)
    if readable or "install a newer rlgen" not in unreadable[copy.name]:
        return f"the list of runs says {unreadable}"
    return refused(lambda: rlgen.load(copy), copy) or refused(lambda: rlgen.resume(copy, budget=10_000), copy)


def raise_schema(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "schema": checkpoint.SCHEMA + 1}, indent=1))


def refused(call, copy):
    """Whether a call ends with the advice to install a newer version, and nothing of the checkpoints is changed."""
    before = {path: path.read_bytes() for path in copy.glob("checkpoints/**/*") if path.is_file()}
    try:
        call()
    except UserError as error:
        after = {path: path.read_bytes() for path in copy.glob("checkpoints/**/*") if path.is_file()}
        clear = isinstance(error, NewerCheckpoint) and error.code == 4 and "\n" not in str(error)
        if not clear or "install a newer rlgen" not in str(error):
            return f"{type(error).__name__}: {error}"
        return "" if before == after else "checkpoints were changed"
    return "it was not refused"


def another_version(name, copy):
    """A run of another version of torch goes on, with one line that says what is no longer exact."""
    versions = {**description.read(copy)["versions"], "torch": "1.0.0"}
    return noted(copy, {"versions": versions}, f"torch 1.0.0 then, {torch.__version__} now")


def another_device(name, copy):
    """A run of a device that is missing here goes on, with one line."""
    setup = {**description.read(copy)["setup"], "device": "cuda" if not torch.cuda.is_available() else "mps"}
    return noted(copy, {"setup": setup, "device": "NVIDIA Abacus"}, "device NVIDIA Abacus then, ")


def noted(copy, facts, words):
    description.write(copy, {**description.read(copy), **facts})
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        run = rlgen.resume(copy, budget=2 * Folder(copy).info["time"])
    finally:
        log.removeHandler(handler)
    lines = [line for line in said if "not equal to the bit" in line]
    if len(lines) != 1 or words not in lines[0] or "\n" in lines[0]:
        return f"it says {said}"
    kept = run.info["inexact"]["changes"]
    return (
        "" if run.info["status"] == "finished" and any(words in each for each in kept) else "run.json does not say it"
    )


CHECKS = (
    loads, resumes, newer_checkpoint, newer_portrait, newer_description, another_version, another_device,
)  # fmt: skip


def survive(name, check, work: Path) -> str:
    """What is wrong with one check of a fixture, or an empty string."""
    copy = work / check.__name__ / name.replace("/", "-")
    shutil.copytree(FIXTURES / name, copy)
    try:
        return check(name, copy)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of nothing: every case is tried")
    parser.add_argument("--count", type=int, default=None, help="of cases, the first ones; by default all")
    parser.add_argument("--runs", type=Path, default=None)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    if options.write:
        write(options.write)
        return 0
    began, lost = time.perf_counter(), 0
    cases = [(name, check) for name in fixtures() for check in CHECKS][: options.count]
    with tempfile.TemporaryDirectory() as folder:
        for name, check in cases:
            if wrong := survive(name, check, options.runs or Path(folder)):
                lost += 1
                print(f"{name} {check.__name__}: {wrong}", flush=True)
    seconds = time.perf_counter() - began
    print(f"over_time: {len(cases)} tries, {len(cases) - lost} survived, {lost} lost ({seconds:.0f} s)")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
