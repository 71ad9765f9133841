"""``lab contract``: whether an image keeps SageMaker's hosting contract."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import typer

from lab.cli.arguments import MODEL_DATA_HELP, parse_platform, save
from lab.cli.console import ConsoleProgress, out
from lab.cli.opened import containers_of
from lab.contract.check import chosen, entries, refused, run
from lab.contract.model import Verdicts
from lab.contract.reports.machine import as_json, as_junit
from lab.contract.reports.terminal import render, render_rules
from lab.contract.running.session import START_LIMIT_S, Session
from lab.contract.subject import CheckRequest, prepared
from lab.engine.interrupt import uninterrupted
from lab.engine.select import open_engine
from lab.errors import ArchiveError
from lab.start.emulated import PATIENCE

BROKEN: Final = 9
"""The exit code when a rule is broken."""

_STDOUT: Final = "-"
_INTERRUPTED: Final = 130

app = typer.Typer(
    no_args_is_help=True,
    help="Whether an image keeps SageMaker's hosting contract.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def check(  # noqa: PLR0913, PLR0917 - each is a flag
    image: str = typer.Argument(
        ..., help="The image, pulled if the engine has it not; or a variant of the lab's."
    ),
    model_data: str | None = typer.Option(
        None,
        "--model-data",
        help=MODEL_DATA_HELP,
    ),
    payload: Path | None = typer.Option(None, help="A request body that the model can answer."),
    content_type: str | None = typer.Option(
        None, "--content-type", help="Its type; else guessed from the file's name."
    ),
    platform: str | None = typer.Option(
        None, help="What the image must be for: linux/amd64 or linux/arm64."
    ),
    instance_type: str | None = typer.Option(
        None, "--instance-type", help="What it is to run on, like ml.m6g.large."
    ),
    only: list[str] = typer.Option(
        [], "--only", metavar="RULE", help="Only this rule; may be given again."
    ),
    quick: bool = typer.Option(False, "--quick", help="Shorter loads, no memory tiers."),
    start_limit: float | None = typer.Option(
        None,
        min=1,
        help=f"Seconds to wait for the first 200 of /ping; {START_LIMIT_S:g}, or under emulation "
        f"{PATIENCE:g} times that.",
    ),
    json_to: str | None = typer.Option(
        None, "--json", metavar="FILE", help="Write JSON there; - is standard output, alone."
    ),
    junit_to: Path | None = typer.Option(
        None, "--junit", metavar="FILE", help="Write JUnit's XML there."
    ),
) -> None:
    """Try every rule of the contract on the running image.

    Each says what was seen; one that is broken, why it matters and what to change. The exit code
    is 9 when a rule is broken, and 0 with warnings. Ctrl-C prints what is known by then; the exit
    code is then 130.
    """
    wanted = chosen(only, quick=quick, among=entries())
    request = CheckRequest(
        image=image,
        platform=None if platform is None else parse_platform(platform),
        instance_type=instance_type,
        model_data=model_data,
        payload=payload,
        content_type=content_type,
    )
    progress = ConsoleProgress()
    with ExitStack() as second_signal:
        with closing(open_engine(progress)) as engine:
            docker = containers_of(
                engine, "The contract is tried on a running image, and there is no container here."
            )
            try:
                with (
                    prepared(request, docker, progress) as (subject, where),
                    closing(
                        Session(subject, where, start_limit_s=start_limit, quick=quick)
                    ) as session,
                ):
                    verdicts = run(session, wanted, progress)
                    if verdicts.cut_short:
                        # Another Ctrl-C waits until the containers are gone and this is written.
                        second_signal.enter_context(uninterrupted())
                        progress.note("Cut short: removing its containers, then what is known.")
            except ArchiveError as error:
                verdicts = refused(image, request.platform, error, wanted)
        _write(verdicts, json_to, junit_to)
        if json_to != _STDOUT:
            out.print(render(verdicts))
    if verdicts.cut_short:
        raise typer.Exit(_INTERRUPTED)
    if verdicts.failed:
        raise typer.Exit(BROKEN)


@app.command()
def rules() -> None:
    """List the rules, and where they are written."""
    out.print(render_rules([(entry.section, entry.rule) for entry in entries()]))


def _write(verdicts: Verdicts, json_to: str | None, junit_to: Path | None) -> None:
    if json_to == _STDOUT:
        typer.echo(as_json(verdicts))
    elif json_to is not None:
        save(Path(json_to), as_json(verdicts) + "\n")
    if junit_to is not None:
        save(junit_to, as_junit(verdicts))
