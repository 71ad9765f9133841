"""``lab demo``: traffic for the boards, and where to look."""

import time
from collections.abc import Sequence

import typer
from rich.table import Table

from lab.cli.console import ConsoleProgress, out, print_line, program
from lab.cli.opened import emulator
from lab.errors import EndpointError
from lab.observe.grafana import annotate
from lab.observe.runs import push
from lab.services import SERVICES
from lab.stack import demo as script
from lab.stack import demo_bench, demo_sessions
from lab.stack.demo import Chapter

app = typer.Typer()


@app.command()
def demo(
    short: bool = typer.Option(False, "--short", help="About one minute in place of three."),
    bench: bool = typer.Option(
        True, help="Make a small bench if there is none; else two boards may stay empty."
    ),
    sessions: bool = typer.Option(
        True, help=f"Make endpoints of {demo_sessions.MODEL} if there are none, and send sessions."
    ),
) -> None:
    """Send traffic to the running lab, so that every panel of every board has something to show.

    Steady, burst, idle, cold, and at the end inputs unlike those that the models were tested on.
    """
    progress = ConsoleProgress()
    chosen = script.SHORT if short else script.FULL
    with emulator() as client:
        if sessions and client.healthy():
            progress.note(demo_sessions.provide(client, progress))
        with progress.step("Asking each endpoint once"):
            found = script.targets(client)
        # First, for it wants the machine for itself.
        progress.note(demo_bench.provide(progress, may_run=bench))
        chapters = script.play(found, client, progress, script=chosen)
    prometheus = SERVICES["prometheus"].url()
    lacking = script.settle(prometheus, progress, seconds=chosen.settle_s)
    if lacking:
        progress.note(f"Prometheus at {prometheus} has no {', '.join(lacking)} yet.")
    out.print(_table(chapters))
    out.print()
    print_line(_where(chapters))
    _refuse_failures(chapters)


def _table(chapters: Sequence[Chapter]) -> Table:
    table = Table(box=None, pad_edge=False, title="What was sent", title_justify="left")
    left = {"from", "what it shows"}
    for heading in ("from", "answered", "refused", "throttled", "failed", "what it shows"):
        table.add_column(heading, justify="left" if heading in left else "right")
    for one in chapters:
        tally = one.tally
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(one.began)),
            *(str(n) for n in (tally.answered, tally.refused, tally.throttled, tally.failed)),
            one.look,
        )
    return table


def _where(chapters: Sequence[Chapter]) -> str:
    alerts = f"Alerts: {SERVICES['prometheus'].url()}/alerts"
    grafana = annotate.address()
    if push.answers(grafana):
        return f"Look at {grafana}/d/lab-endpoints (no password needed)\n{alerts}"
    minutes = int((time.time() - chapters[0].began) / 60) + 2
    return (
        "Grafana does not run here. Draw the same boards as one page:\n"
        f"  {program()} observe render --range {minutes}m\n{alerts}"
    )


def _refuse_failures(chapters: Sequence[Chapter]) -> None:
    for one in chapters:
        if one.tally.failed:
            raise EndpointError(
                f"{one.tally.failed} of {one.tally.sent} requests failed ({one.title}); the last:"
                f" {one.tally.last_failure}",
                remedy="See `lab endpoint list` and `lab endpoint logs NAME`.",
            )
