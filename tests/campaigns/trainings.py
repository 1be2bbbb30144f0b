"""Trainings that are killed: all of the catalog, ensembles, several seeds, points, a stack, transfer, a lesson."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rlgen import session
from rlgen.cli import stack
from rlgen.core.folder import Folder
from rlgen.lessons import runner
from tests.campaigns.outcomes import Outcome
from tests.campaigns.victims import Point
from tests.cases import CASES, MODEL_PLAN, NETWORK
from tests.lessons.conftest import TEXT

QUICK = {"final_episodes": 3}  # of the report, for agents
POINTS = {"width": 8, "discriminator_width": 8, "latent": 2, "batch": 100, "threads": 1}
MLP = {**NETWORK, **MODEL_PLAN, "network": "mlp", "validation": 0.3}
LINEAR = {"network": "linear", "batch": 100, "threads": 1, "validation": 0.3}
MEMBERS = {"mlp": MLP, "linear": {**LINEAR, **MODEL_PLAN}}
LESSON = "mine.toml"
OF_RUNS = {"stack", "transfer", "lesson"}  # cases that start from files of `sources`
Work = Callable[[Path], object]


@dataclass
class Case:
    """A training that begins in a folder of runs or, where one is there, continues."""

    name: str
    work: Work
    points: list[Point] = field(default_factory=list)  # of a training that is not killed
    straight: Outcome = field(default_factory=dict)

    def phases(self) -> Iterator[tuple[int, Point, float]]:
        """The number of each point that begins a phase, the point, and how long the phase takes in seconds."""
        ends = {number: point.seconds for number, point in enumerate(self.points)}
        starts = [number for number, point in enumerate(self.points) if point.event == "phase"]
        for number, following in zip(starts, [*starts[1:], len(self.points) - 1], strict=True):
            yield number, self.points[number], max(0.001, ends[following] - ends[number])


def trained(algorithm: str, task: str, options: dict[str, object]) -> Work:
    """A training by the options of a command line."""

    def work(runs: Path) -> None:
        continued(runs, lambda: session.prepare(algorithm, task, options, runs=runs))

    return work


def continued(runs: Path, start: Callable[[], session.Session]) -> None:
    """Begin the training, or continue the one that is there; nothing where it is finished."""
    folders = Folder.all(runs)
    if not folders:
        start().train(quiet=True)
    elif folders[-1].status != "finished":
        session.reopen(folders[-1], {}, trust=True).train(quiet=True)


def sources(folder: Path) -> None:
    """The runs that a stack and a transfer start from, in a folder of their own."""
    for name, options in MEMBERS.items():
        session.prepare("classify", "digits", options, runs=folder, name=name).train(quiet=True)
    (folder / LESSON).write_text(TEXT.format(options=""))


def all_cases(trained_before: Path) -> dict[str, Case]:
    """Every case by its name."""
    found: dict[str, Work] = {}
    for name, (algorithm, task, options) in CASES.items():
        final = QUICK if session.catalog.find(algorithm).kind.name == "agent" else {}
        found[name] = trained(algorithm, task, {**options, **final})
    for name in ("dqn", "drqn", "c51"):
        algorithm, task, options = CASES[name]
        found[f"{name} of three seeds"] = trained(algorithm, task, {**options, **QUICK, "seeds": 3})
    found["classify of three seeds"] = trained("classify", "digits", {**NETWORK, **MODEL_PLAN, "seeds": 3})
    found["points"] = trained("gan", "ring", {**POINTS, **MODEL_PLAN})
    found["transfer"] = trained("classify", "digits", {**MLP, "init_from": str(trained_before / "mlp"), "seed": 1})

    def stacked(runs: Path) -> None:
        members = [Folder(trained_before / name) for name in MEMBERS]
        continued(runs, lambda: stack.prepare(members, 0.01, runs, None))

    def lesson(runs: Path) -> None:
        runs.mkdir(exist_ok=True)
        runner.run(runner.load(trained_before / LESSON, seeds=1), runs / "lessons")

    found["stack"], found["lesson"] = stacked, lesson
    return {name: Case(name, work) for name, work in found.items()}
