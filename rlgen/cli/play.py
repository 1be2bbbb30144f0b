"""The command `rlgen play`: films of greedy episodes."""

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from rlgen.cli.inspect import load_for, suffixed
from rlgen.cli.options import Checkpoint, Run, Runs, Seed, Trust, at_least, examples, number, output
from rlgen.core.errors import UserError
from rlgen.core.failures import NAME, kept_in
from rlgen.core.folder import Folder
from rlgen.core.terminal import show
from rlgen.core.trust import check

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
    episode: Annotated[
        Path | None,
        typer.Option(
            "--episode",
            metavar="FILE",
            help=f"Episode in which an environment failed, played again up to the failure: the {NAME} of a run",
            show_default=False,
        ),
    ] = None,
    trust: Trust = False,
    runs: Runs = Path("runs"),
) -> None:
    """Record greedy episodes of a trained agent as a GIF or an MP4."""
    if episode is not None:
        _repeat(episode, out, trust)
        return
    folder, load = load_for("play", runs, run, checkpoint, None if at == ALL else at, trust)
    from rlgen import evaluation
    from rlgen.report import video
    from rlgen.report.console import activity

    path = _film(out or folder.directory / "play.gif")
    values = thinking or at == ALL
    if values and episodes > 1:
        raise UserError(f"--episodes {episodes}: --thinking and --at all show one episode; --seed gives another")
    if values:
        from rlgen.film import film

        ages = [load()] if at != ALL else [_at(folder, time, trust) for time in _times(folder)]
        with activity("recording"), kept_in(folder.directory):
            titles = [folder.name] if len(ages) == 1 else [f"after {age.time:,} steps" for age in ages]
            made = film(ages, titles, seed, thinking)
            if out is None:
                folder.require()  # removed in the meantime, it does not come back
            video.write(made.frames, path, made.fps)
        returns = made.returns
    else:
        agent = load()
        with activity("recording"), kept_in(folder.directory):
            frames, returns, fps = evaluation.record(agent, episodes, seed)
            if out is None:
                folder.require()  # removed in the meantime, it does not come back
            video.write(frames, path, fps)
    show(f"{path}  return {', '.join(f'{x:,.1f}' if abs(x) >= 10 else f'{x:.3f}' for x in returns)}")


def _repeat(file: Path, out: Path | None, trust: bool) -> None:
    """Film an episode that failed, and end with the same failure."""
    from rlgen.report.console import activity

    with activity("loading"):
        from rlgen.envs.failed_episode import Repetition, read
        from rlgen.film import repeated
        from rlgen.report import video
    path, episode = _film(out or file.with_suffix(".gif")), read(file)
    if not trust:
        check(str(file), episode.environment.rpartition(":")[0] or None)
    played = Repetition(episode)
    with activity("recording"):
        frames = repeated(played)
        first = next(frames, None)
        if first is not None:
            video.write(chain([first], frames), path, played.fps)
    steps = f"{len(played.rewards):,} of {len(episode.actions):,} steps  return {sum(played.rewards):,.6g}"
    show(f"{path if first is not None else f'{played.name} draws no pictures'}  {steps}")
    if played.failure is not None:
        raise played.failure
    print("the episode did not fail again: its environment has changed, or is not deterministic", file=sys.stderr)


def _film(path: Path) -> Path:
    """The path. Raises UserError, before any episode is played, where no film can be written there."""
    from rlgen.report import video

    if suffixed(path, *video.SUFFIXES).suffix.lower() == ".mp4":
        video.ffmpeg()
    return path


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
