"""The lesson file: runs and measurements, values, panels of the figure, findings and text. Imports no torch.

Each class is a table of the file, each field a key; the comment beside it is the key's documentation.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from rlgen.core.errors import UserError, did_you_mean

Options = dict[str, Any]  # option of a command -> value, as `lr = 0.1` or `log-every = 100`
FILES = Path(__file__).parent  # of the lessons of the distribution


class Table(BaseModel):
    """A table without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class QuickExperiment(Table):
    """What the quick version changes in one experiment."""

    options: Options = {}  # options in place of those of the full version
    grid: dict[str, list[Any]] = {}  # values of an option of the grid in place of those of the full version
    count: PositiveInt | None = None  # random points in place of `count`


class Choice(Table):
    """An option set to the best value of an earlier search."""

    option: str  # option that is chosen, such as lr
    search: str  # experiment whose grid has the option; of its conditions those with equal other options count
    value: str  # value that ranks the conditions, by its mean over seeds
    best: Literal["max", "min"]  # which one is the best


class Experiment(Table):
    """Conditions that differ in the options of a grid: one condition without a grid."""

    name: str  # name in placeholders and of the run folders; may hold options, as in "{network}-{depth}"
    label: str = ""  # name in figure and table, may hold options; by default the name
    options: Options = {}  # options of every condition
    grid: dict[str, list[Any]] = {}  # option -> values: a condition for every combination
    choose: Choice | None = None  # an option chosen by an earlier experiment
    seeds: PositiveInt | None = None  # seeds of this experiment, at most those of the lesson
    quick: QuickExperiment = QuickExperiment()  # changes of the quick version


class Training(Experiment):
    """Conditions that are trained: `rlgen ALGORITHM TASK OPTIONS`."""

    train: str  # algorithm and task, such as "dqn CartPole"
    random: dict[str, tuple[PositiveFloat, PositiveFloat]] = {}  # option -> range of values drawn log-uniformly
    count: PositiveInt = 1  # random points, drawn anew for every seed
    together: bool = False  # seeds trained side by side in one run, by --seeds


class Measurement(Experiment):
    """Conditions that are computed without a run, by a measurement of the library."""

    measure: str  # name of the measurement, such as "signals"


class Value(Table):
    """A number, or a curve, of every condition and seed."""

    label: str  # words for figure and table
    metric: str  # metric of the log, of the final scores or of a measurement
    take: Literal["last", "first", "max", "min", "mean", "total", "curve", "result", "map"] = "last"  # part of the log
    measure: str = ""  # measurement of the trained run that gives the metric, such as "samples"
    options: Options = {}  # options of this measurement
    only: list[str] = []  # experiments or conditions that this measurement is made of; all by default
    complement: bool = False  # 1 - metric: the error of an accuracy
    over: Literal["", "max", "min", "mean"] = ""  # reduction over the conditions of an experiment, per seed
    diverged: float | None = None  # number for a run that diverged; none: no number
    log: bool = False  # mean and interval of the logarithm
    percent: bool = False  # shares are shown in percent
    digits: PositiveInt = 3  # significant digits
    unit: str = ""  # unit after the number


class Panel(Table):
    """One panel of the figure."""

    kind: Literal["curves", "bars", "lines", "paths", "maps"]  # curves over time, bars, lines over an option, ...
    values: list[str]  # values that are drawn; of paths the two coordinates
    only: list[str] = []  # experiments or conditions that are drawn; all by default
    x: str = ""  # of lines: the option on the horizontal axis
    title: str = ""  # title; the label of the first value by default
    xlabel: str = ""  # label of the horizontal axis
    ylabel: str = ""  # label of the vertical axis
    log: Literal["", "x", "y", "xy"] = ""  # logarithmic axes
    limits: tuple[float, float] | None = None  # ends of the vertical axis
    grouped: bool = False  # of bars: one for each experiment of `only`, reduced over its conditions
    priced: bool = False  # of curves: the images of the searches of a condition come first on the horizontal axis
    surface: tuple[float, float] | None = None  # of paths: curvatures (a, b) of the contours of (a x² + b y²) / 2


class Finding(Table):
    """A sentence that the measured interval selects."""

    compare: str  # "a.value - b.value", "a.value / b.value", or "a.value"
    than: float | None = None  # number it is compared with: by default 0, or 1 for a ratio
    more: str  # sentence where the whole interval is above; {difference} is the measured number
    less: str  # sentence where the whole interval is below
    unclear: str  # sentence where the interval contains the number


class Quick(Table):
    """What the quick version changes in every experiment."""

    minutes: PositiveFloat  # measured minutes on two cores
    seeds: PositiveInt = 2  # seeds
    task: str = ""  # task of every run in place of its own
    options: Options = {}  # options of every run


class Lesson(Table):
    """A claim, the experiments that examine it, and a text that is completed with the measured numbers."""

    title: str  # headline
    claim: str  # the claim in one sentence
    source: str = ""  # paper or notes in which it stands
    minutes: PositiveFloat  # measured minutes of the full version on two cores
    seeds: PositiveInt = 3  # seeds
    runs: list[Training] = []  # experiments with training
    measurements: list[Measurement] = []  # experiments without training
    values: dict[str, Value]  # what is measured
    panels: list[Panel] = Field(min_length=1)  # the figure
    findings: dict[str, Finding] = {}  # conditional sentences
    text: str  # text with {condition.value}, {condition.option}, {finding}, {seeds}
    quick: Quick  # the quick version


TABLES: Mapping[str, type[Table]] = {
    "runs": Training, "measurements": Measurement, "values": Value, "panels": Panel, "findings": Finding,
    "choose": Choice,
}  # fmt: skip


def names() -> list[str]:
    """The lessons of the distribution."""
    return sorted(path.stem for path in FILES.glob("*.toml"))


def find(name: str) -> Path:
    """The file of a lesson by its name, or a lesson file of one's own by its path. Raises UserError."""
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise UserError(f"no lesson file {name}: write its path, or the name of a lesson of `rlgen lesson`")
        return Path(name)
    if name.lower() not in names():
        raise UserError(f"no lesson {name!r}{did_you_mean(name, names()) or ': `rlgen lesson` lists them'}")
    return FILES / f"{name.lower()}.toml"


def read(path: Path) -> Lesson:
    """The lesson in a file. Raises UserError that names the key, the file and a similar key."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    try:
        return Lesson(**content)
    except ValidationError as error:
        unknown = [problem for problem in error.errors() if problem["type"] == "extra_forbidden"]
        raise UserError(f"{path}: {_reason((unknown or error.errors())[0])}") from None


def _reason(problem: Any) -> str:
    """One fault of a lesson file in one line."""
    place = problem["loc"]
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    if problem["type"] == "extra_forbidden":
        known = list(_table(place[:-1]).model_fields)
        return f"unknown key {key!r}{did_you_mean(str(place[-1]), known) or ': there are ' + ', '.join(known)}"
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _table(place: tuple[Any, ...]) -> type[Table]:
    """The table at a place in the file, such as ("runs", 0)."""
    if place[-1:] == ("quick",):
        return Quick if len(place) == 1 else QuickExperiment
    return next((TABLES[part] for part in reversed(place) if part in TABLES), Lesson)
