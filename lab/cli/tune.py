"""``lab tune``: which memory size or instance type, at what load, for what money."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.arguments import parse_platform
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.flags import flags
from lab.cli.load_flags import ModelDataFlag, ModelFlag, PlatformFlag
from lab.contenttype import content_type_of
from lab.errors import UsageError
from lab.runfiles import read_bytes
from lab.units import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.engine.api import Engine
    from lab.progress import Progress
    from lab.tune.job import MoneyJob, ReadyTune, TuneJob
    from lab.tune.record import TuneFolder

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """The flags of ``lab tune``; None where one was not given."""

    image: Annotated[
        str | None,
        typer.Argument(help="The image, pulled if need be; or a variant of the lab's."),
    ] = None
    payload: Annotated[
        Path | None, typer.Option(help="A request body; by default what the lab's model is sent.")
    ] = None
    content_type: Annotated[
        str | None, typer.Option(help="Its type; else guessed from the file's name.")
    ] = None
    model: ModelFlag = None
    model_data: ModelDataFlag = None
    platform: PlatformFlag = None
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Memory of serverless, 1024 to 6144 MB or like 2GB; repeatable. All by default."
        ),
    ] = None
    instance: Annotated[
        list[str] | None, typer.Option(help="An instance type, like ml.m5.large; repeatable.")
    ] = None
    objective: Annotated[
        str | None, typer.Option(metavar="TIME", help="The warm p95 is at most so long: 300ms.")
    ] = None
    requests_per_day: Annotated[
        float | None, typer.Option(help="Traffic: so many, at random instants.")
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(help="Traffic: a schedule's file or expression, as for `lab load`."),
    ] = None
    idle_life: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="How long a serverless container stays unasked.  [default: 600s]"
        ),
    ] = None
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A table of another region's prices.")
    ] = None
    on_demand: Annotated[
        bool,
        typer.Option("--on-demand", help="Also start with an image that comes as it is read."),
    ] = False
    quick: Annotated[
        bool, typer.Option("--quick", help="Two rounds of short blocks: to see that it works.")
    ] = False
    seed: Annotated[int, typer.Option(help="Of the order, and of random traffic.")] = 1
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with this run, or the `latest`; also with other prices, traffic."),
    ] = None

    def money(self) -> "MoneyJob":
        """What prices depend on. Raises ``UsageError``."""
        from lab.tune.job import MoneyJob

        return MoneyJob(
            requests_per_day=self.requests_per_day,
            schedule=self.schedule,
            idle_life_s=None if self.idle_life is None else parse_seconds(self.idle_life),
            prices=self.prices,
        )

    def job(self) -> "TuneJob":
        """What is asked for. Raises ``UsageError``."""
        from lab.loadtest.record import Objective
        from lab.loadtest.targets.api import LoadPayload
        from lab.loadtest.targets.sizes import Size
        from lab.loadtest.targets.subject import ImageRequest
        from lab.tune.job import TuneJob

        if self.image is None:
            raise UsageError("No image is named.", remedy="E.g. lab tune onnx-slim.")
        payload = None
        if self.payload is not None:
            payload = LoadPayload(
                name=self.payload.name,
                body=read_bytes(self.payload, remedy="Correct --payload."),
                content_type=content_type_of(self.payload, self.content_type),
            )
        elif self.content_type is not None:
            raise UsageError("--content-type needs --payload.", remedy="Name what is sent.")
        return TuneJob(
            request=ImageRequest(
                name=self.image,
                model=self.model,
                model_data=None if self.model_data is None else self.model_data.resolve(),
                payload=payload,
                platform=None if self.platform is None else parse_platform(self.platform),
            ),
            payload_path=None if self.payload is None else self.payload.resolve(),
            sizes=[Size.parse(one) for one in (*(self.size or ()), *(self.instance or ()))],
            objective=None
            if self.objective is None
            else Objective(seconds=parse_seconds(self.objective)),
            money=self.money(),
            on_demand=self.on_demand,
            quick=self.quick,
            seed=self.seed,
        )


@app.command()
@flags
def tune(options: TuneOptions) -> None:
    """Measure an image at memory sizes and instance types, price each, and say which to take.

    Cold starts, warm latency, memory and throughput, in minutes; the price of a request, a day and
    a month under the traffic. It is all kept in runs/<id>-tune/, with a page.
    """
    from lab.tune.out import document, write_report

    folder = _measured(options)
    result, report = write_report(folder)
    if options.as_json:
        typer.echo(result.to_json(), nl=False)
        return
    out.print(document(result).to_terminal())
    print_line(f"Report: {report}")


def _measured(options: TuneOptions) -> "TuneFolder":
    """The folder of a run that has ended, however much of it was there before."""
    from lab.coldstart.loop import InterruptedRunError
    from lab.engine.select import open_engine
    from lab.tune.job import again, begin, complete, go_on
    from lab.tune.measure import measure
    from lab.tune.out import write_report

    progress = ConsoleProgress()
    make_ready: Callable[[Engine, Progress], ReadyTune]
    if options.resume is None:
        make_ready = partial(begin, options.job())
    else:
        _refuse_anew(options)
        folder = again(options.resume, options.money())
        if complete(folder):
            return folder
        make_ready = partial(go_on, folder)
    with closing(open_engine(progress)) as engine:
        ready = make_ready(engine, progress)
        try:
            measure(ready.tune, ready.folder, ready.subject, engine, progress)
        except InterruptedRunError:
            if ready.folder.samples():
                write_report(ready.folder)
            raise
    return ready.folder


def _refuse_anew(options: TuneOptions) -> None:
    """What a run measures does not change while one goes on with it."""
    given = {
        "an image": options.image,
        "--payload": options.payload,
        "--model": options.model,
        "--model-data": options.model_data,
        "--platform": options.platform,
        "--size": options.size,
        "--instance": options.instance,
        "--objective": options.objective,
        "--on-demand": options.on_demand,
        "--quick": options.quick,
    }
    named = [flag for flag, value in given.items() if value]
    if named:
        raise UsageError(
            f"--resume goes on with what the run measures: {', '.join(named)} cannot be changed.",
            remedy="Leave it out, or start a new run. Traffic and prices may change.",
        )
