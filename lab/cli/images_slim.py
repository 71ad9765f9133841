"""``lab images slim``."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import typer
from rich.table import Table

from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import record
from lab.advice.slim.compare import Timing
from lab.advice.slim.out import lines, packages, rows, sentence
from lab.advice.slim.record import SlimRecord
from lab.advice.slim.run import SlimJob, slim
from lab.advice.slim.select import Level
from lab.artifacts import store
from lab.cli.arguments import MODEL_DATA_HELP, parse_platform, save
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.opened import containers_of
from lab.contenttype import guess
from lab.contract.subject import CheckRequest
from lab.engine.select import open_engine
from lab.errors import UsageError
from lab.runfiles import read_bytes
from lab.units import parse_rate

_TIMING = Timing()
_DEFAULT_TYPE = "application/octet-stream"
_STDOUT = "-"


def slim_command(  # noqa: PLR0913, PLR0917 - each is a flag
    image: str = typer.Argument(..., help="The image; or a variant of the lab's."),
    name: str = typer.Option(..., "--name", help="What the smaller image is to be called."),
    payload: list[Path] = typer.Option(
        [],
        "--payload",
        metavar="FILE",
        help="A request body that the model answers; again for more.",
    ),
    content_type: list[str] = typer.Option(
        [],
        "--content-type",
        help="Of the payloads, in their order, or one for all; else guessed from the files' names.",
    ),
    model_data: str | None = typer.Option(
        None,
        "--model-data",
        help=MODEL_DATA_HELP,
    ),
    level: Level = typer.Option(
        Level.PACKAGES,
        help="packages leaves out whole packages and folders that nothing touched and nothing "
        "touched depends on; files keeps only what was touched, and what no recorder sees.",
    ),
    keep: list[str] = typer.Option(
        [], "--keep", metavar="GLOB", help="Paths that stay in any case; again for more."
    ),
    strip: bool = typer.Option(
        True,
        "--strip/--no-strip",
        help="At the level files: programs and libraries that stay lose their symbol tables and "
        "debug sections, which no running program needs.",
    ),
    platform: str | None = typer.Option(None, help="What the image must be for."),
    measure: bool = typer.Option(
        True, "--measure/--no-measure", help="Measure the starts of both, interleaved."
    ),
    repeats: int = typer.Option(
        _TIMING.repeats, min=1, help="Measured starts of each kind and image."
    ),
    bandwidth: str = typer.Option("1Gbit", help="Of the link of pull and ondemand starts."),
    chunk_latency: float = typer.Option(
        _TIMING.chunk_latency, min=0, max=1, help="Seconds that a chunk takes beside its bytes."
    ),
    keep_removed: bool = typer.Option(
        False, "--keep-removed", help="Keep what was removed as removed.tar in the run folder."
    ),
    quick: bool = typer.Option(
        False, "--quick", help="In the contract checks shorter loads, and no memory tiers."
    ),
    force: bool = typer.Option(
        False, "--force", help="Replace an image of that name which this command has not made."
    ),
    json_to: str | None = typer.Option(
        None, "--json", metavar="FILE", help="Write JSON there; - is standard output, alone."
    ),
) -> None:
    """Make a smaller image that does the same, and prove it before it gets its name.

    A run is recorded, and what it needs becomes one layer with the original's configuration. Both
    are then asked the same (payloads, wrong requests, /metrics), every rule of the contract is
    tried on both, and a second recording must miss nothing. What is worse is traced to the files
    that are missing, which then stay. The exit code is 15 when no smaller image could be proven.
    """
    request = CheckRequest(
        image=image,
        platform=None if platform is None else parse_platform(platform),
        model_data=model_data,
        payload=payload[0] if payload else None,
        content_type=content_type[0] if content_type else None,
    )
    job = SlimJob(
        request=request,
        name=name,
        payloads=_payloads(payload, content_type, model_data),
        level=level,
        keep=keep,
        strip=strip,
        force=force,
        quick=quick,
        keep_removed=keep_removed,
        measure=Timing(
            repeats=repeats, bandwidth=parse_rate(bandwidth), chunk_latency=chunk_latency
        )
        if measure
        else None,
    )
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        docker = containers_of(
            engine, "Images are slimmed in a container engine, and there is none here."
        )
        found, folder = slim(
            job, docker, progress, record=lambda asked: record(docker, asked, progress)
        )
    if json_to == _STDOUT:
        typer.echo(found.to_json())
        return
    if json_to is not None:
        save(Path(json_to), found.to_json())
    _print(found, folder)


def _payloads(
    files: Sequence[Path], types: Sequence[str], model_data: str | None
) -> Sequence[Payload]:
    if len(types) > 1 and len(types) != len(files):
        raise UsageError(
            f"{len(types)} content types are given for {len(files)} payloads.",
            remedy="Give one for all, or one for each, in their order.",
        )
    if not files and model_data in store.models():
        known = store.payload(model_data)
        return [
            Payload(
                name=known.path.name, body=known.path.read_bytes(), content_type=known.content_type
            )
        ]
    if not files:
        raise UsageError(
            "What an image needs depends on what it is asked, and no payload is given.",
            remedy="Name a request body that the model answers: --payload FILE.",
        )
    each = types if len(types) > 1 else list(types) * len(files)
    return [
        Payload(
            name=path.name,
            body=read_bytes(path, remedy="Correct --payload."),
            content_type=(each[number] if each else None) or guess(path) or _DEFAULT_TYPE,
        )
        for number, path in enumerate(files)
    ]


def _print(record: SlimRecord, folder: Path) -> None:
    print_line(sentence(record))
    table = Table()
    for number, heading in enumerate(("", "before", "after", "ratio")):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows(record):
        table.add_row(*row)
    out.print(table)
    removed = Table(title="Left out", title_justify="left")
    for number, heading in enumerate(("package or folder", "files", "unpacked", "")):
        removed.add_column(heading, justify="right" if number in {1, 2} else "left")
    for row in packages(record):
        removed.add_row(*row)
    out.print(removed)
    for line in lines(record, folder):
        print_line(line)
