"""Studies of tiny trainings."""

import pytest

from rlgen.sweep import study as studies
from rlgen.sweep.study import Study
from tests.sweep.tiny import TINY


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Make a study in a folder of its own; further fields replace those of a tiny one."""
    pytest.importorskip("optuna")
    from rlgen.session import Session

    for drawing in ("draw", "draw_curves"):  # takes most of the time of a run
        monkeypatch.setattr(Session, drawing, lambda session: None)

    def make(name="study", **given):
        fields = {
            "algorithm": "qlearning", "task": "GridWorld", "search": {"lr": "0.01..1:log", "gamma": "0.9,0.99"},
            "settings": TINY, "trials": 3, "seeds": 2, "finalists": 1, "test_seeds": 2,
        }  # fmt: skip
        study = Study(tmp_path / "runs" / name, **{**fields, **given})
        studies.create(study)
        return study

    return make
