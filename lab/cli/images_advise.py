"""``lab images advise``: what to take out of an image, by the seconds that it costs."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lab.cli.arguments import MODEL_DATA_HELP, parse_platform, save
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.flags import flags
from lab.cli.opened import containers_of
from lab.contenttype import content_type_of
from lab.engine.select import open_engine
from lab.errors import UsageError
from lab.runfiles import read_bytes
from lab.units import parse_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.advice.recorder.asking import Payload

_FIRST: Final = "Name a file that the model can answer: --payload request.json."


@dataclass(frozen=True, kw_only=True)
class AdviseOptions:
    """The flags."""

    image: Annotated[
        str,
        typer.Argument(help="The image, pulled if the engine lacks it; or a variant of the lab's."),
    ]
    payload: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A request body that the model can answer; again for each other kind.",
        ),
    ] = None
    content_type: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the payloads, in their order, or one for all; else guessed from the files' "
            "names."
        ),
    ] = None
    model_data: Annotated[
        str | None,
        typer.Option(
            help=MODEL_DATA_HELP,
        ),
    ] = None
    platform: Annotated[
        str | None, typer.Option(help="linux/amd64 or linux/arm64; the engine's own by default.")
    ] = None
    bandwidth: Annotated[
        str, typer.Option(help="Of the link that the image comes over, like 1Gbit or 200Mbit.")
    ] = "1Gbit"
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="Time one pulled start and one on demand; else seconds follow from the link's "
            "rate and the recording.",
        ),
    ] = True
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write it as Markdown.")
    ] = None


@flags
def advise(options: AdviseOptions) -> None:
    """Start an image, watch what it reads, and say what to take out, as patches to its Dockerfile.

    One table by seconds: of a start that pulls the image, and of one that fetches what it reads. An
    image that does not get ready or answers a payload with an error is told of, and nothing else.
    The report and the recording are kept in runs/<id>-advise/.
    """
    from lab.advice.advise import AdviceJob
    from lab.advice.advise import advise as run
    from lab.advice.advise_out import to_markdown, to_terminal
    from lab.contract.subject import CheckRequest

    payloads = payloads_of(options)
    job = AdviceJob(
        request=CheckRequest(
            image=options.image,
            platform=None if options.platform is None else parse_platform(options.platform),
            model_data=options.model_data,
        ),
        payloads=payloads,
        bandwidth=parse_rate(options.bandwidth),
        measure=options.measure,
    )
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        docker = containers_of(
            engine, "An image's start is recorded in a container, and there is none here."
        )
        report, folder = run(job, docker, progress)
    if options.markdown is not None:
        save(options.markdown, to_markdown(report))
    if options.as_json:
        typer.echo(report.to_json(), nl=False)
        return
    out.print(to_terminal(report))
    print_line(f"The report and the recording are in {folder}")


def payloads_of(options: AdviseOptions) -> "Sequence[Payload]":
    """The files' contents, each under its name."""
    from lab.advice.recorder.asking import Payload

    if not options.payload:
        raise UsageError(
            f"What {options.image} reads depends on what it is asked, and no payload was named.",
            remedy=_FIRST,
        )
    types = options.content_type or []
    if len(types) > 1 and len(types) != len(options.payload):
        raise UsageError(
            f"{len(types)} content types are given for {len(options.payload)} payloads.",
            remedy="Give one for all, or one for each, in their order.",
        )
    each = types if len(types) > 1 else [*types, None][:1] * len(options.payload)
    return [
        Payload(
            name=path.name,
            body=read_bytes(path, remedy=_FIRST),
            content_type=content_type_of(path, given),
        )
        for path, given in zip(options.payload, each, strict=True)
    ]
