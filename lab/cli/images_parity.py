"""``lab images parity``: whether both platforms of an image answer alike."""

from pathlib import Path

import typer
from rich.table import Table

from lab.cli.console import ConsoleProgress, out
from lab.cli.platforms import parse_platform
from lab.engine.select import open_engine
from lab.parity.compare import broken, refuse_broken
from lab.parity.inputs import COUNT
from lab.parity.record import Parity
from lab.parity.session import ParityJob, run


def parity(
    variants: list[str] | None = typer.Argument(
        None, help="Which variants; all if none is named, and TensorFlow's take minutes."
    ),
    platform: str | None = typer.Option(
        None, "--platform", help="What the engine's own platform is compared with; the other one."
    ),
    model: str = typer.Option("retinopathy-mobilenet", help="Which model to serve."),
    count: int = typer.Option(COUNT, min=1, help="Inputs that the model was tested on."),
    payload: list[Path] = typer.Option(
        [], "--payload", metavar="FILE", help="A further input, like a JPEG file; again for more."
    ),
) -> None:
    """Send the same inputs to both platforms' containers of each variant, and compare.

    The same model archive is mounted in both. The exit code is 14 when scores differ by more than
    the model's card tolerates (a classifier's: 0.001), or fewer inputs than that says (99 %) get
    the same label; the worst input is named. Every input's figures are kept in
    runs/<id>-parity/parity.json.
    """
    job = ParityJob(
        variants=variants or (),
        platform=None if platform is None else parse_platform(platform),
        model=model,
        count=count,
        payloads=payload,
    )
    progress = ConsoleProgress()
    engine = open_engine(progress)
    try:
        found, path = run(job, engine, progress)
    finally:
        engine.close()
    out.print(table(found))
    out.print(f"Every input is in {path}", markup=False, highlight=False, soft_wrap=True)
    refuse_broken(found.comparisons, found.bounds)


def table(found: Parity) -> Table:
    """A row per variant."""
    made = Table(
        title=f"The same answers of {found.model}: at most {found.bounds.max_abs_difference:g} "
        f"apart, {found.bounds.least_agreement:.0%} of the labels alike",
        title_justify="left",
    )
    for heading in ("variant", "platforms", "inputs", "largest difference", "same label", ""):
        made.add_column(
            heading,
            justify="right" if heading in {"inputs", "largest difference"} else "left",
        )
    for one in found.comparisons:
        alike = sum(each.reference_label == each.compared_label for each in one.inputs)
        made.add_row(
            one.variant,
            " / ".join(side.platform.arch for side in (one.reference, one.compared)),
            str(len(one.inputs)),
            f"{one.max_abs_difference:.1e}",
            f"{alike} of {len(one.inputs)}",
            "[green]alike[/green]" if broken(one, found.bounds) is None else "[red]not alike[/red]",
        )
    return made
