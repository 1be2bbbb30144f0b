"""`rlgen export`, and `--tensorboard` of a training."""

from pathlib import Path


def test_csv_and_event_files(rlgen, trained):
    code, out, _ = rlgen("export", "latest", "--csv", "--tensorboard")
    assert code == 0
    folder = Path(trained["run"])
    assert out == f"{folder}/metrics.csv\n{folder}/tensorboard  shown by: tensorboard --logdir {folder}/tensorboard\n"
    assert (folder / "metrics.csv").read_text().startswith("time,seconds,")
    assert rlgen("export", "latest", "--csv", "--out", "a/b.csv")[1] == "a/b.csv\n"
    assert Path("a/b.csv").read_text() == (folder / "metrics.csv").read_text()
    assert rlgen("export", "latest", "--tensorboard", "--out", "events")[0] == 0
    assert len(list(Path("events").iterdir())) == 1


def test_bad_choices_are_one_line(rlgen, trained):
    assert "takes --csv, --parquet or --tensorboard" in rlgen("export", "latest")[2]
    code, _, err = rlgen("export", "latest", "--csv", "--tensorboard", "--out", "x")
    assert code == 2
    assert "--out x is one path" in err
    Path(trained["run"], "metrics.jsonl").write_text("")
    for option in ("--csv", "--tensorboard"):
        code, _, err = rlgen("export", "latest", option)
        assert code == 2
        assert "no metrics yet" in err
