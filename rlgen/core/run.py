"""The folder of a run in training: logs, sample grids and checkpoints are written here."""

import itertools
import logging
import math
import time as clock
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch

from rlgen.core import checkpoint, checkpoints, device, files, fingerprint, leftovers, logs, portraits, remaining
from rlgen.core.algorithm import Algorithm, Metrics, StepMetrics
from rlgen.core.errors import CheckpointError, Diverged, NewerCheckpoint, NotFinite, StorageError, UserError
from rlgen.core.files import storing
from rlgen.core.folder import Folder
from rlgen.core.images import Grid
from rlgen.core.metrics import broken_seeds, numbers, present, reduce_steps, rounded, stack
from rlgen.core.progress import Progress
from rlgen.core.restoring import check_time, fitting
from rlgen.core.state import State, Stateful

Row = dict[str, Any]  # metric -> a number, or a list of one number or None per seed
log = logging.getLogger("rlgen")


class Run(Folder, Stateful):
    """A run folder that is written to: rows of metrics between checkpoints, and the scores so far."""

    state = (
        "pending", "score", "best", "best_time", "waited", "seconds", "flushed", "portraits", "lines", "rollbacks",
        "planned", "due",
    )  # fmt: skip

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.pending: dict[str, list[Any]] = {}  # metrics of the steps since the last row, by name
        self.score: float | None = None  # of the latest evaluation, higher being better
        self.best: float | None = None  # highest score so far
        self.best_time: int | None = None  # time of the highest score
        self.waited = 0  # evaluations since the highest score
        self.lines: dict[str, int] = {}  # of each log so far, by its name
        self.portraits: list[list[int]] = []  # number and time of the evaluations whose weights are kept
        self.rollbacks = 0  # after divergences
        self.planned: int | None = None  # time of the newest checkpoint that is not due to a stop: of a rollback
        self.due: str | None = None  # at this time: `evaluation`, with its pictures, `pictures`, ""; None: not begun
        self.saved: tuple[float | None, int | None] = (None, None)  # best and best_time of the newest checkpoint
        self.seconds = 0.0  # of training, up to `started`
        self.started = clock.perf_counter()
        self.flushed = (0, 0.0)  # time and seconds of the last row
        self.progress = Progress()
        self.row_callbacks: list[Callable[[int, Row], None]] = []  # called with the time and values of every row
        self.write_grid: Callable[[Grid, Path, int], object] | None = None  # draws a grid at a time

    def __enter__(self) -> Self:
        super().__enter__()
        self.started = clock.perf_counter()
        return self

    def collect(self, metrics: StepMetrics) -> None:
        """Keep the metrics of a step until `flush`, without synchronisation with the device.

        A metric is a number, numbers (S,) of S seeds, totals (2, S): sums over items and their counts, or rows, which
        are lines of a log of its own, NAME.jsonl, each with its time.
        """
        pending = self.pending
        for name, value in metrics.items():
            if name in pending:
                pending[name].append(value)
            else:
                pending[name] = [value]

    def flush(self, time: int) -> None:
        """Write a row with the mean of every metric over the steps since the last row.

        The mean of totals is over their items: None for a seed without any. Raises Diverged where one is not finite.
        """
        self._write_rows()
        if not self.pending:
            return
        means = {name: reduce_steps(stack(values)) for name, values in self.pending.items()}
        self.pending = {}
        self.record(time, means)
        seconds = self.elapsed()
        rate = (time - self.flushed[0]) / max(seconds - self.flushed[1], 1e-9)
        self._append("timing.jsonl", {"time": time, "seconds": round(seconds, 3), "rate": round(rate, 1)})
        self.flushed = (time, seconds)

    def record(self, time: int, metrics: Metrics, score: str | None = None) -> None:
        """Append numbers to metrics.jsonl, None for totals of no items.

        `score` names the metric that ranks evaluations, by its mean over seeds.
        """
        values = {name: numbers(value) for name, value in metrics.items()}
        row: Row = {name: value for name, value in values.items() if value is not None}
        broken = {name: value for name, value in row.items() if not all(map(math.isfinite, present(value)))}
        if broken:
            more = ", or more test images" if all(name.startswith("eval_") for name in broken) else ""
            message = f"at {time:,} {broken}, after {(self.rows() or [{}])[-1]}: try a smaller --lr{more}"
            raise Diverged(message, metrics=broken, seeds=broken_seeds(broken.values()))
        if row:
            self._append("metrics.jsonl", {"time": time, **row})
        for callback in self.row_callbacks:
            callback(time, row)
        if score is not None:
            scores = present(row[score])
            self.score = sum(scores) / len(scores)
            self.waited += 1
            if self.best is None or self.score > self.best:
                self.best, self.best_time, self.waited = self.score, time, 0

    def draw(self, time: int, grids: Mapping[str, Grid]) -> None:
        """Write each grid to `NAME/TIME.png`; to the file NAME, over that of an earlier time, if it ends in .png."""
        self.require()
        if self.write_grid is None:
            return
        folders = [name for name in grids if not name.endswith(".png")]
        if (known := self._grids()) is not None and set(folders) - set(known):
            self.describe(grids=list(dict.fromkeys([*known, *folders])))  # before the first picture: see `leftovers`
        for name in folders:  # but not that of a run which was removed
            with files.storing(f"draw {name}"):
                (self.directory / name).mkdir(exist_ok=True)
        for name, grid in grids.items():
            file = name if name.endswith(".png") else f"{name}/{leftovers.dated(time)}.png"
            self.write_grid(grid, self.directory / file, time)

    def portray(self, algorithm: Algorithm) -> None:
        """Keep the weights alone, as `rlgen.core.portraits` thins them. Raises Diverged where one is not finite."""
        self.require()
        self.portraits = portraits.add(self.directory, algorithm, self.portraits)

    def elapsed(self) -> float:
        """Seconds of training, including those before a resume."""
        return self.seconds + clock.perf_counter() - self.started

    def save(self, algorithm: Algorithm, last: bool = False) -> None:
        """Write a checkpoint, and delete all but the newest two and the best.

        Where it cannot be written, training continues with a warning, and the best score is again the best in a
        checkpoint; for the `last` one StorageError is raised. Raises Diverged where a weight is not finite.
        """
        self.seconds, self.started = self.elapsed(), clock.perf_counter()
        folder = self.directory / "checkpoints"
        self.require()
        try:
            folder.mkdir(exist_ok=True)
            self._write_rows()
            written = [path for name in logs.WRITTEN if (path := self.directory / name).exists()]
            state = {**algorithm.state_dict(), "run": self.state_dict()}
            checkpoint.save(folder / f"{algorithm.time:09d}", state, after=(*written, self.directory))
            self.describe(
                time=algorithm.time,
                seconds=round(self.seconds, 3),
                memory=device.peak_memory(),
                best=self.best,
                best_time=self.best_time,
                waited=self.waited,
                lines=dict(self.lines),
            )
        except NotFinite as error:
            raise Diverged(f"at {algorithm.time:,} {error}: try a smaller --lr") from None
        except (OSError, StorageError) as error:
            message = f"the checkpoint at {algorithm.time:,} was not written ({error})"
            if last:
                raise StorageError(f"{message}; {remaining.way_out(self.directory)}") from None
            log.warning(f"{message}; training continues")
            self.best, self.best_time = self.saved  # run.json names a best checkpoint only if there is one
            return
        self.saved = self.best, self.best_time
        remaining.prune(folder, (self.best_time, self.planned))

    def resume(self, algorithm: Algorithm) -> None:
        """Continue from the newest undamaged checkpoint; discard what was written after it. Raises StorageError."""
        with storing(f"continue {self.directory}"):
            self._resume(algorithm)

    def _resume(self, algorithm: Algorithm) -> None:
        fingerprint.compare(self.name, self.info, algorithm)
        self.describe(fingerprint=fingerprint.of(algorithm))
        saved = self._newest(type(algorithm), True)
        if saved is not None:
            with fitting(f"the checkpoint of {self.name}"):
                self.load_state_dict(saved.pop("run"))
            self._restore(saved, algorithm)
            self.saved = self.best, self.best_time
            if not (self.directory / "checkpoints" / leftovers.dated(reached := self.info.get("time") or 0)).exists():
                log.warning(f"the checkpoint at {reached:,} is missing: training continues at {algorithm.time:,}")
            self.describe(time=algorithm.time, best=self.best, best_time=self.best_time)
        self.describe(lines=dict(self.lines))  # before the logs are cut: they never hold fewer
        begun = algorithm.time or self.due in ("", "pictures")
        until = algorithm.time if begun else -1  # time 0 is evaluated again
        self.lines = logs.cut_all(self.directory, until, self.lines)
        leftovers.delete(self.directory, algorithm.time, self._grids())
        remaining.prune(self.directory / "checkpoints", (self.best_time, self.planned))
        portraits.thin(self.directory, self.portraits)
        self.started = clock.perf_counter()

    def load(
        self, algorithm: Algorithm, which: str = "last", at: int | None = None, *, experience: bool = False
    ) -> None:
        """Restore `algorithm` from the `last` or `best` checkpoint; the folder is unchanged. Raises CheckpointError.

        What only further training needs, as the replay buffer, is read with `experience` alone. With `at` its weights
        and `time` alone, from the portrait nearest to this time.
        """
        if at is not None:
            portraits.restore(self.directory, algorithm, at)
            fingerprint.compare(self.name, self.info, algorithm)
            return
        saved = (self._best if which == "best" else self._newest)(type(algorithm), experience)
        fingerprint.compare(self.name, self.info, algorithm)
        if saved is None:
            raise CheckpointError(f"{self.name} has no checkpoint: wait for the first, or train longer")
        unused = () if experience else getattr(algorithm, "experience", ())
        self._restore({name: value for name, value in saved.items() if name not in ("run", *unused)}, algorithm)

    def state_dict(self) -> State:
        """The scores, the clock, the metrics of an unfinished row as tensors, and torch's global random streams."""
        pending = {name: stack(values) for name, values in self.pending.items()}
        torch_states = {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        return {**super().state_dict(), "pending": pending, "torch": torch_states}

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`, including torch's global random streams."""
        streams = saved.pop("torch")
        torch.set_rng_state(streams["cpu"])
        if streams["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(streams["cuda"])
        absent = {
            "waited": 0,
            "portraits": [],
            "lines": {},
            "rollbacks": 0,
            "planned": None,
            "due": None,
        }  # in earlier versions
        super().load_state_dict({**absent, **saved})
        self.pending = {name: list(values.unbind(0)) for name, values in self.pending.items()}  # type: ignore[attr-defined]

    def _newest(self, algorithm: type[Algorithm], rows: bool) -> State | None:
        """The state in the newest undamaged checkpoint; None before the first. Raises CheckpointError."""
        found = checkpoints.newest(self.directory, algorithm, rows=rows)
        if found is None and (time := self.info.get("time")):
            raise CheckpointError(
                f"{self.name} was trained to {time:,} and its checkpoints are missing:"
                f" train again, with `--config {self.directory}/run.json`"
            )
        return found

    def _best(self, algorithm: type[Algorithm], rows: bool) -> State:
        """The state in the checkpoint of the best evaluation.

        Raises UserError without such an evaluation, CheckpointError where its checkpoint is missing or damaged.
        """
        time = self.info.get("best_time")
        if time is None:
            raise UserError(
                f"{self.name} has no best checkpoint: no evaluation was scored and saved; use the last checkpoint"
            )
        try:
            return checkpoints.at(self.directory, time, algorithm, rows=rows)
        except NewerCheckpoint:
            raise
        except CheckpointError as error:
            if self.info.get("best_time") != time:  # the process that trains has found a better one
                return self._best(algorithm, rows)
            raise CheckpointError(f"the best checkpoint of {self.name}: {error}; use the last checkpoint") from None

    def _grids(self) -> list[str] | None:
        """Names of the folders of pictures; None for a run of an earlier version, which did not record them."""
        grids = self.info.get("grids")
        return [str(name) for name in grids] if isinstance(grids, list) else None

    def _restore(self, saved: State, algorithm: Algorithm) -> None:
        with fitting(f"the checkpoint of {self.name}"):
            algorithm.load_state_dict(saved)
            check_time(algorithm.time)

    def _write_rows(self) -> None:
        """Append the collected rows to their logs: a checkpoint holds none."""
        for name in [name for name, values in self.pending.items() if isinstance(values[0], list)]:
            rows = itertools.chain(*self.pending[name])
            self._append(f"{name}.jsonl", *({key: rounded(value) for key, value in row.items()} for row in rows))
            del self.pending[name]

    def _append(self, name: str, *rows: Row) -> None:
        self.require()
        try:
            self.lines[name] = logs.append(self.directory / name, rows, self.lines.get(name, 0) + 1) - 1
        except OSError as error:
            raise StorageError(
                f"cannot write {name} ({error.strerror}): make room, then `rlgen resume {self.directory}`"
            ) from None
