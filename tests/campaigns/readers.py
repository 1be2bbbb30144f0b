"""Readers of a run in training: each says what is wrong with what it read, nothing where all is well."""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from rlgen.cli import main as command_line
from rlgen.core.folder import Folder
from rlgen.core.tail import Tail
from rlgen.session import restore
from rlgen.ui.api import Api, dump
from rlgen.ui.logs import LOGS

Reader = Callable[[Path, str, Api, Tail], str]


def rlgen(*words: object) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, run in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["rlgen", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line.main()
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = argv
    return 0, out.getvalue(), err.getvalue()


def command(*words: str) -> Reader:
    """A command, of which RUN and OUT are replaced; it must succeed without a word on stderr."""

    def read(runs: Path, name: str, api: Api, tail: Tail) -> str:
        with tempfile.TemporaryDirectory() as folder:
            given = [name if word == "RUN" else word.replace("OUT", folder) for word in words]
            code, _, err = rlgen(*given, "--runs", runs)
        found = words[0] == "doctor" and code == 1  # a problem of the training, which is its answer
        wrong = (code != 0 and not found) or any(word in err for word in ("warning", "damaged", "error", "missing"))
        return f"{' '.join(words)} of {name}: exit {code}: {err}" if wrong else ""

    return read


def page(runs: Path, name: str, api: Api, tail: Tail) -> str:
    """What the page asks for: the list, a run, and its logs from where it read before."""
    listed = {row["id"] if "id" in row else row["name"] for row in api.json("/api/runs")["runs"]}
    details = api.json(f"/api/runs/{name}")
    dump(details)
    for log in LOGS:
        if (runs / name / LOGS[log]).exists():
            dump(api.json(f"/api/runs/{name}/{log}", "points=50"))
    return "" if name in listed else f"the page lists {listed}"


def tailed(runs: Path, name: str, api: Api, tail: Tail) -> str:
    """The rows that were appended, in order and without a gap."""
    tail.update()
    times = [row["time"] for row in tail.rows]
    return "" if times == sorted(times) and times else f"times of {name}: {times[-20:]}"


def pictures(runs: Path, name: str, api: Api, tail: Tail) -> str:
    """Every picture that is there is whole."""
    for path in (runs / name).rglob("*.png"):
        if not path.name.startswith("."):
            with contextlib.suppress(FileNotFoundError), Image.open(path, formats=["PNG"]) as image:
                image.load()
    return ""


def loaded(checkpoint: str) -> Reader:
    """The trained from a checkpoint, evaluated."""

    def load(runs: Path, name: str, api: Api, tail: Tail) -> str:
        if checkpoint == "best" and name == "model":
            return ""  # its evaluations have no score
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            trained = restore(Folder(runs / name), checkpoint)
        return "" if trained.time > 0 and not said.getvalue() else f"{trained.time} {said.getvalue()}"

    return load


READERS: dict[str, Reader] = {
    "runs": command("runs", "--json"),
    "plot": command("plot", "RUN", "--out", "OUT/curves.png"),
    "compare": command("compare", "agent", "other", "--out", "OUT/both.png"),
    "watch": command("watch", "RUN", "--once"),
    "eval": command("eval", "agent", "--episodes", "1"),
    "export": command("export", "RUN", "--csv", "--out", "OUT/rows.csv"),
    "doctor": command("doctor", "RUN"),
    "page": page,
    "tail": tailed,
    "pictures": pictures,
    "last": loaded("last"),
    "best": loaded("best"),
}
if any(each.name == "verify" for each in command_line.app.registered_commands):
    READERS["verify"] = command("verify", "RUN")
