"""Checkpoints that a process in training replaces while another one reads them."""

import shutil

from rlgen.core import checkpoint
from rlgen.core.run import Run


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_not_called_damaged(run, walk, caplog, monkeypatch):
    """The process that trains has saved newer ones meanwhile."""
    algorithm = walk()
    algorithm.step()
    run.save(algorithm)
    load, folder = checkpoint.load, run.directory / "checkpoints"

    def overtaken(path, *args, **more):
        if path.name == "000000001":
            (folder / "000000001").rename(folder / "000000002")
        return load(path, *args, **more)

    monkeypatch.setattr(checkpoint, "load", overtaken)
    restored = walk()
    Run(run.directory).load(restored)
    assert restored.time == 1
    assert not caplog.messages


def test_the_best_checkpoint_may_be_replaced_while_it_is_read(run, walk, monkeypatch):
    algorithm = walk()
    for _ in range(2):
        algorithm.step()
        run.record(algorithm.time, {"eval_score": float(algorithm.time)}, "eval_score")
        run.save(algorithm)
    folder, load = run.directory / "checkpoints", checkpoint.load
    run.describe(best_time=1)

    def overtaken(path, *args, **more):
        if path.name == "000000001":
            shutil.rmtree(folder / "000000001")
            run.describe(best_time=2)
        return load(path, *args, **more)

    monkeypatch.setattr(checkpoint, "load", overtaken)
    restored = walk()
    Run(run.directory).load(restored, "best")
    assert restored.time == 2
