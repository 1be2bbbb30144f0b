"""What can be wrong with a trained classifier: overfitting, no learning, bad initial weights, dead units."""

from collections.abc import Iterator
from typing import Any

from rlgen.core.dead_units import dead_relus, dead_units
from rlgen.core.findings import Finding, Record
from rlgen.core.images import from_bytes

IMAGES = 512  # test images, for units
GAP = 0.05  # between the accuracies of training and of validation images
RISE = 1.2  # of the validation loss, relative to its minimum
INITIAL = 2.0  # loss of the untrained network, relative to that of equal scores
WIDTH = 0.05  # of the interval of the test accuracy
ECE = 0.05  # expected calibration error


def findings(record: Record, classifier: Any | None) -> Iterator[Finding]:
    """Findings from the log and, where the `classifier` was loaded, from its weights."""
    yield from _learning(record)
    yield from _generalization(record)
    yield from _scores(record)
    if classifier is not None and hasattr(classifier, "normalize"):
        x = classifier.normalize(from_bytes(classifier.test_set.images[:IMAGES]))
        for name, (network, _) in classifier.networks().items():
            found = dead_units(network.cpu(), x)
            yield from dead_relus(name, found, f"{record.again} --lr {record.config['lr'] / 3:.2g}")


def _learning(record: Record) -> Iterator[Finding]:
    uniform, initial, loss = (record.last(f"eval_{name}") for name in ("uniform_loss", "initial_loss", "train_loss"))
    if uniform and initial and initial > INITIAL * uniform:
        yield Finding(
            "initial weights too large", "note",
            f"the untrained network has a loss of {initial:.3g}, equal scores for all classes have {uniform:.3g}",
            initial / uniform, f"{record.again} --init he",
        )  # fmt: skip
    if uniform and loss and record.info["time"] and loss >= uniform:
        yield Finding(
            "nothing learned", "problem",
            f"the loss of training images is {loss:.3g}, that of equal scores for all classes {uniform:.3g}",
            loss / uniform, f"{record.again} --lr {record.config['lr'] / 3:.2g}",
        )  # fmt: skip


def _generalization(record: Record) -> Iterator[Finding]:
    training, validation = record.last("eval_train_accuracy"), record.last("eval_validation_accuracy")
    if training is not None and validation is not None and training - validation > GAP:
        yield Finding(
            "gap between training and validation", "problem",
            f"accuracy {training:.2%} on training images, {validation:.2%} on validation images",
            training - validation, f"{record.again} --augment shift --weight-decay 0.0005",
        )  # fmt: skip
    losses = record.series.get("eval_validation_loss", [])
    if losses and losses[-1][1] > RISE * (lowest := min(losses, key=lambda point: point[1]))[1]:
        yield Finding(
            "overfitting", "problem",
            f"the validation loss is {losses[-1][1]:.3g}, and was {lowest[1]:.3g} at {lowest[0]:,.0f} images",
            losses[-1][1] / lowest[1], f"{record.again} --patience 3",
        )  # fmt: skip


def _scores(record: Record) -> Iterator[Finding]:
    result = record.info.get("result") or {}
    interval, ece = result.get("ci95"), result.get("ece")
    if interval and interval[1] - interval[0] > WIDTH:
        yield Finding(
            "too few test images", "note",
            f"the accuracy lies between {interval[0]:.1%} and {interval[1]:.1%} by {result['images']:,} test images",
            interval[1] - interval[0], f"rlgen eval {record.run} --images 0",
        )  # fmt: skip
    if ece is not None and ece > ECE:
        yield Finding(
            "badly calibrated", "note",
            f"its probabilities are off by {ece:.3f} on average;"
            f" with the temperature {result.get('temperature', 1):.3g} by {result.get('tempered_ece', ece):.3f}",
            ece, f"{record.again} --label-smoothing 0.05",
        )  # fmt: skip
