"""A run in training: its settings resolved, its folder claimed, trained to the end and scored."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rlgen import catalog, exactness, members, provenance
from rlgen.catalog import Entry
from rlgen.core import signals
from rlgen.core.algorithm import Algorithm, HasBaselines, Initialised, Report
from rlgen.core.allocation import bounded, bounded_as_saved
from rlgen.core.config import check_names, resolve
from rlgen.core.device import available
from rlgen.core.errors import Diverged, Interrupted, StorageError, UserError
from rlgen.core.failures import kept_in
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.core.images import Grid
from rlgen.core.names import safe
from rlgen.core.run import Run
from rlgen.core.settings import Plan, Setup
from rlgen.core.signals import Stopped
from rlgen.preparation import (
    changed,
    check_methods,
    check_plan,
    make,
    plain,
    preset_names,
    saved_settings,
    settings_of,
)
from rlgen.trained_run import TrainedRun

if TYPE_CHECKING:
    from rlgen.report.console import Display

DRAWING = 1.5  # seconds for pictures after a stop, which is soon to be over
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class Session:
    """An algorithm, the folder of its run, and the plan of its training."""

    entry: Entry
    algorithm: Algorithm
    run: Run
    plan: Plan
    count: int  # of fresh episodes or samples in the final report

    def __post_init__(self) -> None:
        self.run.write_grid = partial(_write_grid, self.entry.kind.unit)

    def train(self, *, quiet: bool = False) -> Report:
        """Train to the end of the plan, draw the curves and score the result.

        The folder is locked meanwhile, and stderr shows the progress unless `quiet`. Raises Interrupted after Ctrl-C or
        SIGTERM, with which the training, the drawing and the scoring end at once, and leaves a run that can be resumed.
        """
        try:
            # the lock of the run comes first: another process may be writing to its log
            with signals.handled(), signals.held(), self.run, kept_in(self.run.directory), signals.released():
                return self._train(quiet)
        except Stopped as stopped:
            run, phase = self.run, self.run.progress.phase
            how = "at once" if stopped.again else f"while {phase}"
            message = f"stopped {how}: `rlgen resume {run.directory}` continues"
            if phase == "finished":
                message = f"stopped: {run.name} is finished"
            raise Interrupted(stopped.number, message, saved=not stopped.again) from None

    def _train(self, quiet: bool) -> Report:
        from rlgen.report.console import Display
        from rlgen.report.event_files import EventFiles

        run, info, kind = self.run, self.run.info, self.entry.kind
        display = Display(
            kind,
            self.plan.budget,
            run.directory / "log.txt",
            run.progress,
            quiet=quiet,
            already=info["time"],
            seeds=info["config"].get("seeds", 1),
        )
        with display:
            display.start(f"{self.entry.name} on {info['task']}", self.facts())
            run.row_callbacks.append(display)
            if self.plan.tensorboard:
                run.row_callbacks.append(EventFiles(run))
            run.describe(plan=plain(self.plan), result=None)
            if info["time"] and (found := exactness.changes(info, _device(self.algorithm))):
                run.describe(inexact={"time": info["time"], "changes": found})
                log.warning(f"from here on not equal to the bit to an uninterrupted run: {'; '.join(found)}")
            torch.manual_seed(info["seed"])  # of every draw without a stream of its own
            try:
                fit(self.algorithm, run, self.plan)
            except (Diverged, Interrupted) as stopped:
                if isinstance(stopped, Diverged) or stopped.saved:
                    seconds = DRAWING if isinstance(stopped, Interrupted) else math.inf
                    with suppress(UserError, Stopped), signals.limited(seconds):  # the message is that of the stop
                        self.draw()
                raise
            self.draw()
            report = self.score(display)
            run.describe(result=report.values)
            self.draw_report(report)
            if any(panel.references.keys() & report.values.keys() for panel in kind.panels):
                self.draw_curves()  # with the known values of the report, such as the optimum
        return report

    def score(self, display: "Display") -> Report:
        """The final report."""
        self.run.progress.phase = "scoring"
        with display.activity("scoring", self.count or None, self.entry.kind.counted) as more:
            return self.algorithm.report(self.count, 0, more)

    def facts(self) -> dict[str, str]:
        """The start panel: what is trained on what, with which settings, and where."""
        info, plan = self.run.info, self.plan
        return {
            "algorithm": self.entry.summary,
            **self.algorithm.describe_task(),
            "device": info["device"],
            "seed": str(info["seed"]),
            **members.facts(info.get("members", ())),
            "budget": f"{plan.budget:,} {self.entry.kind.unit}" + (f", from {info['time']:,}" if info["time"] else ""),
            "parameters": f"{info['parameters']:,}",
            "settings": "  ".join(f"{name}={value}" for name, value in info["changed"].items()) or "defaults",
            "folder": str(self.run.directory),
        }

    def draw_curves(self) -> None:
        """The learning curves, if there are any yet."""
        try:
            TrainedRun(self.run.directory).plot()
        except StorageError:
            raise
        except UserError:
            pass  # nothing to draw yet

    def draw(self) -> None:
        """Every picture that follows from the logs and samples."""
        from rlgen.report import pictures

        self.run.progress.phase = "drawing"
        self.draw_curves()
        samples = self.run.directory / "samples"
        if samples.is_dir():
            still, moving = self.run.directory / "evolution.png", self.run.directory / "evolution.gif"
            try:
                pictures.evolution(samples, still, moving, columns=getattr(self.algorithm, "columns", 8))
            except StorageError:
                raise
            except UserError as error:  # pictures of the training alone: its result counts
                log.warning(f"no picture of the evolution: {error}")

    def draw_report(self, report: Report) -> None:
        """The images of a report and, where the kind of algorithm has pictures of its numbers, these as well."""
        from rlgen.report import final, pictures

        directory = self.run.directory
        for name, grid in report.grids.items():
            pictures.write_grid(grid, directory / name)
        if self.entry.kind.pictures:
            final.write(directory, {**report.values, **report.details})
            final.draw(directory)


def prepare(
    algorithm: str,
    task: str,
    given: Mapping[str, Any],
    *,
    runs: Path,
    name: str | None = None,
    file: Mapping[str, Any] | None = None,
    preset: str | None = None,
    argv: list[str] | None = None,
    initialise: Callable[[Algorithm], dict[str, Any]] | None = None,
    facts: Mapping[str, Any] | None = None,
    batch: Sequence[Mapping[str, Any]] = (),
) -> Session:
    """A new run: its folder claimed and its algorithm made.

    Precedence: `given`, then `file`, then the preset of the task, then defaults; what depends on the budget is scaled
    with it. `preset` names another preset of the task, such as `long`. `initialise` takes weights from other runs and
    returns facts for run.json, in place of the method of the algorithm; `facts` are further ones. `batch` are members.
    """
    entry = catalog.find(algorithm)
    check_methods(entry)
    check_names(given, (entry.config, Setup, Plan), entry.name)
    typed = {**(file or {}), **given}
    config, setup, plan = settings_of(entry, preset_names(entry, task, preset, typed), typed)
    config = members.checked(entry, config, setup, batch, typed)
    with bounded():
        made = make(entry, task, config, setup, given, batch)
    check_plan(plan, entry, made)
    origin = initialise(made) if initialise else made.initialise(runs) if isinstance(made, Initialised) else {}

    def begin(run: Run) -> None:
        if origin:  # weights of other runs, which a resumed run takes from the first checkpoint
            torch.manual_seed(setup.seed)
            run.save(made, last=True)

    run = signals.held()(Run.create)(  # a folder is made with its run.json
        runs,
        f"{entry.name}-{safe(Path(task).name if task.startswith('folder:') else task)}",
        name,
        begin,
        kind=entry.kind.name,
        algorithm=entry.name,
        task=task,
        seed=setup.seed,
        argv=argv or [],
        config=plain(config),
        setup=plain(setup),
        plan=plain(plan),
        changed=changed(config) | changed(plan),
        parameters=made.parameter_count(),
        baselines=dict(made.baselines()) if isinstance(made, HasBaselines) else {},
        **exactness.facts(_device(made)),
        git=provenance.git(),
        time=0,
        grids=[],
        **{**origin, **(facts or {}), **members.described(setup, batch)},
    )
    return Session(entry, made, run, plan, _count(entry, config))


def reopen(folder: Folder, given: Mapping[str, Any], trust: bool = False) -> Session:
    """A run that was stopped, ready to continue; `given` may change its plan.

    Raises Untrusted where its environment is of a module and there is no `trust` to import it.
    """
    check_names(given, (Plan,), "a resumed run")
    info = folder.info
    entry, config, setup = saved_settings(folder, trust)
    setup = available(setup)
    if info.get("status") == "finished" and "budget" not in given:
        raise UserError(f"{folder.name} is finished at {info['time']:,}: a larger --budget trains it further")
    further: dict[str, Any] = {}  # a run that ended early and is trained further does not end at once
    if info.get("status") == "finished":
        best, stop_at = info.get("best"), float(info["plan"]["stop_at"])
        if best is not None and best >= stop_at:
            further["stop_at"] = math.inf
        if 0 < info["plan"].get("patience", 0) <= info.get("waited", 0):
            further["patience"] = 0
    plan = resolve(Plan, info["plan"], further, given)
    if plan.budget <= info["time"] and (info.get("status") == "finished" or plan.budget != info["plan"]["budget"]):
        raise UserError(
            f"--budget {plan.budget:,}: {folder.name} is at {info['time']:,} already, a larger one trains it further;"
            f" `rlgen eval {folder.name}` scores it as it is"
        )
    with bounded_as_saved(folder.directory):
        made = make(entry, info["task"], config, setup, batch=members.of(folder))
    check_plan(plan, entry, made)
    return Session(entry, made, Run(folder.directory), plan, _count(entry, config))


def restore(
    folder: Folder, checkpoint: str = "last", at: int | None = None, trust: bool = False, experience: bool = False
) -> Algorithm:
    """The trained algorithm of a run from its `last` or `best` checkpoint, on whatever device there is here.

    With `at` its weights from the portrait nearest to this time, which then is its `time`. With `experience` also what
    only further training needs, as the replay buffer. Raises Untrusted where its environment is of a module and there
    is no `trust` to import it.
    """
    if at is not None and checkpoint != "last":
        raise UserError(f"--at {at:,} is of a portrait and --checkpoint {checkpoint} of a checkpoint: leave one out")
    entry, config, setup = saved_settings(folder, trust)
    with bounded_as_saved(folder.directory):
        algorithm = make(entry, folder.info["task"], config, replace(setup, device="auto"), batch=members.of(folder))
    Run(folder.directory).load(algorithm, checkpoint, at, experience=experience)
    return algorithm


def _device(algorithm: Algorithm) -> torch.device:
    """The device of an algorithm; the CPU for one of numpy alone."""
    return getattr(algorithm, "device", torch.device("cpu"))


def _write_grid(unit: str, grid: Grid, path: Path, time: int) -> None:
    from rlgen.report import pictures

    pictures.write_grid(grid, path, f"after {time:,} {unit}" if time else "untrained")


def _count(entry: Entry, config: Any) -> int:
    """Fresh episodes or samples in the final report."""
    return int(getattr(config, f"final_{entry.kind.counted}", entry.kind.final))
