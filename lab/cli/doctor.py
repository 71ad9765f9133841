"""``lab doctor``."""

import json
from typing import Final

import typer
from rich.table import Table

from lab.cli.console import out
from lab.engine.doctor.findings import CheckState, examine
from lab.engine.doctor.prerequisites import all_checks, runnable
from lab.stack.checks import checks as stack_checks

app = typer.Typer()

_STYLES: Final = {CheckState.OK: "green", CheckState.DEGRADED: "yellow", CheckState.MISSING: "red"}
_MARKS: Final = {CheckState.OK: "✓", CheckState.DEGRADED: "!", CheckState.MISSING: "✗"}
_NOTHING_RUNS: Final = 3


@app.command()
def doctor(
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """List every prerequisite as ok, degraded or missing, with the remedy.

    The exit code is 0 as long as something can run: containers, or at least processes.
    """
    found = examine([*all_checks(), *stack_checks()])
    runs_on = runnable(found)
    if as_json:
        checks = [
            {
                "name": name,
                "state": finding.state.value,
                "detail": finding.detail,
                "remedy": finding.remedy,
            }
            for name, finding in found.items()
        ]
        typer.echo(json.dumps({"schema": 1, "runs_on": runs_on, "checks": checks}, indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        table.add_column("what", no_wrap=True)
        table.add_column("found", overflow="fold")
        for name, finding in found.items():
            style = _STYLES[finding.state]
            table.add_row(f"[{style}]{_MARKS[finding.state]}", name, _plain(finding.detail))
            if finding.remedy:
                table.add_row("", "", f"[{style}]→[/{style}] {_plain(finding.remedy)}")
        out.print(table)
        says = {
            "docker": "The lab can run containers here.",
            "process": "The lab can run here, without containers (LAB_ENGINE=process).",
            None: "Nothing can run here yet: see the remedies above.",
        }
        out.print(says[runs_on])
    if runs_on is None:
        raise typer.Exit(_NOTHING_RUNS)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
