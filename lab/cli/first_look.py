"""``lab try``: the first thing to do with an image. A minute, a screen, what to mend first."""

import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.arguments import MODEL_DATA_HELP, parse_platform
from lab.cli.console import ConsoleProgress, out, print_line, program
from lab.cli.contract import BROKEN
from lab.cli.flags import flags
from lab.cli.opened import containers_of
from lab.contract.check import entries, refused
from lab.contract.firstlook import look
from lab.contract.reports import terminal
from lab.contract.reports.firstlook import render
from lab.contract.running.session import Session
from lab.contract.subject import CheckRequest, prepared
from lab.engine.select import open_engine
from lab.errors import ArchiveError
from lab.images.variants import VARIANTS

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class TryOptions:
    """The flags of ``lab try``."""

    image: Annotated[
        str, typer.Argument(help="The image, pulled if need be; or a variant of the lab's.")
    ]
    payload: Annotated[
        Path | None, typer.Option(help="A request body that the model can answer.")
    ] = None
    content_type: Annotated[
        str | None, typer.Option(help="Its type; else guessed from the file's name.")
    ] = None
    model_data: Annotated[
        str | None,
        typer.Option(
            help=MODEL_DATA_HELP,
        ),
    ] = None
    platform: Annotated[
        str | None, typer.Option(help="What it must be for: linux/amd64 or linux/arm64.")
    ] = None


@app.command()
@flags
def try_image(options: TryOptions) -> None:
    """Say in a minute whether an image starts and answers, how long, how big, what to mend first.

    The exit code is 9 when something is broken.
    """
    request = CheckRequest(
        image=options.image,
        platform=None if options.platform is None else parse_platform(options.platform),
        model_data=options.model_data,
        payload=options.payload,
        content_type=options.content_type,
    )
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        docker = containers_of(engine, "An image is tried by running it: there is no container.")
        try:
            with (
                prepared(request, docker, progress) as (subject, where),
                closing(Session(subject, where, quick=True)) as session,
            ):
                seen = look(session, progress)
        except ArchiveError as error:
            out.print(terminal.render(refused(options.image, request.platform, error, ())))
            raise typer.Exit(BROKEN) from error
    payload = None if options.payload is None else str(options.payload)
    out.print(render(seen, payload=payload))
    out.print("\n[bold cyan]What says more[/bold cyan]")
    for command, says in _more(options):
        print_line(f"  {command}\n      {says}")
    if seen.verdicts.failed:
        raise typer.Exit(BROKEN)


def _more(options: TryOptions) -> Sequence[tuple[str, str]]:
    """The commands that say more, to be copied, with the flags as given."""
    given = [
        word
        for flag, value in (
            ("--payload", options.payload),
            ("--content-type", options.content_type),
            ("--model-data", options.model_data),
            ("--platform", options.platform),
        )
        if value is not None
        for word in (flag, str(value))
    ]
    image = options.image
    lines = [
        (("contract", "check", image, *given), f"all {len(entries())} rules, in some minutes"),
        (("images", "report", image), "what its bytes are, layer by layer"),
    ]
    here = not (options.model_data or "").startswith("s3://")
    if image not in VARIANTS and options.payload is not None and here:
        measure = ("coldstart", "run", "--image", image, *given)
        lines.insert(1, (measure, "where the seconds of its start go, trial by trial"))
    return [(shlex.join((program(), *words)), says) for words, says in lines]
