"""The command `rlgen play`: films of greedy episodes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rlgen.cli.inspect import load_for, suffixed
from rlgen.cli.options import Checkpoint, Run, Runs, Seed, Trust, at_least, examples, number, output
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder

ALL = -1  # in place of a step: several ages
AGES = 5  # side by side, at most


def register(app: typer.Typer, panel: str) -> None:
    """Add the command."""
    lines = ("rlgen play latest", "rlgen play dqn-CartPole-1 --thinking --at all", "rlgen play latest --out agent.mp4")
    app.command("play", rich_help_panel=panel, epilog=examples(*lines))(play)


def _age(text: str | int) -> int:
    return ALL if text in ("all", ALL) else at_least(0)(text)


def play(
    run: Run = "latest",
    out: Annotated[
        Path | None, output("--out", "A GIF, or an MP4 with ffmpeg; by default play.gif in the folder of the run")
    ] = None,
    episodes: Annotated[int, number("--episodes", "Number of episodes")] = 1,
    thinking: Annotated[
        bool,
        typer.Option("--thinking", help="Q-values of each step, and V(s) against the return that followed"),
    ] = False,
    seed: Seed = 0,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            parser=_age,
            metavar="STEP",
            help=f"Weights at the evaluation nearest to this step; all: at most {AGES} ages side by side",
            show_default=False,
        ),
    ] = None,
    checkpoint: Checkpoint = "last",
    trust: Trust = False,
    runs: Runs = Path("runs"),
) -> None:
    """Record greedy episodes of a trained agent as a GIF or an MP4."""
    folder, load = load_for("play", runs, run, checkpoint, None if at == ALL else at, trust)
    from rlgen import evaluation
    from rlgen.report import video
    from rlgen.report.console import activity

    path = suffixed(out or folder.directory / "play.gif", *video.SUFFIXES)
    if path.suffix.lower() == ".mp4":
        video.ffmpeg()  # before any episode is played
    values = thinking or at == ALL
    if values and episodes > 1:
        raise UserError(f"--episodes {episodes}: --thinking and --at all show one episode; --seed gives another")
    if values:
        from rlgen.film import film

        ages = [load()] if at != ALL else [_at(folder, time, trust) for time in _times(folder)]
        with activity("recording"):
            titles = [folder.name] if len(ages) == 1 else [f"after {age.time:,} steps" for age in ages]
            made = film(ages, titles, seed, thinking)
            video.write(made.frames, path, made.fps)
        returns = made.returns
    else:
        agent = load()
        with activity("recording"):
            frames, returns, fps = evaluation.record(agent, episodes, seed)
            video.write(frames, path, fps)
    print(f"{path}  return {', '.join(f'{x:,.1f}' if abs(x) >= 10 else f'{x:.3f}' for x in returns)}")


def _times(folder: Folder) -> list[int]:
    """Times of at most `AGES` portraits, closer to each other at the start. Raises UserError without any."""
    import numpy as np

    from rlgen.core import portraits
    from rlgen.report.pictures import spread

    times = portraits.times(folder.directory)
    if not times:
        portraits.nearest(folder.directory, 0)
    return spread(times, AGES, np.geomspace)


def _at(folder: Folder, time: int, trust: bool) -> Any:
    from rlgen import session

    return session.restore(folder, "last", time, trust)
