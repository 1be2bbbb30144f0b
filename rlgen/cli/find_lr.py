"""`rlgen find-lr`: the learning-rate range test of an algorithm on a task, with a picture and a suggestion."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rlgen import catalog
from rlgen.cli.options import Json, annotation, examples, number, output, with_options
from rlgen.core.config import options, words

END = examples("rlgen find-lr classify mnist --network lenet5", "rlgen find-lr vae mnist --end 1 --json")
FORMATS = (".png", ".pdf", ".svg")


def register(app: typer.Typer, panel: str) -> None:
    """Add a stub, which `command` replaces when it is called."""
    app.command("find-lr", help="Find a learning rate by a test of rising rates.", rich_help_panel=panel)(lambda: None)


def command(words: list[str]) -> Any:
    """The full command, with an option for each setting of the algorithm that is named in `words`."""
    from rlgen.core.settings import Setup

    entry = next((catalog.CATALOG[word] for word in words if word in catalog.CATALOG), None)
    settings = (entry.config, Setup) if entry else ()
    given = {o.name: annotation(o, {}) for each in settings for o in options(each)}
    typed = typer.Typer(add_completion=False)
    names = {"help_option_names": ["-h", "--help"]}
    typed.command("find-lr", epilog=END, context_settings=names)(with_options(find_lr, "given", given))
    return typer.main.get_command(typed)


def find_lr(
    given: dict[str, Any],
    algorithm: Annotated[str, typer.Argument(metavar="ALGORITHM", help="A command that trains, such as classify")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="What it trains on, such as mnist")],
    start: Annotated[float, typer.Option("--start", min=1e-12, help="First learning rate")] = 1e-7,
    end: Annotated[float, typer.Option("--end", min=1e-12, help="Last learning rate")] = 10.0,
    steps: Annotated[int, number("--steps", "Gradient steps of the test", 10)] = 100,
    out: Annotated[Path | None, output("--out", "Picture, .png, .pdf or .svg; by default find-lr-TASK.png")] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Another preset of the task, such as long", show_default=False)
    ] = None,
    json_: Json = False,
) -> None:
    """Find a learning rate: the loss while the rate rises exponentially, one gradient step each.

    All options of the algorithm are options here. The valley, in the middle of the fall of the smoothed loss, is the
    suggestion; steepest is where the loss falls fastest.
    """
    from rlgen.core.errors import UserError
    from rlgen.report import learning_rates
    from rlgen.report.console import activity

    entry = catalog.find(algorithm)
    if "lr" in given:
        raise UserError("--lr is what find-lr finds: leave it out")
    if not start < end:
        raise UserError(f"--start {start:g} is not below --end {end:g}")
    out = out or Path(f"find-lr-{entry.name}-{Path(task).name}.png")
    if out.suffix not in FORMATS:
        raise UserError(f"--out {out}: the name must end in {', '.join(FORMATS)}")
    with activity("loading", quiet=json_):
        from rlgen import preparation
        from rlgen.core.optim.find_lr import sweep
    task, notice = preparation.canonical(entry, task, data=given.get("data"))
    if notice:
        print(notice, file=sys.stderr)
    config, setup, _ = preparation.settings_of(entry, preparation.preset_names(entry, task, preset, given), given)
    with activity("testing learning rates", quiet=json_):
        made = preparation.make(entry, task, config, setup, given)
        found = sweep(made, start, end, steps)
    marks = {"valley": found.valley, "steepest": found.steepest}
    typed = [entry.name, task, *words(given)]
    learning_rates.draw(found.rates, found.losses, found.smoothed, marks, " ".join(typed), out)
    use = f"rlgen {' '.join(typed)} --lr {found.valley:.2g}"
    if json_:
        curve = {"rates": found.rates, "losses": found.losses, "smoothed": found.smoothed}
        print(json.dumps({**marks, "command": use, "picture": str(out), **curve}))
        return
    print(f"valley    {found.valley:.2g}\nsteepest  {found.steepest:.2g}\npicture   {out}\nnext      {use}")
