"""Training in a run folder of others: nothing outside it is written or deleted."""

import os

import pytest

from rlgen.core.errors import UserError
from rlgen.core.fit import fit
from rlgen.core.run import Run
from rlgen.core.settings import Plan

PLAN = Plan(budget=6, log_every=2, eval_every=3, save_every=2)


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    (folder / ".partial-1-x").mkdir(parents=True)
    (folder / "000000001").mkdir()
    for name in ("20240101120000.png", "000000009.png", "log.txt"):
        (folder / name).write_text("kept")
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "name",
    ["samples", "checkpoints", "portraits", "log.txt", "timing.jsonl", "metrics.jsonl", "run.lock", ".partial-9-x"],
)
def test_links_in_the_folder_of_a_run_are_not_followed(run, walk, outside, name):
    target = outside / name if (outside / name).is_file() else outside
    (run.directory / name).symlink_to(target if name != "timing.jsonl" else outside / "new")
    before = contents(outside)
    with pytest.raises(UserError, match=f"{name} is a link: nothing outside a run folder"), Run(run.directory) as again:
        fit(walk(), again, PLAN)
    assert contents(outside) == before
    assert run.info["status"] == "created"


@pytest.mark.parametrize("name", ["metrics.jsonl", "timing.jsonl"])
def test_a_link_that_appears_later_is_not_followed_either(run, walk, outside, name):
    with run:
        (run.directory / name).symlink_to(outside / "log.txt")
        with pytest.raises(UserError, match=f"{name}.*is a link"):
            fit(walk(), run, PLAN)
    assert (outside / "log.txt").read_text() == "kept"


@pytest.mark.parametrize("name", ["metrics.jsonl", "run.lock", "log.txt", "samples"])
def test_a_pipe_in_the_folder_of_a_run_is_not_waited_for(run, walk, name):
    os.mkfifo(run.directory / name)
    with pytest.raises(UserError, match=f"{name} is no regular file"), Run(run.directory) as again:
        fit(walk(), again, PLAN)
