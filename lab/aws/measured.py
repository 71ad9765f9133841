"""What the lab measured here of a request, as the input of an estimate."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from lab.cost.estimate import ASSUMED, Work
from lab.spec import HOST_TIER, Platform

_SUMMARY: Final = "summary.json"


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
    cells = (variant, model, platform.value)
    wanted = HOST_TIER.name if memory_mb is None else str(memory_mb)
    found = [(run, row) for run in _newest_first(runs) for row in _rows(run, cells)]
    same = [(run, row) for run, row in found if row["tier"] == wanted]
    assumed = ASSUMED if request_bytes is None else replace(ASSUMED, request_bytes=request_bytes)
    for run, row in (*same, *found):
        seconds = float(row["second_prediction_s"]["p50"])
        tier = "no limit" if row["tier"] == HOST_TIER.name else f"{row['tier']} MB"
        source = f"the median second prediction of run {run.name} on this machine, {tier}"
        return replace(assumed, seconds=seconds, source=source)
    return assumed


def _newest_first(runs: Path) -> Sequence[Path]:
    folders = [one for one in runs.glob("*") if one.is_dir() and not one.is_symlink()]
    return sorted(folders, key=lambda folder: folder.name, reverse=True)


def _rows(run: Path, cells: tuple[str, str, str]) -> Iterator[Mapping[str, Any]]:
    try:
        summary = json.loads((run / _SUMMARY).read_text(encoding="utf-8"))
        rows = summary["rows"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # another kind of run, or one that broke off
    for row in rows:
        try:
            same = (row["variant"], row["model"], row["platform"]) == cells
            if same and not row["emulated"] and row["second_prediction_s"]["p50"] is not None:
                yield row
        except (KeyError, TypeError):
            continue
