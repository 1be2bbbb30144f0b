"""The process that computes the interactive panels: requests and answers are lines of JSON on its standard streams.

It ends when its standard input does. A low priority leaves the cores to trainings.
"""

import json
import os
import sys
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rlgen.core.errors import UserError
from rlgen.core.terminal import visible
from rlgen.ui.actions import ACTIONS, Json, Session
from rlgen.ui.api import dump

PRIORITY = 10  # added to the nice value
LOADED = 3  # algorithms kept in memory
QUESTION = (
    "The environment of {run} is registered by the import of the Python module {module!r}, which may run any code."
    " Allow it only if the module is yours."
)


@dataclass
class Loaded:
    """An algorithm in memory, and what actions keep between two requests on it."""

    algorithm: Any
    stamp: tuple[Any, ...]  # of the checkpoint it was loaded from
    session: Session


class Worker:
    """Answers requests on runs, whose algorithms are loaded once and the least recently used of them dropped."""

    def __init__(self) -> None:
        self.permitted: set[str] = set()  # modules of environments that a person allowed
        self.loaded: OrderedDict[tuple[str, int | None, bool], Loaded] = OrderedDict()

    def answer(self, message: Json) -> Json:
        """`result` of the action of a message, or `error` as one line with the status of HTTP.

        Where a module has to be imported for the environment of a run, the result is a question, `ask`, unless the
        message has `allow`.
        """
        from rlgen.envs import names

        names.PERMITTED = self.permitted
        try:
            action = ACTIONS[message["action"]]
            loaded = self.load(message["run"], message["at"], action.experience)
            return {"result": action.function(loaded.algorithm, message["request"], loaded.session)}
        except names.ModuleRefused as refused:
            if not message["allow"]:
                return {
                    "result": {"ask": QUESTION.format(run=Path(message["run"]).name, module=visible(refused.module))}
                }
            self.permitted.add(refused.module)
            return self.answer(message)
        except UserError as error:
            return {"error": str(error), "status": 400}
        except MemoryError:
            self.loaded.clear()
            return {"error": "out of memory: close other programs, or choose a smaller model", "status": 500}
        except Exception as error:
            if os.environ.get("RLGEN_DEBUG"):
                sys.excepthook(*sys.exc_info())
            line = " ".join(f"{type(error).__name__}: {error}".split())
            return {"error": f"{message['action']} failed ({line[:300]}): a fault of rlgen", "status": 500}

    def load(self, run: str, at: int | None, experience: bool = False) -> Loaded:
        """The algorithm of a run at a time, the last by default; anew where its checkpoint was replaced.

        Its replay buffer is read with `experience` alone. With a session in progress, such as an episode in play, later
        checkpoints of a training are left alone.
        """
        key, stamp = (run, at, experience), _stamp(Path(run), at)
        known = self.loaded.get(key)
        if known is None or (known.stamp != stamp and not (at is None and known.session)):
            known = self.loaded[key] = Loaded(_load(Path(run), at, experience), stamp, Session(Path(run)))
        self.loaded.move_to_end(key)
        while len(self.loaded) > LOADED:
            self.loaded.popitem(last=False)
        return known


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line of `requests` by one line of `answers`, until there are no more."""
    worker = Worker()
    for line in requests:
        answers.write(dump(worker.answer(json.loads(line))) + b"\n")
        answers.flush()


def main() -> None:
    """Serve on the standard streams; what libraries print goes nowhere or, with RLGEN_DEBUG=1, to stderr."""
    with suppress(OSError, AttributeError):
        os.nice(PRIORITY)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    serve(sys.stdin.buffer, answers)


def _load(directory: Path, at: int | None, experience: bool) -> Any:
    import rlgen
    from rlgen.core.folder import Folder

    trust = True  # as far as `permitted` goes
    return rlgen.load(Folder(directory), at=at, trust=trust, experience=experience)


def _stamp(run: Path, at: int | None) -> tuple[Any, ...]:
    """What changes when the weights at a time are written anew."""
    folder = run / ("checkpoints" if at is None else "portraits")
    newest = max((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda p: int(p.name), default=None)
    try:
        return (newest, newest.stat().st_mtime_ns) if at is None and newest else (folder.stat().st_mtime_ns,)
    except OSError:
        return ()


if __name__ == "__main__":
    main()
