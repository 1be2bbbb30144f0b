"""The accuracy of k-nearest neighbours by k and metric, as a picture. Imports no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlgen.report.plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = {"l1": "o", "l2": "D"}


def by_k(report: Mapping[str, Any], title: str) -> "Figure":
    """Validation accuracy by k, a line per metric; the best k of each, and its test accuracy with a 95 % interval."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    picture = Figure(figsize=(7, 4.4), layout="constrained")
    axes = picture.add_subplot()
    ks = report["ks"]
    for i, (metric, found) in enumerate(report["metrics"].items()):
        k, colour, accuracy = found["k"], COLOURS[i], found["validation_accuracy"]
        low, high = found["ci95"]
        axes.plot(
            ks, accuracy, color=colour, marker=MARKERS[metric], markersize=4, label=f"{metric.upper()}, validation"
        )
        axes.plot([k], [accuracy[ks.index(k)]], color=colour, marker="o", markersize=12, fillstyle="none", linestyle="")
        test = f"{metric.upper()}, test at k = {k}: {found['accuracy']:.2%}"
        axes.errorbar(
            [k + 0.15], [found["accuracy"]], [[found["accuracy"] - low], [high - found["accuracy"]]],
            color=colour, marker="*", markersize=10, capsize=3, linestyle="", label=test,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("k, neighbours that vote (the best of each metric encircled)")
    axes.set_ylabel("accuracy")
    axes.set_title(f"{title}\naccuracy by k on {report['compared']:,} images that chose it", loc="left")
    axes.legend()
    return picture
