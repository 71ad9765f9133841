"""``lab load report RUN`` and ``lab load compare RUN RUN``: figures of loads that are over."""

from pathlib import Path

import typer

from lab import paths
from lab.cli.console import out, print_line
from lab.loadtest.folder import LoadFolder
from lab.loadtest.summary import STEPS_FILE, read_steps
from lab.report.load import tables
from lab.report.load.compare import compare_loads, document
from lab.report.load.summary import results
from lab.report.load.write import write_report, write_steps
from lab.runfiles import write_whole


def report(
    run: str = typer.Argument("latest", help="A load, a search or a sweep: its id or folder."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json instead of tables."),
) -> None:
    """Make the report of a load, a search or a sweep again, and print it; latest is a load."""
    stepped = [path for path in (paths.runs() / run, Path(run)) if (path / STEPS_FILE).is_file()]
    if stepped:
        steps = read_steps(stepped[0])
        page = write_steps(steps, stepped[0])
        found, text = tables.steps_document(steps), steps.to_json()
    else:
        folder = LoadFolder.find(run)
        page = write_report(folder)
        summary = results(folder).summary
        found, text = tables.document(summary), summary.to_json()
    if as_json:
        typer.echo(text, nl=False)
        return
    out.print(found.to_terminal())
    print_line(f"\nReport: {page}")


def compare(
    first: str = typer.Argument(..., help="The load to compare with."),
    second: str = typer.Argument(..., help="The load that is compared."),
    anyway: bool = typer.Option(
        False, "--anyway", help="Also loads of different schedules, clients or payloads."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Set two loads side by side: ratios of their quantiles with intervals, and what else differs.

    Loads that were not asked the same are refused, since a ratio of them is not one of targets.
    """
    sides = [results(LoadFolder.find(one)) for one in (first, second)]
    found = compare_loads(*sides, anyway=anyway)
    path = sides[1].folder.path / "compare.md"
    write_whole(path, document(found).to_markdown())
    if as_json:
        typer.echo(found.to_json(), nl=False)
        return
    out.print(document(found).to_terminal())
    print_line(f"\nComparison: {path}")
