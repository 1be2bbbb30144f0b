import json

from rlgen.core.findings import Record
from rlgen.core.folder import Folder


def test_the_record_of_a_run_has_means_over_seeds_by_time(tmp_path):
    folder = Folder.create(tmp_path, "x", algorithm="dqn", task="CartPole", config={"lr": 0.1})
    rows = [{"time": 1, "loss": [1, 3]}, {"time": 2, "loss": [None, 4], "q": 5}, {"time": 3, "q": None}]
    (folder.directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = Record.of(folder)
    assert record.series == {"loss": [(1.0, 2.0), (2.0, 4.0)], "q": [(2.0, 5.0)]}
    assert record.values("loss") == [2.0, 4.0]
    assert (record.last("q"), record.last("absent")) == (5.0, None)
    assert record.config == {"lr": 0.1}
    assert record.again == f"rlgen dqn CartPole --config {folder.directory}/run.json"
