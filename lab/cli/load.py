"""``lab load``: requests by a schedule, whatever has become of those before them."""

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from lab.cli import console
from lab.cli.flags import flags
from lab.cli.load_flags import TARGET_HELP, TargetFlags
from lab.errors import ContainerFailedError, EndpointError, LabError, UsageError
from lab.loadtest.record import TargetKind

if TYPE_CHECKING:
    from lab.load.arrivals.schedule import Schedule
    from lab.loadtest.folder import LoadFolder
    from lab.loadtest.runner import LoadPlan
    from lab.loadtest.targets.api import Target

_RUN: Final = "run"
_OTHERS: Final = {
    "schedule": ("load_schedule", "Show what a schedule holds: how many, how fast, how bursty."),
    "search": ("load_search", "The highest rate at which a target keeps an objective."),
    "sweep": ("load_sweep", "A closed loop of 1, 2, 4, ... clients: what a target does at most."),
    "study": ("load_study", "The study's own protocols, and its tables beside."),
    "report": ("load_report", "Write a load's report again."),
    "compare": ("load_report", "Two loads side by side."),
}
"""Each a function of that name in a module of ``lab.cli``, imported when it is asked for."""


class _LoadGroup(TyperGroup):
    """What is no command of its own begins a load: ``lab load TARGET SCHEDULE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``run`` in front of a target, or of its flags."""
        helps = ctx.help_option_names
        if args and args[0] not in {*self.list_commands(ctx), *helps}:
            args = [_RUN, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """Without those whose module is not there."""
        del ctx
        return [_RUN, *(name for name, (module, _) in _OTHERS.items() if _is_there(module))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the one that was asked for."""
        if cmd_name == _RUN or cmd_name not in self.list_commands(ctx):
            return super().get_command(ctx, cmd_name)
        module, said = _OTHERS[cmd_name]
        made = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        found = getattr(importlib.import_module(f"lab.cli.{module}"), cmd_name)
        made.command(cmd_name)(found)
        command = typer.main.get_command(made)
        command.help = command.help or said
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """From the table above: help must not import all."""
        rows = [(_RUN, "Load TARGET by SCHEDULE; may be left out.")]
        there = self.list_commands(ctx)
        rows += [(name, said) for name, (_, said) in _OTHERS.items() if name in there]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _is_there(module: str) -> bool:
    return find_spec(f"lab.cli.{module}") is not None


app = typer.Typer(
    cls=_LoadGroup,
    no_args_is_help=True,
    help="Load an image, an endpoint or a URL by a schedule: lab load TARGET SCHEDULE.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True, kw_only=True)
class LoadOptions(TargetFlags):
    """The flags of ``lab load run``."""

    target: Annotated[str | None, typer.Argument(help=TARGET_HELP)] = None
    schedule: Annotated[
        str | None,
        typer.Argument(help="Like poisson:rate=20,for=60s, or a file; see `lab load schedule`."),
    ] = None
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this load, or with the latest.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False


@app.callback()
def _root() -> None:
    """Load an image, an endpoint or a URL by a schedule: lab load TARGET SCHEDULE."""


@app.command(_RUN)
@flags
def run(options: LoadOptions) -> None:
    """Send requests at a schedule's instants, whatever has become of those before them.

    Latency counts from the instant at which a request was due. The exit code is 16 when the
    generator itself did not keep the schedule: then the figures say nothing of the target. Ctrl-C
    keeps what there is.
    """
    from lab.loadtest import runner
    from lab.loadtest.folder import LoadFolder
    from lab.loadtest.targets.find import opened
    from lab.lock import bench_lock

    progress = console.ConsoleProgress()
    before = None if options.resume is None else LoadFolder.find(options.resume)
    target_text, schedule = _asked(options, before)
    payloads = options.payloads()
    sent = None if before is None or not before.requests_path.exists() else before.requests()
    how = options.how(payloads, before=sent)
    spent = ""
    with bench_lock("A load"), opened(target_text, how=how, progress=progress) as target:
        plan = _plan(options, target, schedule, payloads, before)
        folder = before or runner.begin(target, plan, engine=_engine(target))
        spent = _loaded(target, plan, folder, progress)
    _report(folder, options, spent, progress)


def _asked(options: LoadOptions, before: "LoadFolder | None") -> "tuple[str, Schedule | None]":
    """The target and the schedule; of a load that goes on its own where none is given."""
    from lab.load.arrivals.parse import parse
    from lab.loadtest.resume import target_text

    if before is None:
        if options.target is None or options.schedule is None:
            raise UsageError(
                "A load needs a target and a schedule.",
                remedy="Write `lab load TARGET SCHEDULE`, like "
                "`lab load onnx-slim poisson:rate=20,for=60s`.",
            )
        return options.target, parse(options.schedule, seed=options.seed)
    schedule = before.schedule()
    if options.schedule is not None:
        schedule = parse(options.schedule, seed=options.seed)
    return options.target or target_text(before.load().target), schedule


def _plan(
    options: LoadOptions,
    target: "Target",
    schedule: "Schedule | None",
    payloads: Any,
    before: "LoadFolder | None",
) -> "LoadPlan":
    """What is sent; refused when it is not what the load was begun with."""
    from lab.loadtest.resume import refuse_another
    from lab.loadtest.runner import LoadPlan, planned
    from lab.loadtest.targets.find import asked_by_default

    load = None if before is None else before.load()
    objective = options.objective()
    plan = LoadPlan(
        schedule=schedule,
        closed=None if load is None or schedule is not None else load.closed,
        payloads=payloads or [asked_by_default(target.record, options.model)],
        objective=objective if load is None or objective is not None else load.objective,
        seed=load.seed if load is not None and options.seed is None else options.seed or 0,
        timeout_s=options.timeout_s,
        protocol=None if load is None else load.protocol,
    )
    if load is not None:
        refuse_another(load, planned(target, plan))
    return plan


def _engine(target: "Target") -> Any:
    from lab.loadtest.targets.image import ImageTarget

    return target.facts if isinstance(target, ImageTarget) else None


def _loaded(
    target: "Target", plan: "LoadPlan", folder: "LoadFolder", progress: console.ConsoleProgress
) -> str:
    """Send all; why it ended early, if what it may cost ended it."""
    from lab.aws.model import AwsError
    from lab.loadtest import runner
    from lab.loadtest.targets.aws import SpentError

    sent = folder.requests().number if folder.requests_path.exists() else ()
    if plan.schedule is not None and len(sent) and max(sent) + 1 >= len(plan.schedule):
        progress.note(f"{folder.path.name} is complete: nothing is left to send.")
        return ""
    try:
        runner.run(target, plan, progress=progress, folder=folder)
    except SpentError as bound:
        return f"{bound.what} {bound.remedy} `lab load --resume {folder.path.name}`."
    except AwsError:
        progress.note(f"What was answered is kept in {folder.path}.")
        raise
    return ""


def _report(
    folder: "LoadFolder", options: LoadOptions, spent: str, progress: console.ConsoleProgress
) -> None:
    """Write and print it; raise what makes its figures doubtful."""
    from lab.loadtest import runner
    from lab.loadtest.summary import read_load_summary
    from lab.report.load.tables import document
    from lab.report.load.write import write_report

    page = write_report(folder)
    summary = read_load_summary(folder.path)
    if options.as_json:
        typer.echo(summary.to_json().rstrip())
        if (generator := summary.generator) is not None:
            progress.note(
                f"Generator: {generator.late_p99_s * 1e3:.2f} ms late in the p99, where "
                f"{generator.limit_s * 1e3:.2g} ms are allowed; {generator.cpu_share:.0%} of a CPU."
            )
    else:
        console.out.print(document(summary).to_terminal())
        console.print_line(f"\nReport: {page}")
    if spent:
        progress.note(spent)
    runner.refuse_invalid(folder)
    last = folder.sittings()[-1:]
    if last and last[0].cause:
        raise _died(folder, last[0].cause)


def _died(folder: "LoadFolder", cause: str) -> LabError:
    record = folder.load().target
    kind = EndpointError if record.kind in {TargetKind.ENDPOINT, TargetKind.AWS} else None
    return (kind or ContainerFailedError)(
        f"{record} did not live through it: {cause}",
        remedy="What was answered until then, and what failed after it, is in the report.",
    )
