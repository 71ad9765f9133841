"""The runs that are to be joined, found and read; what cannot be joined is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.coldstart.folder import RUN_FILE, RunFolder
from lab.errors import UsageError
from lab.report.recorded import load
from lab.report.summary import Results, results

JOIN_FILE: Final = "join.json"
_FEWEST: Final = 2


def collect(names: Sequence[str]) -> Sequence[Results]:
    """Read each run, in the order in which they are named.

    Raises ``UsageError`` for fewer than two, for a folder that is no run of this lab's schema, and
    for a run that is named twice or there as a copy.
    """
    if len(names) < _FEWEST:
        raise UsageError(
            f"A join takes two runs or more, not {len(names)}.",
            remedy="Name them by id or folder: lab report join RUN RUN. A run of another machine "
            "is joined by copying its folder here.",
        )
    found: list[Results] = []
    for name in names:
        one = results(load(_folder(name)))
        for other in found:
            _distinct(one, other)
        found.append(one)
    return found


def _folder(name: str) -> Path:
    path = Path(name)
    if path.is_dir() and (path / JOIN_FILE).is_file():
        raise UsageError(
            f"{name} is itself a join of runs.", remedy="Name the runs that it was made of."
        )
    if path.is_dir() and not (path / RUN_FILE).is_file():
        raise UsageError(
            f"{name} has no {RUN_FILE}: it is no run's folder.",
            remedy="Copy the whole folder runs/<id> of the other machine.",
        )
    return RunFolder.find(name).path


def _distinct(one: Results, other: Results) -> None:
    # A run that was resumed since it was copied has the same run.json and more samples.
    if one.recorded.run == other.recorded.run:
        raise UsageError(
            f"{one.recorded.run.id} is there twice: {other.recorded.folder} and "
            f"{one.recorded.folder} are the same run.",
            remedy="Name each run once.",
        )
