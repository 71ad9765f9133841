"""``lab coldstart``: cold starts, measured phase by phase."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lab import paths
from lab.artifacts import store
from lab.cli import console
from lab.cli.arguments import full_names
from lab.cli.flags import flags
from lab.coldstart import planfile, runner, schedule
from lab.coldstart.folder import RunFolder
from lab.coldstart.plan import OwnImage, Plan
from lab.contenttype import content_type_of
from lab.errors import UsageError
from lab.images.variants import VARIANTS
from lab.report.formats.terminal import summary_table
from lab.report.formats.write import write_report
from lab.spec import StartKind
from lab.units import parse_rate

app = typer.Typer(no_args_is_help=True, help="Cold starts, measured phase by phase.")

DEFAULT_PLAN = "default"
OWN_PLAN = "own"


@dataclass(frozen=True, kw_only=True)
class ColdstartOptions:
    """The flags of ``lab coldstart run``; None where one was not given."""

    plan: Annotated[str | None, typer.Argument(help="A built-in plan's name, or a YAML file.")] = (
        None
    )
    image: Annotated[str | None, typer.Option(help="Measure this image of yours.")] = None
    payload: Annotated[
        Path | None, typer.Option(help="The file that your image is asked to predict on.")
    ] = None
    content_type: Annotated[
        str | None, typer.Option(help="The payload's type; guessed from its name.")
    ] = None
    model_data: Annotated[
        Path | None, typer.Option(help="A model.tar.gz for your image's /opt/ml/model.")
    ] = None
    against: Annotated[
        list[str] | None,
        typer.Option(help="A variant of the lab's to measure beside your image; repeatable."),
    ] = None
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant of the plan; repeatable.")
    ] = None
    model: Annotated[
        str | None, typer.Option(help="Only this model (also what --against variants serve).")
    ] = None
    start: Annotated[
        list[StartKind] | None, typer.Option(help="Only this start kind; repeatable.")
    ] = None
    tier: Annotated[list[str] | None, typer.Option(help="Memory in MB, or host; repeatable.")] = (
        None
    )
    platform: Annotated[
        list[str] | None, typer.Option(help="linux/amd64 or linux/arm64, or both with a comma.")
    ] = None
    repeats: Annotated[int | None, typer.Option(help="Measured trials per cell.")] = None
    seed: Annotated[int | None, typer.Option(help="Of the order of the trials.")] = None
    bandwidth: Annotated[
        str | None, typer.Option(help="Of the link that images come over, like 200Mbit.")
    ] = None
    chunk_latency: Annotated[
        str | None, typer.Option(help="What a chunk takes beside, on demand, like 2ms.")
    ] = None
    ready_timeout: Annotated[
        str | None, typer.Option(help="When to give up on a container, like 3min; at most 8min.")
    ] = None
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run, or with the `latest`.")
    ] = None

    def over(self) -> dict[str, Any]:
        """The plan's keys that the flags replace."""
        given: dict[str, Any] = {
            "variants": self.variant or None,
            "models": None if self.model is None else [self.model],
            "start_kinds": self.start or None,
            "tiers": self.tier or None,
            "platforms": list(full_names(self.platform or ())) or None,
            "repeats": self.repeats,
            "seed": self.seed,
            "bandwidth": None if self.bandwidth is None else parse_rate(self.bandwidth),
            "chunk_latency": self.chunk_latency,
            "ready_timeout": self.ready_timeout,
        }
        found = {key: value for key, value in given.items() if value is not None}
        if "start_kinds" in found:
            # What the file says of other kinds would no longer fit.
            found.setdefault("repeats", 6)
            found["warm_up"] = True
        return found


@app.command("plans")
def list_plans() -> None:
    """Show the plans that come with the lab."""
    table = Table(box=None, pad_edge=False)
    for heading in ("plan", "trials", "what it measures"):
        table.add_column(heading, justify="right" if heading == "trials" else "left")
    for path in planfile.built_in():
        plan = planfile.load(path, variants=list(VARIANTS), models=store.models())
        trials = len(schedule.order(plan))
        table.add_row(plan.name, str(trials), escape(plan.summary))
    console.out.print(table)


@app.command("run")
@flags
def run_plan(options: ColdstartOptions) -> None:
    """Run a plan (`default` if none is named) and write its report."""
    from lab.stack.demo_bench import announced

    progress = console.ConsoleProgress()
    if options.resume is None:
        folder = runner.run(plan_of(options), prepare=announced, progress=progress)
    else:
        given = options.plan is not None or options.image is not None or bool(options.over())
        folder = runner.resume(
            RunFolder.find(options.resume),
            plan=plan_of(options) if given else None,
            prepare=announced,
            progress=progress,
        )
    report = write_report(folder.path)
    console.out.print(summary_table(folder.path))
    console.print_line(f"Report: {report}")
    _push(folder)
    failed = runner.verdict(folder)
    if failed is not None:
        raise failed


def _push(folder: RunFolder) -> None:
    """Tell a Pushgateway that answers; the run is over, whatever comes of that."""
    from lab.observe.runs import push

    note = push.offer(folder.path, runs=paths.runs())
    if note is not None:
        console.print_line(note)


def plan_of(options: ColdstartOptions) -> Plan:
    """The plan that the flags ask for. Raises ``UsageError`` or ``PlanError``."""
    own = _own(options)
    names = {"variants": tuple(VARIANTS), "models": store.models()}
    over = options.over()
    if own is None:
        _refuse_orphans(options)
        return planfile.load(planfile.find(options.plan or DEFAULT_PLAN), over=over, **names)
    if options.variant:
        raise UsageError(
            "--variant chooses among a plan's variants, not beside an image of yours.",
            remedy="Use --against to measure one of the lab's variants beside it.",
        )
    over["own"] = own.model_dump()
    over.pop("models", None)
    if options.against:
        over["variants"] = options.against
        over["models"] = [options.model or store.DEFAULT]
    if options.plan is not None:
        return planfile.load(planfile.find(options.plan), over=over, **names)
    return planfile.from_flags(
        {
            "name": own.variant[:60],
            "start_kinds": [StartKind.RESTART, StartKind.FRESH],
            "repeats": 6,
            "ready_timeout": "8min",
            **over,
        },
        **names,
    )


def _own(options: ColdstartOptions) -> OwnImage | None:
    if options.image is None:
        return None
    if options.payload is None:
        raise UsageError(
            "--image needs a question to ask of it.",
            remedy="Add --payload FILE: it is sent to POST /invocations.",
        )
    return OwnImage(
        image=options.image,
        payload=options.payload.resolve(),
        content_type=content_type_of(options.payload, options.content_type),
        model_data=None if options.model_data is None else options.model_data.resolve(),
    )


def _refuse_orphans(options: ColdstartOptions) -> None:
    """Flags that mean nothing without an image are a mistake."""
    orphans = {
        "--payload": options.payload,
        "--content-type": options.content_type,
        "--model-data": options.model_data,
        "--against": options.against or None,
    }
    given = [flag for flag, value in orphans.items() if value is not None]
    if given:
        raise UsageError(
            f"{', '.join(given)} needs --image.",
            remedy="Name your image: lab coldstart run --image REF --payload FILE.",
        )
