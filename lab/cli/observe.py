"""``lab observe``: dashboards, and what they show."""

from pathlib import Path

import typer

from lab.cli import observe_grafana, observe_runs
from lab.cli.console import ConsoleProgress, fail, out
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
    from lab.observe.boards import generate

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


@app.command()
def render(
    board: list[str] = typer.Option([], help="A board's uid or file; again for more. Else all."),
    file: Path = typer.Option(Path("dashboards.html"), "--out", help="The page that is written."),
    prometheus: str = typer.Option("", help="Its address; else that of the stack."),
    span: str = typer.Option("", "--range", help="How far back, such as 1h; else as each board."),
    var: list[str] = typer.Option([], help="name=value for a variable; again for more values."),
    require_data: bool = typer.Option(
        False, "--require-data", help="Fail if a panel of any board has no data."
    ),
    folder: Path = typer.Option(
        ROOT / "dashboards",
        "--dashboards",
        help="Where the files are. What no board of the lab uses is named in its place, not drawn.",
    ),
) -> None:
    """Draw the dashboards from the live Prometheus as one HTML page, without Grafana."""
    from lab.observe.render import account, draw, page
    from lab.observe.render.board import find
    from lab.observe.render.prometheus import Prometheus
    from lab.observe.render.variables import parse_given
    from lab.runfiles import write_whole
    from lab.services import SERVICES

    url = prometheus or SERVICES["prometheus"].url()
    options = draw.DrawOptions(range=span, given=parse_given(var))
    boards = find(folder, board)
    with Prometheus(url) as server, ConsoleProgress().step("Asking Prometheus"):
        drawn = draw.draw(boards, server, options)
    written = write_whole(file, page.render(drawn, source=f"Prometheus at {url}"))
    out.print(account.table(drawn))
    for line in account.notes(drawn):
        out.print(line, highlight=False, markup=False)
    out.print(f"\nDashboards: {written}", markup=False, highlight=False, soft_wrap=True)
    draw.refuse_failed(drawn)
    if require_data:
        draw.refuse_empty(drawn)


for _verb in (observe_runs.push, observe_runs.replay, observe_runs.metrics):
    app.command()(_verb)
app.command("check-grafana")(observe_grafana.check_grafana)
