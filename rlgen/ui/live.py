"""The interactive panels: requests are passed to one process of low priority, which starts with the first of them.

It is ended when idle, when an action takes too long, and with the server.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from rlgen.core.errors import UserError, did_you_mean
from rlgen.ui import panels
from rlgen.ui.actions import ACTIONS

IDLE = 300.0  # seconds without a request until the process ends
START = 120.0  # seconds for the import of torch and the loading of weights, besides those of an action
WAITING = 8  # requests at a time

Json = dict[str, Any]


class Unanswered(UserError):
    """A request that got no result, with its status of HTTP."""

    def __init__(self, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class Live:
    """Answers the requests of all pages, one at a time."""

    def __init__(self, idle: float = IDLE, start: float = START) -> None:
        self.idle, self.start = idle, start
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._turn = threading.Lock()
        self._room = threading.BoundedSemaphore(WAITING)
        self._timer: threading.Timer | None = None
        self._allowed: set[Path] = set()  # runs whose environment may import a module
        self._known: set[Path] = (
            set()
        )  # runs whose algorithm was loaded: later requests have the time of the action alone

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def answer(self, directory: Path, info: Mapping[str, Any], name: str, body: bytes) -> Json:
        """The result of the action `name` on a run for a request, a JSON object with `at`: a time, or null.

        Where a module has to be imported for the environment of a run, the answer is a question, `ask`, until a request
        on this run had `allow`. Raises Unanswered.
        """
        request = _request(body)
        action = ACTIONS.get(name)
        if action is None:
            raise Unanswered(f"no action {name!r}{did_you_mean(name, ACTIONS)}", HTTPStatus.NOT_FOUND)
        if action.panel and action.panel not in panels(info):
            raise Unanswered(f"{directory.name} has no panel {action.panel!r}, to which {name} belongs")
        at = request.pop("at", None)
        if at is not None and (isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < 2**63):
            raise Unanswered("`at` must be a time in steps or images, or null")
        if request.pop("allow", False) is True:
            self._allowed.add(directory)
        if not self._room.acquire(blocking=False):
            raise Unanswered("the interactive panels are busy: try again in a moment", HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            with self._turn:
                message = {
                    "run": str(directory),
                    "at": at,
                    "action": name,
                    "allow": directory in self._allowed,
                    "request": request,
                }
                return self._exchange(message, directory, action.seconds)
        finally:
            self._room.release()

    def close(self) -> None:
        """End the process."""
        if self._timer is not None:
            self._timer.cancel()
        process, self._process = self._process, None
        self._known.clear()
        if process is None:
            return
        with suppress(OSError):
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _exchange(self, message: Json, directory: Path, seconds: float) -> Json:
        """One line to the process and one back. Raises Unanswered where that fails."""
        if self.pid is None:
            self._begin()
        self._wait_until_idle()
        assert self._process is not None
        assert self._process.stdin is not None
        limit = seconds + (0.0 if directory in self._known else self.start)
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=limit)
        except Empty:
            self.close()
            raise Unanswered(
                f"{message['action']} took longer than {limit:.0f} s and was stopped", HTTPStatus.GATEWAY_TIMEOUT
            ) from None
        except OSError:
            line = b""
        if not line:
            self._ended(message["action"])
        self._known.add(directory)
        answer: Json = json.loads(line)
        if "error" in answer:
            raise Unanswered(answer["error"], answer["status"])
        result: Json = answer["result"]
        return result

    def _ended(self, action: str) -> None:
        """Raise Unanswered for a process that ended."""
        code = self._process.wait() if self._process is not None else 0
        self.close()
        cause = f"signal {-code}" + (", often for lack of memory" if code == -9 else "") if code < 0 else f"code {code}"
        raise Unanswered(
            f"the process of the interactive panels ended during {action} ({cause}); the next request starts it again",
            HTTPStatus.BAD_GATEWAY,
        )

    def _begin(self) -> None:
        """Start the process, with the same places of modules as this one."""
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rlgen.ui.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("RLGEN_DEBUG") else subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the server
        )
        self._lines = SimpleQueue()
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    def _wait_until_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self.idle, self._end_idle)
        self._timer.daemon = True
        self._timer.start()

    def _end_idle(self) -> None:
        with self._turn:
            self.close()


def _request(body: bytes) -> Json:
    try:
        request = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Unanswered("the body is not valid JSON") from None
    if not isinstance(request, dict):
        raise Unanswered("the body is not a JSON object")
    return request


def _read(stream: Any, lines: SimpleQueue[bytes]) -> None:
    """Pass on every line of the process, and an empty one at its end."""
    with suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put(b"")
