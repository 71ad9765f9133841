"""``lab check``: an image held to a budget, for CI."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.arguments import save
from lab.cli.console import ConsoleProgress, err, out, print_line
from lab.cli.contract import BROKEN
from lab.cli.flags import flags
from lab.cli.opened import containers_of
from lab.engine.select import open_engine
from lab.errors import UsageError

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The flags of ``lab check``."""

    budget: Annotated[Path, typer.Argument(help="The budget's file.")] = Path("budget.yaml")
    image: Annotated[
        str | None, typer.Option(help="The image, in place of the budget's: CI's new tag.")
    ] = None
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Fail, too, when a figure is shown to be worse than in the last check here.",
        ),
    ] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print the check as JSON.")] = False
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit's XML there.")] = (
        None
    )
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append the table as Markdown: $GITHUB_STEP_SUMMARY."),
    ] = None


@app.command()
@flags
def check(options: CheckOptions) -> None:
    """Hold an image to a budget: bytes, cold start, latency, memory, price of a million requests.

    Only what the budget has ceilings for is measured. The exit code is 9 when the whole interval
    of a figure lies above its ceiling, with that line of the budget; what is over by no more than
    chance may do fails nothing. Figures are set beside those of the last check of this image's
    name and budget on this machine. All is kept in runs/<id>-check/.
    """
    from lab.budget import said
    from lab.budget.budgetfile import load
    from lab.budget.run import check as run

    file = load(options.budget, image=options.image)
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        docker = containers_of(engine, "A budget is of a running image: there is no container.")
        found, folder = run(file, docker, progress)
    worse = options.fail_on_regression
    if options.junit is not None:
        save(options.junit, said.as_junit(found, regressions=worse))
    if options.summary is not None:
        _append(options.summary, said.markdown(found))
    if options.as_json:
        typer.echo(found.to_json(), nl=False)
    else:
        out.print(said.table(found))
        for note in said.notes(found):
            print_line(note)
        print_line(f"Every start and every request are in {folder}")
    for line in said.lines(found, regressions=worse):
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.broken or (worse and found.regressed):
        raise typer.Exit(BROKEN)


def _append(path: Path, text: str) -> None:
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read.", remedy="Choose another file.") from error
    save(path, before + text)
