"""What the lab measured here of a request, as the input of an estimate."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lab.coldstart.summary import Row, read_summary
from lab.cost.estimate import ASSUMED, Work
from lab.errors import UsageError
from lab.spec import HOST_TIER, Platform


def latest_work(
    *,
    variant: str,
    model: str,
    platform: Platform,
    memory_mb: int | None,
    runs: Path,
    request_bytes: int | None = None,
) -> Work:
    """A warm request as the newest run of that variant and model has it, else an assumption.

    The newest run that has the memory tier counts before a newer one that has others. Emulated
    trials never count.
    """
    cells = (variant, model, platform)
    wanted = HOST_TIER.name if memory_mb is None else str(memory_mb)
    found = [(run, *row) for run in _newest_first(runs) for row in _rows(run, cells)]
    same = [one for one in found if one[1].tier == wanted]
    assumed = ASSUMED if request_bytes is None else replace(ASSUMED, request_bytes=request_bytes)
    for run, row, seconds in (*same, *found):
        tier = "no limit" if row.tier == HOST_TIER.name else f"{row.tier} MB"
        source = f"the median second prediction of run {run.name} on this machine, {tier}"
        return replace(assumed, seconds=seconds, source=source)
    return assumed


def _newest_first(runs: Path) -> Sequence[Path]:
    folders = [one for one in runs.glob("*") if one.is_dir() and not one.is_symlink()]
    return sorted(folders, key=lambda folder: folder.name, reverse=True)


def _rows(run: Path, cells: tuple[str, str, Platform]) -> Iterator[tuple[Row, float]]:
    """The run's rows with their medians of a warm request, in seconds."""
    try:
        summary = read_summary(run)
    except UsageError:
        return  # another kind of run, or one that broke off
    for row in summary.rows:
        seconds = row.second_prediction_s.p50
        same = (row.variant, row.model, row.platform) == cells
        if same and not row.emulated and seconds is not None:
            yield row, seconds
