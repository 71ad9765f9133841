"""``lab observe``: dashboards, and what they show."""

import typer

from lab.cli.console import fail, out
from lab.paths import ROOT

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _verbs() -> None:
    """Metrics, dashboards, alerts."""


@app.command()
def boards(
    check: bool = typer.Option(
        False, "--check", help="Write nothing; fail if a file is not what the code makes."
    ),
) -> None:
    """Write dashboards/*.json from lab/observe/boards."""
    from lab.observe.boards import generate  # noqa: PLC0415 - the other verbs need no SDK

    if check:
        stale = generate.stale(generate.rendered())
        if stale:
            names = ", ".join(path.name for path in stale)
            fail(f"Not what the code makes: {names}.", "Write them: `lab observe boards`.")
            raise typer.Exit(1)
        out.print("The dashboards are what the code makes.")
        return
    changed = generate.write()
    for path in changed:
        out.print(f"[green]✓[/green] {path.relative_to(ROOT)}", highlight=False)
    if not changed:
        out.print("The dashboards were up to date.")
