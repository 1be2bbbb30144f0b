"""The report of a study as JSON, text and pictures: held-out scores, price of tuning, sensitivity, importance."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rlgen.core.tables import table
from rlgen.core.terminal import visible
from rlgen.report.statistics import Floats
from rlgen.sweep import progress, trials
from rlgen.sweep.analysis import held_out, outcomes
from rlgen.sweep.analysis import importance as important
from rlgen.sweep.analysis import price as prices
from rlgen.sweep.analysis import sensitivity as sensitive
from rlgen.sweep.analysis.held_out import Finalist
from rlgen.sweep.analysis.importance import Importance
from rlgen.sweep.analysis.outcomes import Interval, Outcomes
from rlgen.sweep.analysis.price import Price
from rlgen.sweep.analysis.sensitivity import Sensitivity
from rlgen.sweep.analysis.settings import Setting, varied
from rlgen.sweep.study import Study
from rlgen.sweep.trials import Settings, Trial

FEWEST = 8  # trials from which on settings are compared
EXPLAINED = 0.3  # share of the variance below which the importance of settings says little
ADAPTIVE = ("tpe", "cmaes", "gp")  # samplers whose later trials know the earlier ones
Json = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What was found in a study. All analyses are in the direction in which higher is better."""

    study: Study
    trials: list[Trial]
    sign: float  # -1 where a lower score is better
    outcomes: Outcomes
    finalists: list[Finalist]
    price: Price
    settings: list[Setting]  # that differ between trials
    scores: Floats  # (n,) of each finished trial
    variances: Floats  # (n,) of the scores, by their seeds

    @classmethod
    def of(cls, study: Study) -> "Report":
        """The report of a study as far as it is. Raises UserError where no trial has a score."""
        found = trials.read(study.folder)
        sign = -1.0 if trials.better(study.folder) == "lower" else 1.0
        made = outcomes.outcomes(found, sign)
        return cls(
            study, found, sign, made, held_out.finalists(found, sign), prices.price(made),
            varied(study.space, [trial.settings for trial in made.trials]),
            *outcomes.mean_scores(made, held_out.fresh_scores(found, sign)),
        )  # fmt: skip

    @cached_property
    def sensitivity(self) -> Sensitivity | None:
        """The sensitivity card; None with fewer than eight trials, or where no setting differs between them."""
        return sensitive.sensitivity(*self._table, self.variances, self.outcomes.best) if self._comparable else None

    @cached_property
    def importance(self) -> Importance | None:
        """The importance of settings, where there is a sensitivity card."""
        return important.importance(*self._table) if self._comparable else None

    @property
    def score(self) -> str:
        """What the score is called, with its unit."""
        kind, name = self.study.entry.kind, trials.ranked_by(self.study.folder)
        first = kind.panels[0].value if name == "score" else name
        return next((panel.value for panel in kind.panels if name in panel.metrics), first)

    @property
    def title(self) -> str:
        """Algorithm, task and number of trials."""
        return f"{self.study.algorithm} on {self.study.task}, {len(self.outcomes.trials)} trials"

    @property
    def notes(self) -> Iterator[str]:
        """What has to be known to read the report."""
        running = self.study.total - len(self.outcomes.trials)
        if running > 0:
            way = f"`rlgen sweep --join {self.study.name}` continues"
            yield f"{running} of {self.study.total} trials have not ended: {way}"
        if not self.finalists:
            yield "nothing was trained with fresh seeds: the score of the best trial is too good"
        elif len(self.finalists) > 1:
            yield "a choice among finalists by their fresh scores is a selection again: the first was best while tuning"
        for finalist in self.finalists:
            if finalist.state not in ("complete", "running"):
                yield f"trial {finalist.number} {finalist.state} with a fresh seed"
        if not self.price.held_out:
            yield "one seed per trial: no seed can be held out, and the price of tuning is too low"
        if self.study.sampler in ADAPTIVE:
            yield (
                f"{self.study.sampler} draws later trials by the earlier ones: the price is that of the same trials in"
                " a random order, too low for few of them"
            )
        if not self._comparable:
            yield f"settings are compared from {FEWEST} trials on"
        elif self.importance and self.importance.explained < EXPLAINED:
            share = 100 * max(0.0, self.importance.explained)
            yield f"settings explain {share:.0f} % of the variance of scores: their importance says little"

    @property
    def _comparable(self) -> bool:
        return len(self.outcomes.trials) >= FEWEST and bool(self.settings)

    @property
    def _table(self) -> tuple[list[Setting], list[Settings], Floats]:
        return self.settings, [trial.settings for trial in self.outcomes.trials], self.scores


def as_json(report: Report) -> Json:
    """The report with scores in their own direction; a gap above 0 is a selected score that was too good.

    held_out: of each finalist its selected and its fresh score and their gap, with 95 % intervals over seeds.
    price: for 1, 2, ... trials the CPU-seconds, the expected score of the best and the ends of its band.
    sensitivity: how far the score falls from the best setting, per setting and together, and the gain of tuning.
    importance: of each setting, and the share of the variance that settings explain.
    """
    sign, price, card, ranked = report.sign, report.price, report.sensitivity, report.importance
    counts = Counter(trial.state for trial in report.trials if trial.role == "tuning")
    return {
        "study": str(report.study.folder),
        "algorithm": report.study.algorithm,
        "task": report.study.task,
        "score": report.score,
        "better": "lower" if sign < 0 else "higher",
        "states": dict(counts),
        "seconds": {role: sum(t.seconds for t in report.trials if t.role == role) for role in ("tuning", "test")},
        "held_out": [_finalist(report, finalist) for finalist in report.finalists],
        "price": {
            "held_out": price.held_out,
            "seconds": price.seconds.tolist(),
            "best": (sign * price.best).tolist(),
            "low": (sign * (price.low if sign > 0 else price.high)).tolist(),
            "high": (sign * (price.high if sign > 0 else price.low)).tolist(),
            "trials_to_95": prices.within(price),
        },
        "sensitivity": card
        and {
            "falls": {along.setting.name: _interval(along.fall) for along in card.slices},
            "together": _interval(card.together),
            "gains": dict(card.gains),
            "dimensions": card.dimensions,
        },
        "importance": ranked
        and {
            "settings": {name: _interval(value) for name, value in ranked.settings},
            "explained": ranked.explained,
        },
        "notes": list(report.notes),
    }


def lines(report: Report) -> list[str]:
    """The report as text."""
    found = as_json(report)
    states = ", ".join(f"{count} {state}" for state, count in found["states"].items())
    seconds = found["seconds"]
    shown = [
        f"study    {visible(found['study'])}: {report.title} ({states}), sampler {report.study.sampler}",
        f"cost     {seconds['tuning']:,.0f} CPU-seconds of tuning, {seconds['test']:,.0f} with fresh seeds",
        f"score    {report.score}, {found['better']} is better",
        "",
        *_held_out_lines(report, found["held_out"]),
        "",
        *_price_lines(found["price"]),
    ]
    if card := found["sensitivity"]:
        rows = [[name, _text(fall)] for name, fall in card["falls"].items()]
        shown += [
            "",
            *table(["sensitivity", "fall from the best, 95 %"], [*rows, ["together", _text(card["together"])]]),
        ]
        order = ", ".join(f"{name} {100 * share:.0f} %" for name, share in card["gains"].items())
        shown.append(f"tuned one after the other, the share of the gain: {order}")
    if ranked := found["importance"]:
        rows = [[name, _text(value)] for name, value in ranked["settings"].items()]
        explained = f"{100 * max(0.0, ranked['explained']):.0f} % of the variance explained"
        shown += ["", *table(["importance", f"{explained}, 95 %"], rows)]
    return [*shown, *(f"note: {note}" for note in found["notes"])]


def draw(report: Report) -> list[Path]:
    """Write the pictures of a report into the folder of its study; returns their paths."""
    import matplotlib

    from rlgen.report.plots import PAPER
    from rlgen.sweep import cards, pictures

    words = pictures.Words(report.title, report.score, report.sign)
    with matplotlib.rc_context(PAPER):
        drawn = {
            "history": pictures.history(report.outcomes, report.finalists, words),
            "price": pictures.price(report.price, report.finalists, words),
        }
        if report.settings:
            drawn["parallel"] = cards.parallel(report.outcomes, report.settings, words)
        if report.sensitivity:
            drawn["sensitivity"] = cards.sensitivity(report.sensitivity, report.outcomes, words)
        if report.importance:
            drawn["importance"] = pictures.importance(report.importance, words)
        return [pictures.save(figure, report.study.folder / f"{name}.png") for name, figure in drawn.items()]


def _finalist(report: Report, finalist: Finalist) -> Json:
    trial = next(t for t in report.outcomes.trials if t.number == finalist.number)
    return {
        "number": finalist.number,
        "settings": finalist.settings,
        "state": finalist.state,
        "selected": {**_interval(finalist.selected, report.sign), "seeds": finalist.seeds[0]},
        "fresh": {**_interval(finalist.fresh, report.sign), "seeds": finalist.seeds[1]},
        "gap": _interval(finalist.gap),
        "command": progress.command(report.study, trial),
    }


def _held_out_lines(report: Report, found: list[Json]) -> list[str]:
    if not found:
        best = report.outcomes.trials[report.outcomes.best]
        return [f"best     trial {best.number}  {progress.score(best)}  {progress.settings(best)}"]
    by_number = {trial.number: trial for trial in report.outcomes.trials}
    count = found[0]["selected"]["seeds"]
    head = [
        f"trial, {count} seed{'s' * (count > 1)}",
        "selected, 95 %",
        "fresh, 95 %",
        "seeds",
        "gap",
        "settings",
    ]
    rows = [
        [
            str(row["number"]), _text(row["selected"]), _text(row["fresh"]), str(row["fresh"]["seeds"]),
            _text(row["gap"]), progress.settings(by_number[row["number"]]),
        ]
        for row in found
    ]  # fmt: skip
    return [*table(head, rows), f"next     {visible(found[0]['command'])}"]


def _price_lines(price: Json) -> list[str]:
    n = len(price["best"])
    ks = sorted({k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, n) if k <= n})
    rows = [
        [f"{k:,}", f"{price['seconds'][k - 1]:,.0f}", _text({"value": price["best"][k - 1],
         "low": price["low"][k - 1], "high": price["high"][k - 1]})]
        for k in ks
    ]  # fmt: skip
    head = ["price: trials", "CPU-seconds", "expected best, 95 % of orders"]
    return [*table(head, rows), f"{price['trials_to_95']:,} trials make 95 % of the rise from one to all"]


def _interval(interval: Interval, sign: float = 1.0) -> Json:
    """JSON-ready, None for NaN; for a sign of -1 in the other direction."""
    low, high = (interval.low, interval.high) if sign > 0 else (interval.high, interval.low)
    values = {"value": interval.value, "low": low, "high": high}
    return {name: sign * value if math.isfinite(value) else None for name, value in values.items()}


def _text(interval: Json) -> str:
    if interval["value"] is None:
        return "none"
    ends = "" if interval["low"] is None else f" [{interval['low']:,.4g}, {interval['high']:,.4g}]"
    return f"{interval['value']:,.4g}{ends}"
