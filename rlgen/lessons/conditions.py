"""The conditions of a lesson: every experiment at every point of its grid, with names, labels and options."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from rlgen.core.config import word
from rlgen.core.errors import UserError, did_you_mean
from rlgen.lessons.schema import Experiment, Lesson, Measurement, Options, Training


@dataclass(frozen=True)
class Condition:
    """An experiment at one point of its grid."""

    name: str  # in placeholders and of the run folders
    label: str  # in figure and table
    experiment: Training | Measurement
    words: tuple[str, ...]  # algorithm and task, or the name of the measurement
    options: Options  # those of the grid included
    point: Mapping[str, Any]  # the options of the grid alone
    number: int = 0  # of the random point

    def varied(self) -> list[str]:
        """The options of the grid, those in tables included."""
        inside = [name for value in self.point.values() if isinstance(value, dict) for name in value if name != "name"]
        return [*self.point, *inside]

    def drawn(self, seed: int) -> Options:
        """The random options of a seed: log-uniform in their ranges."""
        if not isinstance(self.experiment, Training) or not self.experiment.random:
            return {}
        from rlgen.core.seeds import numpy_stream

        draw = numpy_stream(seed, f"random search {self.number}")
        ranges = self.experiment.random.items()
        return {
            name: float(f"{math.exp(draw.uniform(math.log(low), math.log(high))):.3g}") for name, (low, high) in ranges
        }


@dataclass(frozen=True)
class Design:
    """A lesson in its full or quick version: its conditions by name, and the experiments they belong to."""

    lesson: Lesson
    quick: bool
    seeds: int
    conditions: dict[str, Condition] = field(default_factory=dict)  # in order

    def group(self, name: str) -> list[Condition]:
        """The conditions of an experiment, or the condition of this name; empty for an unknown name."""
        if name in self.conditions:
            return [self.conditions[name]]
        return [condition for condition in self.conditions.values() if stem(condition.experiment) == name]

    def presented(self) -> list[Condition]:
        """The conditions of figure and table: all but those of searches."""
        searches = {c.experiment.choose.search for c in self.conditions.values() if c.experiment.choose}
        return [c for c in self.conditions.values() if not {c.name, stem(c.experiment)} & searches]

    def searched(self, condition: Condition) -> list[Condition]:
        """The conditions among which an option of `condition` is chosen: with its other options of the grid."""
        if (choice := condition.experiment.choose) is None:
            return []
        return [
            other
            for other in self.group(choice.search)
            if all(condition.point[name] == value for name, value in other.point.items() if name in condition.point)
        ]

    def groups(self) -> list[str]:
        """The names of the experiments, without the options in them."""
        return list(dict.fromkeys(stem(condition.experiment) for condition in self.conditions.values()))

    def seeds_of(self, condition: Condition) -> int:
        """Number of seeds of a condition."""
        return min(self.seeds, condition.experiment.seeds or self.seeds)


def design(lesson: Lesson, *, quick: bool, seeds: int | None = None) -> Design:
    """The conditions of a lesson with the names, labels and options of its full or quick version. Raises UserError."""
    made = Design(lesson, quick, seeds or (lesson.quick.seeds if quick else lesson.seeds))
    experiments: list[Training | Measurement] = [*lesson.runs, *lesson.measurements]
    for experiment in experiments:
        for condition in _conditions(experiment, lesson, quick):
            if condition.name in made.conditions:
                raise UserError(f"two conditions are called {condition.name!r}: their names must differ")
            made.conditions[condition.name] = condition
    return made


def stem(experiment: Experiment) -> str:
    """The name of an experiment without its options: "race" for "race-{optimizer}"."""
    return experiment.name.split("{")[0].strip("-_ ") or experiment.name


def _conditions(experiment: Training | Measurement, lesson: Lesson, quick: bool) -> Iterator[Condition]:
    grid = {**experiment.grid, **(experiment.quick.grid if quick else {})}
    if unknown := [name for name in experiment.quick.grid if name not in experiment.grid]:
        raise UserError(f"quick.grid of {experiment.name!r} has {unknown[0]!r}{did_you_mean(unknown[0], grid)}")
    training = isinstance(experiment, Training)
    text = experiment.train if isinstance(experiment, Training) else experiment.measure
    count = experiment.count if isinstance(experiment, Training) else 1
    count = experiment.quick.count or count if quick else count
    inside = fields(text)
    for values, number in itertools.product(itertools.product(*grid.values()), range(count)):
        point = dict(zip(grid, values, strict=True))
        shown = {name: _word(value) for name, value in point.items()}
        changed = {**(lesson.quick.options if training else {}), **experiment.quick.options} if quick else {}
        options = {**experiment.options, **changed}
        for name, value in point.items():
            if isinstance(value, dict):  # several options at once, under one name
                options |= {key: v for key, v in value.items() if key != "name"}
            elif name not in inside:
                options[name] = value
        several = ("-{number}" if count > 1 else "") if "{number}" not in experiment.name else ""
        missing = "".join(f"-{{{name}}}" for name in grid if name not in fields(experiment.name))
        template = {**shown, "number": str(number + 1)}
        name = _filled(experiment.name + missing + several, template, experiment)
        label = _filled(experiment.label, template, experiment) or name
        words = tuple(_filled(text, template, experiment).split())
        if training:
            if len(words) != 2:
                raise UserError(f"train of {name!r} is {text!r}: it must be an algorithm and a task")
            words = (words[0], lesson.quick.task) if quick and lesson.quick.task else words
        yield Condition(name, label, experiment, words, options, point, number)


def fields(template: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def _filled(template: str, values: Mapping[str, str], experiment: Experiment) -> str:
    unknown = sorted(fields(template) - set(values))
    if unknown:
        hint = did_you_mean(unknown[0], values) or f": it may hold {', '.join(values)}"
        raise UserError(f"{{{unknown[0]}}} in {experiment.name!r} is no option of its grid{hint}")
    return template.format(**values)


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", "-".join(map(_word, value.values()))))
    return f"{value:g}" if isinstance(value, float) else str(word(value)).replace(",", "")
