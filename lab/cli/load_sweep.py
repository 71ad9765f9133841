"""``lab load sweep``: closed loops of 1, 2, 4, ... clients."""

from dataclasses import dataclass
from typing import Annotated

import typer

from lab import paths
from lab.cli import console
from lab.cli.flags import flags
from lab.cli.load_flags import TARGET_HELP, TargetFlags
from lab.units import parse_seconds


@dataclass(frozen=True, kw_only=True)
class SweepOptions(TargetFlags):
    """The flags of ``lab load sweep``."""

    target: Annotated[str, typer.Argument(help=TARGET_HELP)]
    clients: Annotated[int, typer.Option(min=1, help="The most: 1, 2, 4, ... up to it.")] = 32
    step: Annotated[str, typer.Option(metavar="TIME", help="Of each number of clients.")] = "10s"
    as_json: Annotated[bool, typer.Option("--json", help="Print the steps as JSON.")] = False


@flags
def sweep(options: SweepOptions) -> None:
    """Load with 1, 2, 4, ... clients that each send again when they are answered.

    It shows how much a target can do. That it keeps an objective it does not show: a closed loop
    sends less the slower the target gets. For that there is `lab load search`.
    """
    from lab.loadtest.sweep import SweepPlan, doubled
    from lab.loadtest.sweep import sweep as run
    from lab.loadtest.targets.find import asked_by_default, opened
    from lab.lock import bench_lock
    from lab.report.load.tables import steps_document
    from lab.report.load.write import write_steps

    progress = console.ConsoleProgress()
    payloads = options.payloads()
    how = options.how(payloads)
    step_s, clients = parse_seconds(options.step), doubled(options.clients)
    with bench_lock("A sweep"), opened(options.target, how=how, progress=progress) as target:
        plan = SweepPlan(
            payloads=payloads or [asked_by_default(target.record, options.model)],
            clients=clients,
            step_s=step_s,
            seed=options.seed or 0,
            timeout_s=options.timeout_s,
        )
        found = run(target, plan, progress=progress)
    steps = found.summary()
    page = write_steps(steps, paths.runs() / found.id)
    if options.as_json:
        typer.echo(found.to_json(), nl=False)
        return
    console.out.print(steps_document(steps).to_terminal())
    console.print_line(f"\nReport: {page}")
