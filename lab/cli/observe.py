"""``lab observe``: dashboards, and what they show."""

from contextlib import closing
from pathlib import Path

import typer

from lab import paths
from lab.cli.arguments import save
from lab.cli.console import ConsoleProgress, fail, out, print_line
from lab.coldstart.folder import RunFolder
from lab.errors import LabError, UsageError
from lab.paths import ROOT
from lab.services import PROJECT, SERVICES

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

    url = prometheus or SERVICES["prometheus"].url()
    options = draw.DrawOptions(range=span, given=parse_given(var))
    boards = find(folder, board)
    with Prometheus(url) as server, ConsoleProgress().step("Asking Prometheus"):
        drawn = draw.draw(boards, server, options)
    written = write_whole(file, page.render(drawn, source=f"Prometheus at {url}"))
    out.print(account.table(drawn))
    for line in account.notes(drawn):
        out.print(line, highlight=False, markup=False)
    print_line(f"\nDashboards: {written}")
    draw.refuse_failed(drawn)
    if require_data:
        draw.refuse_empty(drawn)


@app.command()
def push(
    run: str = typer.Argument("latest", help="A run's id, its folder, or latest."),
) -> None:
    """Give the Pushgateway a run's figures, or a load's, as if it had just ended."""
    from lab.loadtest.folder import LOAD_FILE, LoadFolder
    from lab.observe.runs import push as pushing

    url = pushing.address()
    if any((place / LOAD_FILE).is_file() for place in (paths.runs() / run, Path(run))):
        load = pushing.push_load(LoadFolder.find(run).path, url=url)
        print_line(f"{load.id}: pushed to {url} as the newest load of {load.target}.")
        return
    bench = pushing.push(RunFolder.find(run).path, url=url, runs=paths.runs())
    print_line(f"{bench.run.id}: pushed to {url} as the newest run of {bench.run.plan_name}.")


@app.command()
def replay(
    run: list[str] = typer.Argument(..., help="Runs' ids, their folders, or latest."),
    prometheus: str | None = typer.Option(
        None, "--prometheus", help="Its URL; the stack's own if not given."
    ),
    file: Path | None = typer.Option(
        None, "--out", help="Only write this file, as OpenMetrics: for any other Prometheus."
    ),
) -> None:
    """Bring past runs into Prometheus at the times when they happened. A second time does nothing.

    Each start is there as lab_bench_trial_start_seconds, and the run's figures for an hour after
    its end, or until the next run of its plan.
    """
    from lab.observe.render.prometheus import Prometheus
    from lab.observe.runs import replay as replaying

    folders = [RunFolder.find(name).path for name in run]
    if file is not None:
        if len(folders) > 1:
            raise UsageError("--out holds one run.", remedy="Replay one run at a time.")
        save(file, replaying.to_text(folders[0], runs=paths.runs()))
        print_line(f"OpenMetrics: {file}")
        return
    docker = _docker()
    with Prometheus(prometheus or replaying.address()) as server:
        for folder in folders:
            done = replaying.replay(
                folder,
                runs=paths.runs(),
                prometheus=server,
                docker=docker,
                progress=ConsoleProgress(),
            )
            if done.new:
                print_line(
                    f"{done.bench.run.id}: {done.samples} samples in {len(done.blocks)} block(s), "
                    f"put into {done.place}; {server.url} answers with them."
                )
            else:
                print_line(f"{done.bench.run.id}: is there already.")


@app.command()
def metrics(
    check: bool = typer.Option(
        False, "--check", help="Write nothing; fail if docs/metrics.md is not what the code makes."
    ),
) -> None:
    """Write docs/metrics.md: every metric, its labels, and where it comes from."""
    from lab.observe.metrics_page import page

    name = page.FILE.relative_to(paths.ROOT)
    text = page.render()
    if check:
        if not page.FILE.is_file() or page.FILE.read_text(encoding="utf-8") != text:
            fail(f"{name} is not what the code makes.", "Write it: `lab observe metrics`.")
            raise typer.Exit(1)
        print_line(f"{name} is what the code makes.")
        return
    page.FILE.write_text(text, encoding="utf-8")
    print_line(f"Wrote {name}.")


@app.command("check-grafana")
def check_grafana(
    url: str = typer.Option("", help="Grafana's address; else LAB_GRAFANA_URL, else the stack's."),
    prometheus: str = typer.Option("", "--prometheus", help="Else that of the stack."),
    since: str = typer.Option("1h", "--range", help="How far back data are looked for."),
    screenshots: Path = typer.Option(
        Path("build/grafana"), help="Folder for pictures of the boards."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print only what is wrong."),
) -> None:
    """Check a Grafana: health, data source, boards, every panel's query, screenshots.

    Where none answers nothing is checked: that is exit code 13, a fault is 1.
    """
    from lab.observe.grafana import annotate, check
    from lab.observe.grafana.api import Grafana
    from lab.observe.render.board import find
    from lab.observe.render.prometheus import Prometheus

    address = (url or annotate.address()).rstrip("/")
    secret = annotate.credential() if address == annotate.address() else None
    boards = find(ROOT / "dashboards")
    wrong = total = 0

    def tell(finding: check.BoardFault) -> None:
        nonlocal wrong, total
        total, wrong = total + 1, wrong + (not finding.good)
        if finding.good and quiet:
            return
        mark = "[green]✓[/green]" if finding.good else "[red]✗[/red]"
        out.print(mark, end=" ")
        print_line(f"{finding.what}: {finding.seen}")

    with (
        Grafana(address, secret) as grafana,
        Prometheus(prometheus or SERVICES["prometheus"].url()) as server,
    ):
        for finding in check.check(grafana, server, boards, since=f"now-{since}"):
            tell(finding)
    program = check.browser()
    if program is None:
        out.print("• No Chromium here: no screenshots were taken.", highlight=False)
    else:
        for board in boards:
            tell(check.screenshot(program, address, board, screenshots, since=f"now-{since}"))
    if wrong:
        raise LabError(
            f"{wrong} of {total} checks of Grafana at {address} failed.",
            remedy=f"No data: run `lab demo` first. Else see `docker logs {PROJECT}-grafana`.",
        )
    out.print(f"All {total} checks passed.", highlight=False)


def _docker() -> str | None:
    """The engine's address, if one answers: nothing is installed or started."""
    from lab.cli.down import running_engine
    from lab.engine.docker.engine import DockerEngine

    with closing(running_engine()) as engine:
        return engine.address if isinstance(engine, DockerEngine) else None
