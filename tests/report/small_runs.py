"""Run folders with small logs."""

import json
from pathlib import Path

import numpy as np

from rlgen.report.experiments import experiments
from rlgen.report.lines import View, lines
from rlgen.report.logs import read

AGENT = {"kind": "agent", "algorithm": "dqn", "task": "CartPole", "seed": 0, "config": {"lr": 0.001, "double": True}}
MODEL = {"kind": "model", "algorithm": "gan", "task": "mnist", "seed": 0, "config": {"lr": 0.0002}}
EPISODES = [{"time": 25 * i, "seed": 0, "return": float(i % 7), "length": 25} for i in range(1, 401)]


def write(directory, info, rows, seconds=True, episodes=()):
    """A run folder with these lines in its logs."""
    directory.mkdir()
    (directory / "run.json").write_text(json.dumps({"name": directory.name, **info}))
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if episodes:
        (directory / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in episodes))
    if seconds:
        timing = [{"time": row["time"], "seconds": row["time"] / 500, "rate": 500.0} for row in rows]
        (directory / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timing))
    return directory


def write_agent(directory, seed=0, points=40, seeds=None, shift=0.0, **info):
    """A run of an agent, whose curves depend on its seed and rise by `shift`."""
    noise = np.random.default_rng(seed)
    rows = []
    for i in range(1, points + 1):
        value = i + shift + noise.normal(size=seeds)
        rows.append({"time": 100 * i, "return": np.round(value, 3).tolist(), "loss": 0.5})
        if i % 10 == 0:
            rows.append({"time": 100 * i, "eval_return": np.round(value + 1, 3).tolist()})
    return write(directory, {**AGENT, "seed": seed, **info}, rows)


def lines_of(*directories: Path, apart=False, **view):
    """The lines of runs."""
    return lines(experiments([read(directory) for directory in directories], apart), View(**view))


def words(picture):
    """The texts of the legend, each in one line."""
    (legend,) = picture.legends
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()]
