"""``lab load search``: the highest rate at which a target keeps an objective."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from lab import paths
from lab.cli import console
from lab.cli.flags import flags
from lab.cli.load_flags import TARGET_HELP, TargetFlags, parse_share
from lab.errors import UsageError
from lab.units import parse_per_second, parse_seconds

if TYPE_CHECKING:
    from lab.loadtest.search_steps import SearchResult
    from lab.report.document import Document

_RATE = "Like 20, 20/s or 90/min"


@dataclass(frozen=True, kw_only=True)
class SearchOptions(TargetFlags):
    """The flags of ``lab load search``."""

    target: Annotated[str, typer.Argument(help=TARGET_HELP)]
    arrivals: Annotated[str, typer.Option(help="poisson, constant, gamma:cv=3 or mmpp:idc=30.")] = (
        "poisson"
    )
    step: Annotated[
        str, typer.Option(metavar="TIME", help="Of each rate; longer where it has too few.")
    ] = "10s"
    start: Annotated[
        str | None,
        typer.Option(metavar="RATE", help=f"{_RATE}: the first. Else half of one client's."),
    ] = None
    most: Annotated[
        str | None, typer.Option(metavar="RATE", help=f"{_RATE}: none above it is tried.")
    ] = None
    resolution: Annotated[
        str, typer.Option(metavar="SHARE", help="How near the knee's neighbours must be.")
    ] = "5%"
    as_json: Annotated[bool, typer.Option("--json", help="Print the steps as JSON.")] = False


@flags
def search(options: SearchOptions) -> None:
    """Find the highest rate that keeps an objective: --p95 200ms --errors 0.1%.

    The rate is doubled, then bisected; a step passes when the upper confidence bound of the
    quantile does. The rates beside the knee are run twice. Without --errors none may fail. The
    exit code is 16 when the generator was the limit. Ctrl-C keeps the steps that there are.
    """
    from lab.loadtest.search import SearchPlan
    from lab.loadtest.search import search as find
    from lab.loadtest.targets.find import asked_by_default, opened
    from lab.lock import bench_lock
    from lab.report.load.write import write_steps

    objective = options.objective()
    if objective is None:
        raise UsageError(
            "A search needs an objective.", remedy="Add one, like --p95 200ms --errors 0.1%."
        )
    progress = console.ConsoleProgress()
    payloads = options.payloads()
    how = options.how(payloads)
    plan = SearchPlan(
        payloads=payloads,
        objective=objective,
        arrivals=options.arrivals,
        step_s=parse_seconds(options.step),
        start_per_s=None if options.start is None else parse_per_second(options.start),
        most_per_s=None if options.most is None else parse_per_second(options.most),
        resolution=parse_share(options.resolution),
        seed=options.seed or 0,
        timeout_s=options.timeout_s,
    )
    plan.check()
    with bench_lock("A search"), opened(options.target, how=how, progress=progress) as target:
        sent = payloads or [asked_by_default(target.record, options.model)]
        found = find(target, plan.sending(sent), progress=progress)
    page = write_steps(found.summary(), paths.runs() / found.id)
    if options.as_json:
        typer.echo(found.to_json(), nl=False)
        return
    console.out.print(document(found).to_terminal())
    console.print_line(f"\nReport: {page}")


def document(found: "SearchResult") -> "Document":
    """Every step in the order in which it was run, and the answer."""
    from lab.report.document import Document, Table, left
    from lab.report.words import percent, seconds

    name = f"p{found.objective.q * 100:g}"
    return Document(
        title=f"Search on {found.target}",
        about=f"{found.objective}; {found.arrivals} arrivals",
        answer=found.sentence(),
        tables=[
            Table(
                columns=[
                    *("asked/s", "answered/s", "requests", "failed", name, "at most"),
                    left(""),
                ],
                rows=[
                    [
                        *(f"{one.rate:g}", f"{one.summary.achieved_per_s:.1f}"),
                        *(str(one.summary.n), percent(one.summary.error_share)),
                        *(seconds(one.seconds), seconds(one.bound_s), str(one.verdict)),
                    ]
                    for one in found.steps
                ],
            )
        ],
    )
