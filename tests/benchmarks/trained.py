"""Trainings from the command line whose results stay in a folder, and tables of them in a page."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def train(runs: Path, name: str, words: list[str], more: Callable[[], dict[str, Any]] = dict) -> dict[str, Any] | str:
    """What `rlgen WORDS` prints, from the file beside the run where it was trained before; or why there is nothing.

    A process of its own, so evaluations, pictures and checkpoints are in its time. One that was stopped is resumed.
    `more` returns further values of a run that has just ended.
    """
    result = runs / f"{name}.json"
    if not result.exists():
        resumed = any((runs / name).glob("checkpoints/*"))
        if resumed:
            words = ["resume", name]
        else:
            shutil.rmtree(runs / name, ignore_errors=True)
            words = [*words, "--name", name]
        printed = rlgen([*words, "--runs", str(runs), "--quiet"])
        if isinstance(printed, str):
            return f"{name}: {printed}"
        if resumed:
            del printed["cpu"]
        result.write_text(json.dumps({**printed, **more()}))
    return read(result)


def rlgen(words: list[str]) -> dict[str, Any] | str:
    """What a command prints as JSON, with the seconds of processor it took as `cpu` and the largest memory as `gib`;
    or its exit status and its messages."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        env = {**os.environ, "CI": "true"}
        process = subprocess.Popen(
            [sys.executable, "-m", "rlgen", *words, "--json"], stdout=out, stderr=errors, env=env
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), errors.seek(0)
        if process.returncode:
            return f"exit {process.returncode}: {errors.read().decode().strip()}"
        return {**json.load(out), "cpu": used.ru_utime + used.ru_stime, "gib": used.ru_maxrss / 2**20}


def read(result: Path) -> dict[str, Any]:
    """What a training printed."""
    printed: dict[str, Any] = json.loads(result.read_text())
    return printed


def side_by_side(function: Callable[..., str], jobs: Iterable[tuple[Any, ...]], together: int) -> None:
    """Print the result of `function` for every job, of which so many run `together`."""
    with ThreadPoolExecutor(together) as pool:
        for line in pool.map(lambda job: function(*job), jobs):
            print(line, flush=True)


def write(page: Path, name: str, text: str) -> None:
    """Put a table in the place of the one called `name` in a page."""
    begin, end = f"<!-- {name} table: tests/benchmarks/{name}.py -->", f"<!-- end of {name} table -->"
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")
