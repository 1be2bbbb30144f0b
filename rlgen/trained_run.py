"""A run after its training: its scores, its curves, and how a notebook shows it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlgen import catalog
from rlgen.core.folder import Folder
from rlgen.core.notebook import Bundle, bundle

if TYPE_CHECKING:
    from rlgen.report.lines import Axis


class TrainedRun(Folder):
    """A run folder, its final scores and its curves."""

    @property
    def result(self) -> dict[str, Any]:
        """Final scores by name; empty before the end of the training."""
        return dict(self.info.get("result") or {})

    @property
    def score(self) -> float | None:
        """The final score that ranks runs, higher being better; None without one."""
        return self.result.get("score")

    def plot(self, out: str | Path | None = None, x: "Axis" = "steps") -> Path:
        """Draw the learning curves to `out`, by default `curves.png` in the folder; returns the path."""
        from rlgen.report import plots
        from rlgen.report.lines import View

        path = Path(out) if out else self.directory / "curves.png"
        plots.curves([self.directory], path, View(x))
        return path

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """In a notebook: facts, final scores, the learning curves."""
        info, scores, curves = self.info, self.result, self.directory / "curves.png"
        facts = {"status": self.status, "time": f"{info['time']:,} {catalog.find(info['algorithm']).kind.unit}"}
        facts |= {"seconds": f"{info['seconds']:,.1f}"} if info.get("seconds") else {}
        facts |= {name: f"{v:,.4g}" for name, v in scores.items() if isinstance(v, float | int)}
        facts |= {"settings": "  ".join(f"{name}={value}" for name, value in info.get("changed", {}).items())}
        facts |= {"folder": str(self.directory), **({"note": info["note"]} if "note" in info else {})}
        title = f"{info['algorithm']} on {info['task']}"
        return bundle(title, facts, curves.read_bytes() if curves.is_file() else None)

    def __repr__(self) -> str:
        info = self.info
        unit = catalog.find(info["algorithm"]).kind.unit
        scores = self.result
        shown = {"score": scores["score"]} if scores.get("score") is not None else scores
        reached = "".join(f", {name} {v:.4g}" for name, v in shown.items() if isinstance(v, float | int))
        return f"<{self.name}: {self.status} at {info['time']:,} {unit}{reached}; {self.directory}>"
