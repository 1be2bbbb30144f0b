"""`rlgen rm`, `rlgen note`, `rlgen tag`: runs into the trash folder and back, and what is written on them."""

from pathlib import Path
from typing import Annotated

import typer

from rlgen.cli.options import Run, Runs, examples
from rlgen.core import labels, studies
from rlgen.core.errors import UserError
from rlgen.core.folder import TRASH, Folder
from rlgen.core.terminal import visible


def register(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file."""
    for name, command, lines in (
        ("rm", remove, ("rlgen rm dqn-CartPole-1 dqn-CartPole-2", "rlgen rm --restore dqn-CartPole-1")),
        ("note", note, ('rlgen note latest "twice the batch"', 'rlgen note dqn-CartPole-1 ""')),
        ("tag", tag, ("rlgen tag latest baseline paper", "rlgen tag latest paper --remove")),
    ):
        app.command(name, rich_help_panel=panel, epilog=examples(*lines))(command)


def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Paths, names in the folder of runs, also of studies, or latest"),
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Move runs back from the trash folder; without RUN, list its content")
    ] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Move runs, and studies with all of theirs, into the trash folder of the folder of runs. Nothing is deleted."""
    from rlgen.core import trash

    if restore:
        if not names:
            print(*map(visible, trash.contents(runs)), sep="\n", end="\n" if trash.contents(runs) else "")
        for name in names or ():
            print(visible(str(trash.restore(runs, name))))
        return
    if not names:
        raise UserError("rlgen rm takes the names of runs: `rlgen runs` lists them")
    folders = {folder.directory.absolute(): folder for folder in (_folder(runs, name) for name in names)}
    for path in trash.remove(list(folders.values())):
        where = "" if path.parent == (runs / TRASH).absolute() else f" --runs {path.parents[1]}"
        print(visible(f"{path}  back: rlgen rm --restore {path.name}{where}"))


def note(
    run: Run,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The note; empty: none. Without TEXT it is printed")
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Write a note on a run, shown by `rlgen runs` and on the page of `rlgen ui`."""
    folder = Folder.find(runs, run)
    if text is None:
        print(visible(folder.labels["note"]))
    else:
        labels.write_note(folder.directory, text)


def tag(
    run: Run,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG...", help="Single words; without any the tags are printed")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove these tags in place of adding them")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Tag a run; `rlgen runs --tag TAG` lists the runs of a tag."""
    folder = Folder.find(runs, run)
    if tags:
        (labels.remove_tags if remove else labels.add_tags)(folder.directory, tags)
    elif remove:
        raise UserError(
            f"--remove takes the tags to remove: {folder.name} has {', '.join(folder.labels['tags']) or 'none'}"
        )
    else:
        print(*map(visible, folder.labels["tags"]))


def _folder(runs: Path, name: str) -> Folder:
    """The folder of a run or of a study. Raises UserError."""
    study = studies.named(runs, name)
    return Folder(study) if study else Folder.find(runs, name)
