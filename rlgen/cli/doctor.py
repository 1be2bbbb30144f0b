"""`rlgen doctor`: what may be wrong with this machine, with the installation, or with a run."""

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rlgen.cli.options import Json, Runs, Trust, examples
from rlgen.core.findings import Finding
from rlgen.core.folder import Folder
from rlgen.core.tables import table
from rlgen.core.terminal import visible


def register(app: typer.Typer, panel: str) -> None:
    """Add the command of this file."""
    end = examples("rlgen doctor", "rlgen doctor latest", "rlgen doctor dqn-CartPole-1 --json")
    app.command("doctor", rich_help_panel=panel, epilog=end)(doctor)


def doctor(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run to examine; without it, this machine", show_default=False),
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test/--no-self-test", help="Train something small and resume it, in ten seconds")
    ] = True,
    weights: Annotated[
        bool, typer.Option("--weights/--no-weights", help="Load the run: values, codes and units are examined too")
    ] = True,
    trust: Trust = False,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Examine this machine and installation, or a run: findings with a number and a command.

    The exit code is 1 where a finding is a problem, 0 where there are notes at most.
    """
    from rlgen.report.console import activity

    facts: dict[str, Any]
    if run is None:
        with activity("examining"):
            from rlgen.doctor import machine
            from rlgen.doctor import self_test as training

            facts = {"versions": machine.versions(), "device": machine.device(), "folders": machine.folders(runs)}
            facts |= {"platform": platform.platform(), "extras": machine.extras()}
            found = [*machine.findings(runs), *(training.findings() if self_test else ())]
    else:
        folder = Folder.find(runs, run)
        with activity("examining"):
            from rlgen.doctor import runs as checks

            found = checks.findings(folder, weights, trust)
        facts = {"run": folder.name, "status": folder.status}
    problems = sum(finding.severity == "problem" for finding in found)
    if json_:
        print(json.dumps({**facts, "problems": problems, "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        print(*_facts(facts), *_lines(found), sep="\n")
        notes = len(found) - problems
        print(f"{problems} problem{'s' * (problems != 1)}, {notes} note{'s' * (notes != 1)}")
    raise typer.Exit(int(problems > 0))


def _facts(facts: dict[str, Any]) -> list[str]:
    """Facts as a table of a name and a text."""
    if "run" in facts:
        return [visible(f"{facts['run']}  {facts['status']}"), ""]
    device = facts["device"]
    rows = [["versions", "  ".join(f"{name} {version}" for name, version in facts["versions"].items())]]
    rows += [["platform", facts["platform"]]]
    cores = f"{device['cores']} CPU cores, {device['threads']} threads"
    rows += [
        ["device", f"{cores}, accelerator {device['accelerator']}, bfloat16 {'yes' if device['bfloat16'] else 'no'}"]
    ]
    for name, folder in facts["folders"].items():
        state = "" if folder["exists"] else ", not there yet"
        state += "" if folder["writable"] else ", not writable"
        rows.append([name, f"{folder['path']}, {folder['free_gib']:,} GiB free{state}"])
    installed = [extra for extra, there in facts["extras"].items() if there]
    rows.append(["extras", ", ".join(installed) or "none"])
    return [*table(rows[0], rows[1:]), ""]


def _lines(found: Iterable[Finding]) -> list[str]:
    """Problems first: severity, name, sentence, and the command in a line of its own."""
    lines = []
    for finding in sorted(found, key=lambda finding: finding.severity == "note"):
        lines.append(visible(f"{finding.severity:<9}{finding.name}: {finding.text}"))
        if finding.command:
            lines.append(visible(f"{'':<9}try `{finding.command}`"))
    return [*lines, ""] if lines else []
