"""Small run folders for tests of the page: logs, pictures, reports."""

import json

from PIL import Image

from rlgen.core.folder import Folder

CONFIG = {"seeds": 1, "lr": 0.001}


def agent(runs, name, rows, seed=0, seeds=1, episodes=(), **facts):
    """The folder of a run of DQN on CartPole with these rows of metrics, a second per 100 steps."""
    config = {**CONFIG, "seeds": seeds, **facts.pop("config", {})}
    return write(runs, name, rows, kind="agent", algorithm="dqn", task="CartPole", seed=seed, config=config,
                 argv=["rlgen", "dqn", "CartPole", "--seed", str(seed)], episodes=episodes, **facts)  # fmt: skip


def model(runs, name, times, seed=0, **facts):
    """The folder of a run of a VAE on digits with samples at these times, each of a grey that grows with time."""
    rows = [{"time": time, "nats": 40 - time / 100, "eval_nats": 41 - time / 100} for time in times]
    directory = write(runs, name, rows, kind="model", algorithm="vae", task="digits", seed=seed, config=CONFIG,
                      argv=["rlgen", "vae", "digits"], **facts)  # fmt: skip
    (directory / "samples").mkdir()
    for i, time in enumerate(times):
        Image.new("L", (16, 16), 40 * i).save(directory / "samples" / f"{time:09d}.png")
    Image.new("RGB", (400, 300), "red").save(directory / "evolution.png")
    return directory


def write(runs, name, rows, status="finished", result=None, episodes=(), **facts):
    end = max((row["time"] for row in rows), default=0)
    known = {"plan": {"budget": max(1000, end)}, "changed": {"lr": 0.001}, "time": end, "seconds": end / 100,
             "versions": {"torch": "2.13.0"}, "device": "cpu", "parameters": 1234}  # fmt: skip
    folder = Folder.create(runs, "run", name, **{**known, **facts})
    folder.describe(status=status, **({"result": result} if result else {}))
    log(folder.directory / "metrics.jsonl", rows)
    log(
        folder.directory / "timing.jsonl",
        [{"time": t, "seconds": t / 100, "rate": 100.0} for t in range(100, end + 1, 100)],
    )
    if episodes:
        log(folder.directory / "episodes.jsonl", episodes)
    if result:
        (folder.directory / "report.json").write_text(json.dumps(result))
    return folder.directory


def log(path, rows, mode="w"):
    """Write or append lines."""
    with path.open(mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def ramp(end=1000, step=100, top=1.0, seeds=1):
    """Rows of a return that grows to `top`, of each seed more than of the one before; a greedy evaluation each time."""
    rows = []
    for time in range(0, end + 1, step):
        value = top * time / end
        values = value if seeds == 1 else [value + s for s in range(seeds)]
        rows.append({"time": time, "return": values, "eval_return": values, "epsilon": 1 - time / end})
    return rows
