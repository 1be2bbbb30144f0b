"""The commands that meet a failing disk: trainings, pictures, tables, and what is cached."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.campaigns.failing_disk import FAULTS

AGENT = ["--width", "8", "--buffer-size", "200", "--learning-starts", "60", "--batch", "16", "--epsilon-steps", "100"]
AGENT += ["--budget", "200", "--log-every", "50", "--eval-every", "100", "--save-every", "50", "--eval-episodes", "2"]
MODEL = [
    "--size",
    "8",
    "--width",
    "2",
    "--discriminator-width",
    "2",
    "--latent",
    "4",
    "--batch",
    "100",
    "--threads",
    "1",
]
MODEL += ["--budget", "300", "--log-every", "100", "--eval-every", "200", "--save-every", "100"]
CLASSIFIER = ["--width", "0.25", "--batch", "100", "--threads", "1"]
CLASSIFIER += ["--budget", "300", "--log-every", "100", "--eval-every", "200", "--save-every", "100"]
TRAIN = ("dqn", "gan", "classify", "resume")


@dataclass(frozen=True)
class Scenario:
    """A command line in a folder of its own, which holds a copy of a prepared run where it has the name of one."""

    words: list[str]
    prepared: str = ""
    patch: Callable[[], object] | None = None  # makes it smaller, in the forked process
    faults: tuple[str, ...] = (*FAULTS[:3], "limit")


SCENARIOS = {
    "dqn": Scenario(["dqn", "CartPole", *AGENT, "--tensorboard"], faults=(*FAULTS, "limit")),
    "gan": Scenario(["gan", "digits", *MODEL], faults=(*FAULTS, "limit")),
    "classify": Scenario(["classify", "digits", *CLASSIFIER]),
    "resume": Scenario(["resume", "--budget", "300"], "dqn", faults=(*FAULTS, "limit")),
    "sample": Scenario(["sample", "--count", "9", "--npy", "images.npy", "--out", "images.png"], "gan"),
    "sample what": Scenario(["sample", "--what", "interpolations"], "gan", faults=(*FAULTS, "limit")),
    "play": Scenario(["play"], "dqn", faults=(*FAULTS, "limit")),
    "plot": Scenario(["plot", "latest", "--out", "curves.pdf"], "dqn"),
    "plot numbers": Scenario(["plot", "latest", "--out", "curves.csv"], "dqn"),
    "csv": Scenario(["export", "--csv"], "dqn"),
    "events": Scenario(["export", "--tensorboard"], "gan"),
    "report": Scenario(["report", "latest"], "gan"),
    "eval": Scenario(["eval", "--episodes", "2"], "dqn"),
    "note": Scenario(["note", "latest", "a note"], "dqn"),
    "rm": Scenario(["rm", "latest"], "dqn", faults=FAULTS[:3]),
    "lesson": Scenario(["lesson", "counting", "--quick"]),
    "objects": Scenario(["classify", "objects", *CLASSIFIER, "--budget", "100"], patch=lambda: few_objects()),
    "judge": Scenario(["eval", "--samples", "20"], "gan", patch=lambda: quick_judge()),
}


def few_objects():
    """The dataset `objects` of some hundred images."""
    from rlgen.data import objects

    objects.COUNTS.update(train=200, test=60)


def quick_judge():
    """A feature classifier of a few steps."""
    from rlgen.generative.quality import feature_classifier

    feature_classifier.STEPS, feature_classifier.EPOCHS = 5, 0
