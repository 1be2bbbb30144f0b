"""Train, resume and load from Python; the command line calls these too."""

import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from rlgen import catalog
from rlgen.catalog import Entry
from rlgen.core.algorithm import Algorithm, Metrics
from rlgen.core.config import check_names, resolve
from rlgen.core.device import describe
from rlgen.core.errors import Diverged, Interrupted, StorageError, UserError
from rlgen.core.fit import fit
from rlgen.core.folder import Folder, safe
from rlgen.core.former_names import current_settings
from rlgen.core.run import Run
from rlgen.core.seeds import derive
from rlgen.core.settings import Plan, Setup
from rlgen.report import statistics


class TrainedRun(Run):
    """A run folder that can draw itself."""

    def plot(self, out: str | Path | None = None, x: Literal["steps", "seconds"] = "steps") -> Path:
        """Learning curves as a picture, `curves.png` in the folder unless told otherwise; returns its path."""
        from rlgen.report import plots

        path = Path(out) if out else self.directory / "curves.png"
        plots.curves([self.directory], path, x=x)
        return path


@dataclass(frozen=True)
class Session:
    """An algorithm, the folder it is trained in, and the plan of its training."""

    entry: Entry
    algorithm: Algorithm
    run: TrainedRun
    plan: Plan

    def train(self) -> TrainedRun:
        """Run to the end of the plan, then draw the curves. What stops it early leaves a run that can be resumed."""
        with self.run as run:
            run.describe(plan=_plain(self.plan))
            torch.manual_seed(run.info["seed"])  # for whatever draws from no stream of its own
            try:
                fit(self.algorithm, run, self.plan)
            except (Diverged, Interrupted) as stopped:
                if not isinstance(stopped, Interrupted) or stopped.saved:
                    with suppress(UserError):  # what stopped it is what must be said
                        self.draw()
                raise
            self.draw()
        return run

    def draw(self) -> None:
        """Every picture that follows from the logs and samples."""
        from rlgen.report import pictures

        self.run.progress.phase = "drawing"
        try:
            self.run.plot()
        except StorageError:
            raise
        except UserError:
            pass  # nothing to draw yet
        samples = self.run.directory / "samples"
        if samples.is_dir():
            still, moving = self.run.directory / "evolution.png", self.run.directory / "evolution.gif"
            pictures.evolution(samples, still, moving, columns=getattr(self.algorithm, "columns", 8))


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
) -> Session:
    """A new run, its folder claimed and its algorithm made.

    `given` wins over `file`, that over what is tuned for the task, that over defaults. `preset` names another choice of
    what is tuned, such as `long`.
    """
    entry = catalog.find(algorithm)
    check_names(given, (entry.config, Setup, Plan), entry.name)
    layers = (*entry.presets(*_names(entry, task, preset)), file or {}, given)
    config, setup, plan = (resolve(settings, *layers) for settings in (entry.config, Setup, Plan))
    _check_plan(plan, entry)
    if hasattr(config, "check"):
        config.check(given)
    made = _make(entry, task, config, setup)
    run = TrainedRun.create(
        runs,
        f"{entry.name}-{safe(Path(task).name if task.startswith('folder:') else task)}",
        name,
        kind=entry.kind.name,
        algorithm=entry.name,
        task=task,
        seed=setup.seed,
        argv=argv or [],
        config=_plain(config),
        setup=_plain(setup),
        plan=_plain(plan),
        changed=_changed(config) | _changed(plan),
        parameters=made.parameter_count(),
        device=describe(getattr(made, "device", torch.device("cpu"))),
        threads=torch.get_num_threads(),
        versions=_versions(),
        git=_git(),
        time=0,
    )
    return Session(entry, made, run, plan)


def reopen(folder: Folder, given: Mapping[str, Any]) -> Session:
    """A run that was stopped, ready to go on; `given` may change its plan."""
    check_names(given, (Plan,), "a resumed run")
    info = folder.info
    entry, config, setup = _settings(folder)
    finished = info.get("status") == "finished"
    if finished and given.get("budget", 0) <= info["time"]:
        raise UserError(f"{folder.name} is finished at {info['time']:,}: a larger --budget trains it further")
    further = {"stop_at": math.inf} if finished else {}  # who trains a solved run further wants no end at once
    plan = resolve(Plan, info["plan"], further, given)
    _check_plan(plan, entry)
    return Session(entry, _make(entry, info["task"], config, setup), TrainedRun(folder.directory), plan)


def train(
    algorithm: str,
    task: str,
    *,
    runs: str | Path | None = None,
    name: str | None = None,
    fallback: bool = True,
    preset: str | None = None,
    **options: Any,
) -> TrainedRun:
    """Train `algorithm` on `task` with any of the options of the command line, as in `seed=0, budget=30_000`.

    Returns the finished run. Raises UserError for what cannot be trained; Ctrl-C saves and raises Interrupted.
    """
    entry = catalog.find(algorithm)
    task, notice = canonical(entry, task, data=options.get("data"), fallback=fallback)
    if notice:
        print(notice, file=sys.stderr)
    return prepare(algorithm, task, options, runs=runs_folder(runs), name=name, preset=preset).train()


def resume(run: str | Path | Folder = "latest", *, runs: str | Path | None = None, **plan: Any) -> TrainedRun:
    """Go on with a run that was stopped, in its own folder; `budget=` may be raised."""
    return reopen(_folder(run, runs), plan).train()


def load(run: str | Path | Folder = "latest", *, runs: str | Path | None = None, checkpoint: str = "last") -> Any:
    """The trained thing: an agent with `predict`, or a model with `sample`; from the `last` or `best` checkpoint."""
    folder = _folder(run, runs)
    entry, config, setup = _settings(folder)
    setup = replace(setup, device="auto")  # what was trained on an accelerator can be looked at without
    algorithm = _make(entry, folder.info["task"], config, setup)
    Run(folder.directory).load(algorithm, checkpoint)
    return algorithm


def score(trained: Any, entry: Entry, episodes: int = 100, seed: int = 0) -> dict[str, Any]:
    """Greedy returns of an agent over fresh episodes, with their 95 % interval; the evaluation metrics of a model.

    Of several seeds all figures are of the seeds' mean returns, which come along as `per_seed`.
    Where the world's table of transitions is known, the agent's score comes with the `optimum`: the highest mean
    return of all policies within the time limit, those included that mind how much time is left.
    """
    if entry.kind is catalog.MODEL:
        return _told(trained)
    from rlgen.agents.tabular import optimum

    returns = trained.rollout(episodes, derive(seed, "fresh episodes"))  # (S, episodes)
    scores = returns[0] if len(returns) == 1 else returns.mean(1)  # episodes of a seed are not seeds
    low, high = statistics.bootstrap(scores)
    result = {
        "episodes": episodes,
        "mean": float(scores.mean()),
        "std": float(scores.std(ddof=1)) if len(scores) > 1 else 0.0,
        "iqm": float(statistics.iqm(scores)),
        "ci95": [float(low), float(high)],
        "returns": returns.reshape(-1).tolist(),
    }
    if (known := optimum(trained.env)) is not None:
        result["optimum"] = known
    return result if len(returns) == 1 else {**result, "per_seed": scores.tolist()}


def judge(model: Any, samples: int = 10_000, seed: int = 0, progress: bool = False) -> dict[str, Any]:
    """What `score` says of a model, and how good its samples are beside real test images (under "floor").

    Draws as many `samples` as there are test images at most; `progress` shows a bar on a terminal.
    """
    from rlgen.generative.quality import metrics

    samples = min(samples, len(model.held_out))
    with _bar(samples, "samples", progress) as more:
        return {**_told(model), **metrics.evaluate(model, samples, seed, more)}


def _told(model: Any) -> dict[str, Any]:
    """How good a model is on test images, and of a likelihood the `protocol`: numbers of others do not compare."""
    return {**_scalars(model.final()), **({"protocol": model.protocol} if model.protocol else {})}


def probe(model: Any, images: int = 10_000, seed: int = 0, progress: bool = False) -> dict[str, Any]:
    """What the code of an autoencoder is worth to a classifier; see `rlgen.generative.quality.probe`.

    It takes a minute or two; `progress` shows a bar on a terminal.
    """
    from rlgen.generative.quality import probe

    with _bar(probe.PARTS, "classifiers", progress) as more:
        return probe.probe(model, images, seed, more)


def draw(
    model: Any, count: int, *, label: str | None = None, seed: int = 0, progress: bool = False
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`count` samples of a model, a thousand at a time: how many came before, and images (N, C, H, W) in [0, 1].

    All of one class where a `label` is given, its name or number; `progress` shows a bar on a terminal.
    """
    from rlgen.generative.base import parts

    labels = None if label is None else torch.full((count,), model.label(label))
    with _bar(count, "samples", progress) as more:
        start = 0
        for part in parts(model, count, seed, labels):
            yield start, part.cpu().numpy()
            start += len(part)
            more(len(part))


def sheet(model: Any, what: str, seed: int = 0) -> NDArray[np.uint8]:
    """A picture (H, W) or (H, W, 3) of `samples`, `reconstructions` or what else there is of a model."""
    sheets = model.sheets(seed)
    if what not in sheets:
        hint = "; --latent 2 in training gives one" if what == "manifold" and "interpolations" in sheets else ""
        raise UserError(f"this model has no {what}{hint}: it draws {', '.join(sheets)}")
    pixels: NDArray[np.uint8] = sheets[what].mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def film(agent: Any, episodes: int, seed: int) -> tuple[list[NDArray[np.uint8]], list[float], float]:
    """Pictures (H, W, 3) of greedy episodes with the return so far, the returns, and pictures per second."""
    from rlgen.report import pictures

    frames, returns = [], []
    env, state = agent.make_env(1, derive(seed, "film"), render_mode="rgb_array"), None
    for episode in range(1, episodes + 1):
        over, steps = False, 0
        while not over:
            frames.append(
                pictures.caption(
                    env.render(), f"episode {episode}   step {steps}   return {env.episode_return[0]:,.6g}"
                )
            )
            action_mask = env.action_mask if env.action_mask.shape[1] > 1 else None
            action, state = agent.predict(env.obs, state, env.is_first, action_mask=action_mask)
            step = env.step(action - env.first_action)
            over, steps = bool(step.episode_end[0]), steps + 1
        returns.append(float(step.episode_return[0]))
    env.close()
    return frames, returns, env.fps


def canonical(entry: Entry, task: str, *, data: str | None = None, fallback: bool = True) -> tuple[str, str | None]:
    """The one name of an environment or a dataset, and a line for the user where another dataset stands in."""
    if entry.kind is catalog.MODEL:
        from rlgen import data as datasets

        return datasets.available(task, data=data, fallback=fallback)
    from rlgen import envs

    return envs.short(envs.resolve(task)), None


def runs_folder(runs: str | Path | None) -> Path:
    """Where runs are kept: as given, or $RLGEN_RUNS, or `runs` here."""
    return Path(runs or os.environ.get("RLGEN_RUNS") or "runs")


def _scalars(metrics: Metrics) -> dict[str, float]:
    """The numbers among them, not the pictures."""
    tensors = {name: torch.as_tensor(value) for name, value in metrics.items()}
    return {name: value.item() for name, value in tensors.items() if value.ndim == 0}


@contextmanager
def _bar(count: int, things: str, progress: bool) -> Iterator[Callable[[int], object]]:
    """Tell what it gives how many more things there are, and a bar grows, if `progress` and there is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    shown = progress and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as bar:
        yield partial(bar.advance, bar.add_task(f"{count:,} {things}", total=count))


def _names(entry: Entry, task: str, preset: str | None = None) -> list[str]:
    """All that what is tuned may be called: the full name of an environment is for a whole family of them."""
    names = [task]
    if entry.kind is catalog.AGENT:
        from rlgen import envs

        names.append(envs.resolve(task))
    special = [f"{name}:{preset}" for name in names] if preset else []
    if preset and not set(special) & set(entry.tuned_for):
        others = ", ".join(name.replace(":", " with --preset ") for name in entry.tuned_for if ":" in name)
        hint = f"; there is {others}" if others else ""
        raise UserError(f"--preset {preset}: {entry.name} has none of that name for {task}{hint}")
    return names + special


def _make(entry: Entry, task: str, config: Any, setup: Setup) -> Algorithm:
    algorithm: Algorithm = entry.algorithm(task, config, setup)
    return algorithm


def _check_plan(plan: Plan, entry: Entry) -> None:
    if entry.algorithm.score is None and not math.isinf(plan.stop_at):
        raise UserError(f"--stop-at {plan.stop_at:g}: no score ranks the evaluations of {entry.name}")


def _folder(run: str | Path | Folder, runs: str | Path | None) -> Folder:
    return run if isinstance(run, Folder) else Folder.find(runs_folder(runs), str(run))


def _settings(folder: Folder) -> tuple[Entry, Any, Setup]:
    info = folder.info
    try:
        entry = catalog.find(info["algorithm"])
        config = current_settings(entry.config, info["config"])
        for settings, given in ((entry.config, config), (Setup, info["setup"])):
            check_names(given, (settings,), f"run.json of {folder.name}")
        return (
            entry,
            resolve(entry.config, config),
            resolve(Setup, {**info["setup"], "threads": info["threads"]}),
        )
    except KeyError as error:
        raise UserError(f"run.json of {folder.name} lacks {error}: it was not made by this rlgen") from None


def _plain(settings: Any) -> dict[str, Any]:
    """As strict JSON has it: infinity is written as a word."""
    return {name: str(v) if isinstance(v, float) and math.isinf(v) else v for name, v in asdict(settings).items()}


def _changed(settings: Any) -> dict[str, Any]:
    defaults = {f.name: f.default for f in fields(settings)}
    return {name: value for name, value in _plain(settings).items() if getattr(settings, name) != defaults[name]}


def _versions() -> dict[str, str]:
    packages = ("rlgen", "torch", "gymnasium", "numpy")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _git() -> dict[str, Any]:
    """Commit of the repository the code stands in, and whether it was changed since; empty outside one."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=5
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}
