"""Run folders of others do no harm: `python tests/campaigns/hostile.py [--seed 0] [--count 3000] [--runs DIR]`.

Each try is an attack of the corpus on a copy of a small run, and a command that reads it. Nothing may be executed, and
nothing outside the folder of runs read, written or deleted; memory, time and what is printed have limits.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "NO_COLOR": "1"}
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout of this file

from rlgen import session
from tests.campaigns import sandbox
from tests.campaigns.hostile_files import SECRET, Apply, attacks
from tests.cases import CASES
from tests.cli.small import SMALL as AGENT

SECONDS = 10.0  # of the processor, at most
WAIT = 40.0  # seconds by the clock, at most: other work shares this machine
MEMORY = 200 << 20  # bytes beyond those that the command takes for the honest run, besides twice the files
VICTIM, OTHER = "victim", "other"
EVIL = "from pathlib import Path\n\nPath({marker!r}).touch()\n"
KINDS = ("agent", "model", "classifier")
RUN = f"runs/{VICTIM}"
COMMANDS: dict[str, tuple[str, ...]] = {
    "runs": ("runs",), "runs --json": ("runs", "--json"), "latest": ("note", "latest"), "page": ("page", VICTIM),
    "plot": ("plot", RUN), "compare": ("compare", RUN, f"runs/{OTHER}"),
    "resume": ("resume", RUN, "--quiet"), "resume further": ("resume", RUN, "--quiet", "--budget", "1600"),
    "report": ("report", RUN), "rm": ("rm", RUN), "note": ("note", RUN, "a note"), "tag": ("tag", RUN, "word"),
    "doctor": ("doctor", RUN), "watch": ("watch", RUN, "--once"), "csv": ("export", RUN, "--csv"),
    "tensorboard": ("export", RUN, "--tensorboard"), "summary": ("summary", RUN), "complete": ("complete", "eval", ""),
    "complete metrics": ("complete", "plot", VICTIM, "--metric", ""),
    "config": ("dqn", "CartPole", "--config", f"{RUN}/run.json", "--budget", "200", "--quiet", "--eval-episodes", "1"),
    "verify": ("verify", RUN),
}  # fmt: skip
OF_KIND: dict[str, dict[str, tuple[str, ...]]] = {
    "agent": {
        "eval": ("eval", RUN, "--episodes", "1"), "play": ("play", RUN), "play ages": ("play", RUN, "--at", "all"),
        "eval at": ("eval", RUN, "--at", "5", "--episodes", "1"),
        "best": ("eval", RUN, "--checkpoint", "best", "--episodes", "1"),
    },
    "model": {"eval": ("eval", RUN, "--samples", "10"), "sample": ("sample", RUN, "--count", "4", "--npy", "x.npy")},
    "classifier": {
        "eval": ("eval", RUN, "--images", "10"), "predict": ("predict", RUN, "picture.png"),
        "explain": ("explain", RUN, "--method", "saliency", "--images", "2"),
    },
}  # fmt: skip


@dataclass
class Campaign:
    """Honest runs of each kind, and a place for the tries."""

    folder: Path
    seed: int
    kinds: tuple[str, ...] = KINDS
    honest: dict[str, Path] = field(default_factory=dict)
    usual: dict[tuple[str, str], sandbox.Ended] = field(default_factory=dict)  # of the honest runs

    def __post_init__(self) -> None:
        self.marker = self.folder / "executed"
        modules = self.folder / "modules"
        modules.mkdir()
        (modules / "evil_module.py").write_text(EVIL.format(marker=str(self.marker)))
        sys.path.insert(0, str(modules))
        self.train()

    def train(self) -> None:
        """Train a small run of each kind."""
        import matplotlib.pyplot  # noqa: F401 # what every command imports late is imported before it forks
        import sklearn.datasets  # noqa: F401

        import rlgen.report.plots  # noqa: F401

        small = dict(zip(AGENT[::2], AGENT[1::2], strict=False))
        agent = {name.lstrip("-").replace("-", "_"): int(value) for name, value in small.items() if value.isdecimal()}
        options = {"agent": ("dqn", "CartPole", agent), "model": CASES["vae"], "classifier": CASES["classify"]}
        for kind in self.kinds:
            algorithm, task, given = options[kind]
            runs = self.folder / "honest" / kind
            run = session.prepare(algorithm, task, given, runs=runs, name=VICTIM)
            run.train(quiet=True)
            self.honest[kind] = run.run.directory

    def commands(self, kind: str) -> dict[str, tuple[str, ...]]:
        """The command lines for a run of this kind, by name."""
        from rlgen.cli.main import app

        known = {command.name for command in app.registered_commands}
        found = {**COMMANDS, **OF_KIND[kind]}
        return {name: words for name, words in found.items() if name != "verify" or "verify" in known}

    def cases(self) -> Iterator[tuple[int, str, str, Apply, str]]:
        """Number, kind, name and function of each attack with the name of a command, in a random order, endless."""
        number = 0
        while True:
            draw = random.Random(f"{self.seed}-{number}")
            pairs = [(kind, *attack) for kind in self.kinds for attack in attacks(self.honest[kind], draw)]
            draw.shuffle(pairs)
            for kind, name, apply in pairs:
                yield number, kind, name, apply, draw.choice(list(self.commands(kind)))
                number += 1

    def attempt(self, kind: str, apply: Apply, command: str) -> str:
        """What was lost in a try; nothing where it did no harm."""
        box = Path(tempfile.mkdtemp(dir=self.folder, prefix="try-"))
        try:
            return self._attempt(box, kind, apply, command)
        finally:
            shutil.rmtree(box, ignore_errors=True)

    def _attempt(self, box: Path, kind: str, apply: Apply, command: str) -> str:
        words = self.commands(kind)[command]
        if (kind, command) not in self.usual:
            self._place(box / "usual", kind)
            self.usual[kind, command] = usual = sandbox.run(list(words), box / "usual", WAIT * 3)
            if usual.code not in (0, 1) and command not in ("config", "resume"):
                return f"the honest run: exit {usual.code}: {usual.err.strip()[-300:]}"
        outside = self._place(box / "work", kind)
        apply(box / "work" / "runs" / VICTIM, outside)
        size = sum(path.lstat().st_blocks * 512 for path in (box / "work").rglob("*"))
        before = _snapshot(outside)
        ended = sandbox.run(list(words), box / "work", WAIT)
        usual = self.usual[kind, command]
        if self.marker.exists():
            self.marker.unlink()
            return "a module was imported"
        if _snapshot(outside) != before:
            return "something outside was changed"
        if ended.late:
            return f"took longer than {WAIT:.0f} s"
        if ended.seconds > SECONDS + usual.seconds:
            return f"took {ended.seconds:.1f} s of the processor"
        if (more := ended.memory - max(usual.memory, 0)) > 2 * size + MEMORY:
            return f"took {more >> 20} MiB of memory, for files of {size >> 20} MiB"
        return _said(ended, command) or _leaked(box / "work")

    def _place(self, work: Path, kind: str) -> Path:
        """Copies of the honest run in a working directory, and a folder outside the runs; returns the latter."""
        from PIL import Image

        for name in (VICTIM, OTHER):
            shutil.copytree(self.honest[kind], work / "runs" / name)
        Image.new("L", (8, 8)).save(work / "picture.png")
        outside = work.parent / f"outside-{work.name}"
        for name in (".partial-1-x", "000000001", "000000900"):
            (outside / name).mkdir(parents=True)
            (outside / name / "file").write_text(SECRET)
        for name in (
            "20240101120000.png",
            "000000009.png",
            "000000900.png",
            "log.txt",
            "metrics.jsonl",
            ".partial-2-y",
        ):
            (outside / name).write_text(SECRET)
        info = json.loads((self.honest[kind] / "run.json").read_text())
        (outside / "secret.json").write_text(json.dumps({**info, "task": SECRET, "note": SECRET, "tags": [SECRET]}))
        return outside


def _snapshot(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        found[path] = (status.st_mtime_ns, status.st_mode, path.read_bytes() if path.is_file() else b"")
    return found


def _said(ended: sandbox.Ended, command: str) -> str:
    """What is wrong with what a command printed; nothing where it is one clear line, or none."""
    text, lines = ended.out + ended.err, ended.err.strip().splitlines()
    if "Traceback" in text or "fault of rlgen" in text:
        return f"a fault: {text.strip()[-300:]}"
    if ended.code not in (0, 1, 2, 3, 4, 5, 6, 7):
        return f"exit {ended.code}: {text.strip()[-300:]}"
    if any(not (line.isprintable() or line.replace("\t", "").isprintable()) for line in text.split("\n")):
        return f"control characters: {text[:300]!r}"
    if SECRET in text:
        return "a text from outside was printed"
    if command == "verify":  # a table of what is wrong, and a line on what can be saved
        return "" if ended.out.strip() or lines else f"exit {ended.code} without a word"
    errors = [line for line in lines if line.startswith("error: ")]
    if ended.code not in (0, 1) and (len(errors) != 1 or lines[-1] != errors[0]):
        return f"exit {ended.code} without one clear line: {ended.err.strip()[-300:]}"
    if ended.code == 1 and command not in ("doctor", "verify") and not errors:
        return f"exit 1 without a line: {ended.err.strip()[-300:]}"
    if any(len(line) > 2_000 for line in errors):
        return f"a line of {max(map(len, errors)):,} characters"
    return ""


def _leaked(work: Path) -> str:
    """Whether a file within the working directory, that is no link, holds a text from outside."""
    for path in work.rglob("*"):
        small = path.is_file() and not path.is_symlink() and path.stat().st_blocks < 100_000
        if small and SECRET.encode() in path.read_bytes():
            return f"{path.relative_to(work)} holds a text from outside"
    return ""


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=3_000)
    parser.add_argument("--only", type=int, help="the number of one try")
    parser.add_argument("--runs", type=Path, help="folder of the tries, kept; by default a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as temporary:
        folder = options.runs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        campaign, lost = Campaign(folder.resolve(), options.seed), 0
        for number, kind, name, apply, command in campaign.cases():
            if number >= options.count:
                break
            if options.only is not None and number != options.only:
                continue
            if failure := campaign.attempt(kind, apply, command):
                lost += 1
                print(f"seed {options.seed} try {number}: {command} of {kind}, {name}: {failure}", flush=True)
        tries = options.count if options.only is None else 1
        print(f"hostile: {tries} tries, {tries - lost} survived, {lost} lost")
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()
