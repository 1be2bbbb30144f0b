"""Options of a command, made from settings dataclasses."""

import math
from typing import Annotated, Literal

import pytest
import typer
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from typer.testing import CliRunner

from rlgen.cli.options import Quiet, at_least, whole, with_settings
from rlgen.core.settings import Plan


@dataclass(frozen=True)
class Settings:
    """Some settings."""

    # First panel
    lr: Annotated[float, Field(gt=0)] = 0.1  # step size, # and all
    batch_size: PositiveInt = 64  # images (B)
    # Second panel
    loss: Literal["huber", "mse"] = "huber"  # which one
    double: bool = False  # twice
    size: int | None = None  # pixels


def run_command(*words, preset=None):
    """What a command receives, (given, rest); or exit code and output where the command line is refused."""
    received = []
    app = typer.Typer()

    def train(given, task: str, quiet: Quiet = False):
        received.append((given, {"task": task, "quiet": quiet}))

    app.command()(with_settings(train, (Settings, Plan), preset or {}))
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200", "NO_COLOR": "1"})
    return received[0] if received else (result.exit_code, result.output)


def test_only_what_is_typed_is_given():
    assert run_command("CartPole") == ({}, {"task": "CartPole", "quiet": False})
    words = (
        "x",
        "--lr",
        0.5,
        "--batch-size",
        64,
        "--double",
        "--loss",
        "mse",
        "--budget",
        10,
        "--stop-at",
        "inf",
        "--quiet",
    )
    given = {"lr": 0.5, "batch_size": 64, "double": True, "loss": "mse", "budget": 10, "stop_at": math.inf}
    assert run_command(*words) == (given, {"task": "x", "quiet": True})
    assert run_command("x", "--no-double")[0] == {"double": False}


def test_help_shows_comments_panels_and_the_defaults_that_hold():
    code, text = run_command("--help", preset={"batch_size": 32})
    assert code == 0
    for part in ("First panel", "Second panel", "Step size, # and all", "default: 32", "default: 0.1", "--no-double"):
        assert part in text
    assert "default: 64" not in text


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--batch-size", "many"], "--batch-size"), (["--loss", "l3"], "--loss"), (["--lrr", "1"], "--lrr"), ([], "task")],
)
def test_what_cannot_be_parsed_is_refused_by_its_flag(words, named):
    code, text = run_command(*(["x"] if words else []), *words)
    assert code == 2
    assert named in text


@pytest.mark.parametrize("text", ["100000", "100_000", "100,000", "1e5", "1E5", "0.1e6", " 100000 ", "100000.0"])
def test_an_integer_as_people_write_it(text):
    assert whole(text) == 100_000
    assert run_command("x", "--budget", text)[0] == {"budget": 100_000}


def test_an_integer_keeps_every_digit():
    assert whole("9007199254740993") == 9_007_199_254_740_993  # not a double


@pytest.mark.parametrize("text", ["", "many", "2.5", "1e-5", "nan", "inf", "1e999", "0x10", "--5"])
def test_what_is_no_integer_is_refused(text):
    with pytest.raises(typer.BadParameter, match="is not an integer"):
        whole(text)


def test_an_integer_below_its_minimum_is_refused():
    assert at_least(2)("2") == 2
    with pytest.raises(typer.BadParameter, match="1 is less than 2"):
        at_least(2)("1")
