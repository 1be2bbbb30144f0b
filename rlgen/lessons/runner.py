"""A lesson from its file to its page: experiments one after another, then figure, numbers and text."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rlgen.core.errors import Interrupted, UserError
from rlgen.core.folder import Folder
from rlgen.core.signals import Stopped
from rlgen.lessons import library, page, schema, text, training
from rlgen.lessons.conditions import Condition, Design, design, stem
from rlgen.lessons.estimates import Estimate
from rlgen.lessons.readings import Outcome, Readings
from rlgen.lessons.schema import Choice, Measurement, Options, Training
from rlgen.lessons.text import Term

Progress = Callable[[int], object]  # called with the number of runs that are complete


@dataclass
class Results:
    """What the conditions of a lesson measured."""

    design: Design
    folder: Path
    options: dict[str, Options] = field(default_factory=dict)  # of every condition, with the chosen ones
    readings: dict[str, Readings] = field(default_factory=dict)  # of every condition
    commands: dict[str, list[str]] = field(default_factory=dict)  # of every condition, one per run
    tasks: list[str] = field(default_factory=list)  # of the runs, those in place of missing ones included
    notices: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of this call: runs of earlier calls are used again

    def estimate(self, term: Term) -> Estimate:
        """The number of `condition.value`; of an experiment, reduced over its conditions seed by seed."""
        value = self.design.lesson.values[term.value]
        found = [self.readings[condition.name].estimate(value) for condition in self.design.group(term.condition)]
        if len(found) == 1:
            return found[0]
        import numpy as np

        numbers = np.stack([estimate.values for estimate in found])
        reduced = {"max": np.nanmax(numbers, 0), "min": np.nanmin(numbers, 0), "mean": np.nanmean(numbers, 0)}
        return Estimate(reduced[value.over], found[0].exact, value.log)

    def side(self, name: str) -> int:
        """1, -1 or 0: what the interval of a finding decides."""
        finding = self.design.lesson.findings[name]
        comparison = text.parse(finding.compare)
        than = comparison.neutral if finding.than is None else finding.than
        return comparison.estimate(self.estimate).side(than)

    def answer(self, name: str) -> str:
        """The words for a placeholder."""
        lesson = self.design.lesson
        if name == "seeds":
            return str(self.design.seeds)
        if name == "tasks":
            return ", ".join(dict.fromkeys(self.tasks))
        if name in lesson.findings:
            finding = lesson.findings[name]
            comparison = text.parse(finding.compare)
            value = lesson.values[comparison.left.value]
            sentence = text.sentence(finding, comparison.estimate(self.estimate), comparison, value)
            return text.complete(sentence, self.answer)
        comparison = text.parse(name)
        term = comparison.left
        if term.value not in lesson.values:
            return text.option(self.options[self.design.group(term.condition)[0].name], term.value)
        estimate = comparison.estimate(self.estimate)
        if comparison.operator == "/":
            return text.ratio(estimate)
        return text.interval(estimate, lesson.values[term.value], difference=bool(comparison.operator))

    def shown(self) -> dict[str, dict[str, Estimate]]:
        """The numbers of every condition by value, those that it has."""
        found: dict[str, dict[str, Estimate]] = {}
        for name, readings in self.readings.items():
            for key, value in self.design.lesson.values.items():
                with suppress(UserError):  # a curve, or a value of other conditions
                    found.setdefault(name, {})[key] = readings.estimate(value)
        return found

    @property
    def text(self) -> str:
        """The text of the lesson with all placeholders replaced."""
        return text.complete(self.design.lesson.text, self.answer).strip()


def load(path: Path, *, quick: bool = False, seeds: int | None = None) -> Design:
    """The conditions of a lesson file. Every name in it is checked before anything is trained; raises UserError."""
    lesson = schema.read(path)
    try:
        made = design(lesson, quick=quick, seeds=seeds)
        for condition in made.conditions.values():
            _check(condition, made)
        text.check(made)
        page.check(made)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return made


def total(made: Design) -> int:
    """Number of runs of a lesson."""
    found = 0
    for condition in made.conditions.values():
        if isinstance(condition.experiment, Training):
            found += 1 if condition.experiment.together else made.seeds_of(condition)
    return found


def run(made: Design, folder: Path, progress: Progress = lambda done: None) -> Results:
    """Train and measure every condition below `folder`, and write lesson.md, figure.png and figure.csv there.

    Complete runs are used again and stopped ones continued. Raises Interrupted after Ctrl-C, in which case the same
    call continues.
    """
    results, trainer, began = Results(made, folder), training.Trainer(folder), time.perf_counter()
    done = 0
    with _continued_by_the_same_command():
        for condition in made.conditions.values():
            options = training.plain(condition.options)
            if choice := condition.experiment.choose:
                options[choice.option] = _chosen(results, condition, choice)
            results.options[condition.name] = options
            seeds = made.seeds_of(condition)
            if isinstance(condition.experiment, Measurement):
                results.readings[condition.name] = _measured(condition, options, seeds)
                continue
            for _ in trainer.train(condition, options, seeds):
                done += 1
                progress(done)
            folders = trainer.folders[condition.name]
            results.readings[condition.name] = Readings(_outcomes(made, condition, folders))
            results.tasks += [each.info["task"] for each in folders]
            results.commands[condition.name] = [" ".join(each.info["argv"]) for each in folders]
        results.notices, results.seconds = trainer.notices, time.perf_counter() - began
        page.write(results)
    return results


def _measured(condition: Condition, options: Options, seeds: int) -> Readings:
    """The readings of a measurement without a run; an exact one is made once."""
    measurement = library.find(condition.words[0], trained=False)
    found = []
    for seed in range(1 if measurement.exact else seeds):
        found.append(Outcome())
        found[-1].add(measurement.function(seed, **options))
    return Readings(found, measurement.exact)


def _outcomes(made: Design, condition: Condition, folders: Sequence[Folder]) -> list[Outcome]:
    """The outcome of every seed, with the measurements of trained runs that values need of this condition."""
    names = {condition.name, stem(condition.experiment)}
    needed = [v for v in made.lesson.values.values() if v.measure and (not v.only or names & set(v.only))]
    keys = {f"{value.measure} {sorted(value.options.items())}": (value.measure, value.options) for value in needed}
    together = {key: each for key, each in keys.items() if library.find(each[0], trained=True).across}
    alone = {key: each for key, each in keys.items() if key not in together}
    found = [outcome for folder in folders for outcome in training.outcomes(folder, alone)]
    for measurement in together.values():
        for outcome, outputs in zip(found, training.across(folders, *measurement), strict=True):
            outcome.add(outputs)
    return found


def _chosen(results: Results, condition: Condition, choice: Choice) -> object:
    """The best value of an option in a search; a condition that diverged is the last."""
    value, ranked = results.design.lesson.values[choice.value], []
    for other in results.design.searched(condition):
        mean = results.readings[other.name].estimate(value).mean
        ranked.append((math.isnan(mean), -mean if choice.best == "max" else mean, other.options[choice.option]))
    return min(ranked, key=lambda entry: entry[:2])[2]


def _check(condition: Condition, made: Design) -> None:
    experiment, choice = condition.experiment, condition.experiment.choose
    if choice and not made.group(choice.search):
        raise UserError(f"choose.search of {experiment.name!r}: no experiment {choice.search!r}")
    options, later = training.plain(condition.options), [choice.option] if choice else []
    if isinstance(experiment, Measurement):
        library.find(condition.words[0], trained=False).check([*options, *later], experiment.measure)
        return
    for value in condition.options.values():
        if isinstance(value, str) and value.startswith(training.RUN):
            source = value.removeprefix(training.RUN)
            if source not in list(made.conditions)[: list(made.conditions).index(condition.name)]:
                raise UserError(f"{value!r} of {condition.name!r}: there is no condition {source!r} before it")
    seeds = {"seeds": made.seeds} if experiment.together else {}
    training.check(condition, {**options, **training.plain(condition.drawn(0)), **seeds}, later)
    for name, value in made.lesson.values.items():
        if value.measure:
            library.find(value.measure, trained=True).check(value.options, value.measure)
            if experiment.together:
                raise UserError(f"value {name!r} measures single runs: leave `together` out of {experiment.name!r}")


@contextmanager
def _continued_by_the_same_command() -> Iterator[None]:
    """Ctrl-C becomes Interrupted with the way to continue."""
    again = "stopped: the same command continues where it stopped"
    try:
        yield
    except Interrupted as error:
        stopped = Interrupted(error.code - 128, again, error.saved)
        raise stopped from None
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, Stopped) else signal.SIGINT
        raise Interrupted(number, again) from None
