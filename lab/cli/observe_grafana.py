"""``lab observe check-grafana``: the boards in a real Grafana."""

from pathlib import Path

import typer

from lab.cli.console import out
from lab.errors import LabError
from lab.paths import ROOT
from lab.services import PROJECT


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
    from lab.services import SERVICES

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
        out.print(f"{finding.what}: {finding.seen}", markup=False, highlight=False, soft_wrap=True)

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
            remedy=f"No data: run `make demo` first. Else see `docker logs {PROJECT}-grafana`.",
        )
    out.print(f"All {total} checks passed.", highlight=False)
