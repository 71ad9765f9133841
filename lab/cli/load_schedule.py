"""``lab load schedule``: what a schedule holds, before anything is sent."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from lab.cli import console
from lab.load.arrivals.dispersion import FEWEST_INSTANTS
from lab.load.arrivals.parse import parse
from lab.load.arrivals.schedule import Schedule
from lab.units import format_seconds

SCHEDULE_HELP: Final = (
    "constant:, poisson:, gamma: or mmpp: with rate=20,for=60s (gamma: cv=3, mmpp: idc=30), "
    "steps:10/30s,20/30s, ramp:1-50,for=60s; a file of instants or an Azure trace, with "
    "app=, func=, minutes=10-20, speed=60 behind a colon; example-2019 or example-2021."
)
_BARS: Final = " ▁▂▃▄▅▆▇█"
_COLUMNS: Final = 60


def schedule(
    text: Annotated[str, typer.Argument(metavar="SCHEDULE", help=SCHEDULE_HELP)],
    out: Annotated[
        Path | None, typer.Option(help="Write the instants there, to be used as SCHEDULE.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw by it where SCHEDULE has no seed=; 0 if not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a schedule holds: how many requests, how fast, how bursty; --out keeps it."""
    found = parse(text, seed=seed)
    if out is not None:
        found.write(out)
    if as_json:
        typer.echo(json.dumps(_facts(found, out), indent=2))
        return
    console.print_line(found.said)
    for name, value in _lines(found):
        console.print_line(f"{name:<10}{value}")
    console.print_line(f"\n{_bars(_counts(found))}")
    column_s = format_seconds(found.horizon_s / _COLUMNS)
    console.print_line(f"a column is {column_s}, the fullest holds {_counts(found).max():,}")
    if out is not None:
        console.print_line(f"Written: {out}")


def _lines(found: Schedule) -> list[tuple[str, str]]:
    measured = found.dispersion
    idc = f"not told: it takes {FEWEST_INSTANTS} requests, no trend, and bursts short beside it all"
    if measured is not None:
        idc = f"{measured.idc:.3g}, of {measured.windows} windows of "
        idc += format_seconds(measured.window_s)
    if found.asked_idc is not None:
        idc += f" (asked: {found.asked_idc:g})"
    return [
        ("requests", f"{len(found):,} in {format_seconds(found.horizon_s)}"),
        ("rate", f"{found.rate_per_s:.4g}/s, {found.peak_per_s:,} in the busiest second"),
        ("IDC", idc),
        *([] if found.seed is None else [("seed", str(found.seed))]),
    ]


def _facts(found: Schedule, out: Path | None) -> dict[str, Any]:
    measured = found.dispersion
    return {
        "schema": 1,
        "said": found.said,
        "seed": found.seed,
        "requests": len(found),
        "horizon_s": found.horizon_s,
        "rate_per_s": found.rate_per_s,
        "peak_per_s": found.peak_per_s,
        "idc": found.idc,
        "idc_window_s": None if measured is None else measured.window_s,
        "idc_asked": found.asked_idc,
        "counts": _counts(found).tolist(),
        "counts_every_s": found.horizon_s / _COLUMNS,
        "sha256": found.sha256,
        "written": None if out is None else str(out),
    }


def _counts(found: Schedule) -> NDArray[np.int64]:
    return np.histogram(found.instants, _COLUMNS, (0, found.horizon_s))[0].astype(np.int64)


def _bars(counts: NDArray[np.int64]) -> str:
    """A character a column; only one without requests is empty."""
    eighths = np.ceil(counts * (len(_BARS) - 1) / counts.max()).astype(int)
    return "".join(_BARS[one] for one in eighths)
