"""``lab images parity``: whether both platforms of an image answer alike."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.table import Table

from lab.cli.console import ConsoleProgress, out
from lab.cli.platforms import parse_platform
from lab.engine.select import open_engine
from lab.parity.compare import BOUNDS, broken, refuse_broken
from lab.parity.pictures import COUNT
from lab.parity.record import ParityComparison
from lab.parity.session import ParityJob, run


def parity(
    variants: list[str] | None = typer.Argument(
        None, help="Which variants; all if none is named, and TensorFlow's take minutes."
    ),
    platform: str | None = typer.Option(
        None, "--platform", help="What the engine's own platform is compared with; the other one."
    ),
    model: str = typer.Option("retinopathy-mobilenet", help="Which model to serve."),
    count: int = typer.Option(COUNT, min=1, help="Pictures that the model was tested on."),
    payload: list[Path] = typer.Option(
        [], "--payload", metavar="FILE", help="A further picture, JPEG or PNG; again for more."
    ),
) -> None:
    """Send the same pictures to both platforms' containers of each variant, and compare.

    The same model archive is mounted in both. The exit code is 14 when probabilities differ by more
    than 0.001 or fewer than 99 % of the pictures get the same grade; the worst picture is named.
    Every picture's figures are kept in runs/<id>-parity/parity.json.
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
    out.print(table(found.comparisons, model))
    out.print(f"Every picture is in {path}", markup=False, highlight=False, soft_wrap=True)
    refuse_broken(found.comparisons)


def table(comparisons: Sequence[ParityComparison], model: str) -> Table:
    """A row per variant."""
    made = Table(
        title=f"The same answers of {model}: at most {BOUNDS.max_abs_difference:g} apart, "
        f"{BOUNDS.least_agreement:.0%} of the grades alike",
        title_justify="left",
    )
    for heading in ("variant", "platforms", "pictures", "largest difference", "same grade", ""):
        made.add_column(
            heading,
            justify="right" if heading in {"pictures", "largest difference"} else "left",
        )
    for one in comparisons:
        alike = sum(each.reference_grade == each.compared_grade for each in one.pictures)
        made.add_row(
            one.variant,
            " / ".join(side.platform.arch for side in (one.reference, one.compared)),
            str(len(one.pictures)),
            f"{one.max_abs_difference:.1e}",
            f"{alike} of {len(one.pictures)}",
            "[green]alike[/green]" if broken(one) is None else "[red]not alike[/red]",
        )
    return made
