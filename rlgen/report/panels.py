"""The panels of a plot: those of the kind of run, or one for each metric that was asked for."""

from collections.abc import Sequence
from dataclasses import replace

from rlgen.core.errors import UserError, did_you_mean
from rlgen.kinds import Kind, Panel
from rlgen.report.logs import RunLog

LISTED = 30  # metrics in a message


def present(kind: Kind, members: Sequence[RunLog]) -> list[Panel]:
    """The panels an experiment has a metric for; those of last resort only where there is no other."""
    found = [panel for panel in kind.panels if any(panel.metrics.keys() & run.metrics.keys() for run in members)]
    return [panel for panel in found if not panel.last_resort] or found


def chosen(kind: Kind, runs: Sequence[RunLog], names: Sequence[str]) -> list[Panel]:
    """A panel for each metric by its name. Raises UserError for one that no run has, with those there are."""
    present = sorted({name for run in runs for name in run.metrics})
    panels = []
    for name in dict.fromkeys(names):
        own = next((panel for panel in kind.panels if name in panel.metrics), None)
        if name not in present and not (own and own.episodes == name and any(run.episodes for run in runs)):
            rest = f" and {len(present) - LISTED} more" if len(present) > LISTED else ""
            which = runs[0].name if len(runs) == 1 else f"the {len(runs)} runs"
            verb = "has" if len(runs) == 1 else "have"
            listed = f"{which} {verb} {', '.join(present[:LISTED])}{rest}"
            raise UserError(f"no metric {name!r}{did_you_mean(name, present)}; {listed}")
        if own is None:
            words = "evaluation" if name.startswith("eval_") else "training"
            label = kind.units.get(name, name.removeprefix("eval_").replace("_", " "))
            panels.append(Panel(label, {name: words}))
        else:
            alone = len(own.metrics) == 1 or sum(other in own.metrics for other in names) == 1
            value = own.value if alone else f"{own.value}, {own.metrics[name]}"
            panels.append(replace(own, value=value, metrics={name: own.metrics[name]}, last_resort=False))
    return panels
