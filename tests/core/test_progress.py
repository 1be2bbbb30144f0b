from rlgen.core.fit import fit
from rlgen.core.settings import Plan


def test_the_loop_writes_the_time_the_phase_and_the_latest_metrics(run, walk, monkeypatch):
    """A display reads them from another thread, at any moment."""
    phases, algorithm = [], walk()
    step, evaluate, save = algorithm.step, algorithm.evaluate, run.save

    def note(function):
        def call(*args, **kwargs):
            phases.append((run.progress.phase, run.progress.time))
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(algorithm, "step", note(step))
    monkeypatch.setattr(algorithm, "evaluate", note(evaluate))
    monkeypatch.setattr(run, "save", note(save))
    assert run.progress.phase == "preparing"
    fit(algorithm, run, Plan(budget=2, log_every=1, eval_every=2, save_every=2))
    trained = [(phase, time) for phase, time in phases if time or phase == "training"]
    assert trained == [("training", 0), ("training", 1), ("evaluating", 2), ("saving", 2)]
    assert run.progress.time == 2
    assert set(run.progress.metrics) == {"loss", "time_squared"}
