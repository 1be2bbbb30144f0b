"""The fingerprint of the files that a run was trained on: a resumed run says where they changed."""

from rlgen.core.run import Run


def test_files_that_changed_since_the_training_are_announced_in_one_line(run, walk, caplog):
    original, changed = walk(facts={"fingerprint": "1234"}), walk(facts={"fingerprint": "abcd"})
    run.resume(original)
    run.save(original)
    assert run.info["fingerprint"] == "1234"
    run.describe(task="folder:/cats")
    for attempt in (Run(run.directory).load, Run(run.directory).resume):
        attempt(walk(facts={"fingerprint": "1234"}))
    assert not caplog.records
    Run(run.directory).load(changed)
    Run(run.directory).load(changed)
    assert run.info["fingerprint"] == "1234"  # loading changes nothing
    Run(run.directory).resume(changed)
    assert run.info["fingerprint"] == "abcd"  # of the files from here on
    line = (
        "the files of folder:/cats changed since walk-1 was trained on them (fingerprint 1234 then, abcd now):"
        " scores of then and now do not compare"
    )
    assert [record.getMessage() for record in caplog.records] == [line] * 3


def test_a_dataset_without_files_that_may_change_has_no_fingerprint(run, walk, caplog):
    run.resume(walk())
    run.save(walk())
    assert run.info["fingerprint"] is None
    run.load(walk())
    assert not caplog.records
