"""The trials of a study, read from their run folders alone. Imports neither torch nor optuna."""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rlgen import catalog
from rlgen.core import description, files, logs, seal
from rlgen.core.errors import UserError
from rlgen.kinds import Kind

State = Literal["complete", "failed", "diverged", "running", "pruned"]
Role = Literal["tuning", "test"]
Settings = dict[str, float | int | str | bool | None]
FILE = "trial.json"  # in a run folder: what the study knows of the run, beside run.json
CLAIMS = "claims"  # folder of a study: what each run is to be, and the locks of the processes that train them
NAME = re.compile(r"(trial|test)-\d{4,}(-\d+)?\Z|trials-\d{4,}-\d{4,}\Z")
ENDED: dict[str, State] = {"finished": "complete", "diverged": "diverged"}  # status of a run -> state of its trial
MOST = 100_000  # trials of a study
SEVERITY: tuple[State, ...] = ("running", "failed", "diverged", "pruned", "complete")  # of runs, the first counts


@dataclass(frozen=True)
class Trial:
    """One point of the search space, trained with one or several seeds."""

    number: int  # from 1 on; that of a test is the trial whose settings it trains again
    settings: Settings  # of the search space
    state: State  # running: not at its end yet, whether or not a process is at work on it
    scores: tuple[float, ...]  # one per seed, of those that are known
    seconds: float  # of the processor
    role: Role
    seeds: tuple[int, ...]  # one per run; a run of several members has one for all of them
    folder: Path  # its first run
    reason: str = ""  # of a failure, or of the end of a pruned trial

    @property
    def score(self) -> float:
        """Mean over the seeds; nan without a score."""
        return sum(self.scores) / len(self.scores) if self.scores else math.nan


@dataclass(frozen=True)
class Run:
    """One run of a trial as its folder and its claim tell."""

    folder: Path
    facts: Mapping[str, Any]  # number, settings, role, seeds, run
    info: Mapping[str, Any]  # run.json; empty before the run begins
    kept: Mapping[str, Any]  # trial.json
    place: tuple[int, int] = (0, 1)  # of the trial among those that are members of the run, and their number

    @property
    def state(self) -> State:
        """The end of the run, or running."""
        ended = self.kept.get("state")
        if ended in SEVERITY:
            return ended  # type: ignore[no-any-return]
        result = self.info.get("result") or {}
        if self.own(list(range(len(result.get("per_seed", ())))), result.get("diverged", ())):
            return "diverged"
        return ENDED.get(str(self.info.get("status")), "running")

    @property
    def seconds(self) -> float:
        """Seconds of the processor, of all trials alike; of training, where they were not counted."""
        return float(self.kept.get("seconds") or self.info.get("seconds") or 0.0) / self.place[1]

    def trials(self) -> list["Run"]:
        """The run as each of its trials sees it."""
        several = self.facts.get("trials") or ()
        views = ({**self.facts, **each, "trials": None} for each in several)
        return [replace(self, facts=facts, place=(k, len(several))) for k, facts in enumerate(views)] or [self]

    def own(self, values: Sequence[Any], among: Collection[Any] | None = None) -> list[Any]:
        """The part of values, one per member, that is of this trial; those `among` some alone."""
        index, count = self.place
        part = values[index * len(values) // count : (index + 1) * len(values) // count]
        return [value for value in part if among is None or value in among]


def read(study: Path) -> list[Trial]:
    """Every trial of the study in the folder `study`, the tuning ones first, each role by number."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in (part for each in runs(study) for part in each.trials()):
        groups.setdefault((run.facts["role"], run.facts["number"]), []).append(run)
    wanted = metric_of(study)
    order = sorted(groups, key=lambda key: (key[0] == "test", key[1]))
    return [_trial(groups[key], wanted) for key in order]


def runs(study: Path) -> Iterator[Run]:
    """Every run of a study that was claimed, whether or not it has begun, by name."""
    claimed = [path.stem for path in (study / CLAIMS).glob("*.json")]
    folders = [path.name for path in study.iterdir() if NAME.match(path.name) and files.is_folder(path)]
    for name in sorted({*claimed, *folders}):
        info, kept = _description(study / name), json(study / name / FILE)
        facts = info.get("trial") or json(study / CLAIMS / f"{name}.json")
        if NAME.match(name) and _is_claim(facts):
            yield Run(study / name, facts, info, kept)


def better(study: Path) -> Literal["higher", "lower"]:
    """The direction in which the score of a study improves."""
    kind = catalog.find(str(json(study / "study.json").get("algorithm"))).kind
    return direction(kind, ranked_by(study))


def ranked_by(study: Path) -> str:
    """The metric that ranks the trials of a study; empty where it was not chosen and no run has one yet."""
    kind = catalog.find(str(json(study / "study.json").get("algorithm"))).kind
    return metric_of(study) or next((found for run in runs(study) if (found := _metric(run, kind, ""))), "")


def direction(kind: Kind, metric: str) -> Literal["higher", "lower"]:
    """The direction in which a metric improves."""
    found = next((panel.better for panel in kind.panels if metric in panel.metrics), "")
    return "lower" if found == "lower" else "higher"


def metric_of(study: Path) -> str:
    """The metric that ranks the trials, where it was chosen; else empty: the first of the kind that a run has."""
    return str(json(study / "study.json").get("metric") or "")


def json(path: Path) -> dict[str, Any]:
    """The object in a JSON file without its seal; empty where there is none."""
    try:
        found = files.json_object(path)
    except (OSError, UserError):
        return {}
    found.pop(seal.SEAL, None)
    return found


def keep(folder: Path, **facts: Any) -> None:
    """Add `facts` to the trial.json of a run."""
    with files.replacing(folder / FILE) as partial:
        partial.write_bytes(seal.dump({**json(folder / FILE), **facts}))


def _trial(group: Sequence[Run], wanted: str) -> Trial:
    first = group[0]
    state = min((run.state for run in group), key=SEVERITY.index)
    expected = first.facts.get("runs", 1)
    if state == "complete" and len(group) < expected:
        state = "running"
    scores = tuple(score for run in group if run.state == "complete" for score in scores_of(run, wanted))
    reason = next((str(run.kept["reason"]) for run in group if run.kept.get("reason")), "")
    if state == "complete" and not scores:
        state, reason = "failed", f"there is no {wanted or 'score'} in its log"
    if state == "diverged":
        reason = reason or next((str(run.info.get("error")) for run in group if run.state == "diverged"), "")
    return Trial(
        first.facts["number"],
        dict(first.facts["settings"]),
        state,
        scores,
        sum(run.seconds for run in group),
        first.facts["role"],
        tuple(seed for run in group for seed in run.facts["seeds"]),
        first.folder,
        reason,
    )


def scores_of(run: Run, wanted: str) -> list[float]:
    """The score of each seed of a finished run: of its report or, where that lacks it, of its last evaluation."""
    kind = catalog.find(str(run.info["algorithm"])).kind
    name = _metric(run, kind, wanted)
    result = run.info.get("result") or {}
    if name in result:
        values = result.get("per_seed", result[name]) if name == "score" else result[name]
    else:
        values = next((row[name] for row in reversed(_rows(run.folder)) if name in row), [])
    listed = values if isinstance(values, list) else [values]
    return [float(x) for x in run.own(listed) if isinstance(x, int | float) and math.isfinite(x)]


def _metric(run: Run, kind: Kind, wanted: str) -> str:
    result = run.info.get("result") or {}
    names = [wanted] if wanted else kind.ranking
    if found := next((name for name in names if name in result), ""):
        return found
    known = {name for row in _rows(run.folder) for name in row} if result else set()
    return next((name for name in names if name in known), "")


def _rows(folder: Path) -> list[dict[str, Any]]:
    try:
        return logs.read(folder / "metrics.jsonl").rows
    except (OSError, UserError):
        return []


def _description(folder: Path) -> dict[str, Any]:
    with suppress(UserError):
        if (folder / description.FILE).exists():
            return description.read(folder)
    return {}


def _is_claim(facts: object) -> bool:
    """Whether these are the facts of a run of a study."""
    if not isinstance(facts, dict):
        return False
    types = {"number": int, "settings": dict, "role": str, "seeds": list}
    typed = all(isinstance(facts.get(name), kind) for name, kind in types.items())
    return typed and facts["role"] in ("tuning", "test") and 0 < facts["number"] <= MOST
