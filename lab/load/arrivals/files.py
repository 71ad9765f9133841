"""Schedules out of files: our own, instants alone, and two traces of Azure Functions.

| header of the file | what it is |
|---|---|
| none, or ``instant_s`` | instants in seconds, one a line (``Schedule.read``) |
| ``HashOwner,HashApp,HashFunction,Trigger,1,2,…`` | invocations a minute (Azure Functions 2019) |
| ``app,func,end_timestamp,duration`` | an invocation a line, in seconds (2021) |

The schemas are those that https://github.com/Azure/AzurePublicDataset describes.

Options: ``minutes=10-20`` takes those minutes alone, the first being 1, both ends included;
``speed=60`` plays it so many times as fast. Of traces ``app=`` and ``func=`` take one application
or function, by its name or what only its name begins with; without them all are added up. A trace
of 2019 does not say when in its minute an invocation was: ``placement=uniform`` draws that by
``seed=``, ``placement=even`` spreads them evenly. In a trace of 2021 an invocation started at its
end less its duration; without ``minutes`` the first start is the beginning.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from lab.errors import UsageError
from lab.load.arrivals.options import Options, number
from lab.load.arrivals.schedule import LONGEST_S, MOST, Schedule, check_size, finite, whole
from lab.load.arrivals.table import Table

EXAMPLES: Final = ("example-2019", "example-2021")
"""Names of two files of our own making, a minute long, one in each of Azure's schemas."""

_FOLDER: Final = Path(__file__).with_name("examples")
_COUNTS: Final = ("HashOwner", "HashApp", "HashFunction", "Trigger")
_SPANS: Final = ("app", "func", "end_timestamp", "duration")
_MINUTE_S: Final = 60.0
_LONG: Final = 30
"""No range of minutes is written by so many characters."""


def read(text: str, *, seed: int | None, models: Sequence[str]) -> Schedule:
    """The schedule of ``FILE`` or ``FILE:key=value,…``. Raises ``UsageError``."""
    path, words = _path(text, models)
    table = Table.read(path)
    if table.header[: len(_COUNTS)] == _COUNTS:
        return _of_counts(text, table, words, seed)
    if table.header == _SPANS:
        return _of_spans(text, table, words)
    options = Options.read(path.name, words, known=("minutes", "speed"))
    found = Schedule.read(path, longest_s=math.inf if options.values else LONGEST_S)
    if "minutes" in options.values:
        begin_s, end_s = _span(options, found.horizon_s)
        found = replace(
            found,
            said=f"{found.said}, minutes {options.values['minutes']}",
            instants=_between(found.instants, begin_s, end_s, found.horizon_s),
            horizon_s=end_s - begin_s,
            asked_idc=None,
        )
    return _played(found, options)


def _path(text: str, models: Sequence[str]) -> tuple[Path, list[str]]:
    name, words = text, ""
    if not _there(text) and ":" in text and "=" in text:
        name, _, words = text.rpartition(":")
    if _there(name):
        path = Path(name)
    elif name in EXAMPLES:
        path = _FOLDER / f"{name}.csv"
    else:
        raise UsageError(
            f"{name[:80]!r} is neither a file nor a model of arrivals.",
            remedy=f"Models are {', '.join(models)}; examples {' and '.join(EXAMPLES)}.",
        )
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", remedy="Name a file, like a run's schedule.csv.")
    return path, [word for word in words.split(",") if word.strip()]


def _there(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):  # What no file can be named, for its length or a character.
        return False


def _of_counts(said: str, table: Table, words: Sequence[str], seed: int | None) -> Schedule:
    known = ("app", "func", "minutes", "speed", "placement", "seed")
    options = Options.read(table.path.name, words, known=known)
    labels = table.header[len(_COUNTS) :]
    if not labels or labels != tuple(str(1 + place) for place in range(len(labels))):
        raise UsageError(
            f"{table.path}: its minutes are not 1, 2, 3 and so on.", remedy="Correct its header."
        )
    begin_s, end_s = _span(options, len(labels) * _MINUTE_S)
    first, last = round(begin_s / _MINUTE_S), round(end_s / _MINUTE_S)
    counts = np.zeros(last - first, dtype=np.int64)
    for where, cells in table.chosen(options, app=1, func=2):
        counts += _whole(cells[len(_COUNTS) + first : len(_COUNTS) + last], where, 1 + first)
    check_size(str(table.path), int(counts.sum()), (end_s - begin_s) / _speed(options))
    begins = np.repeat(np.arange(len(counts)) * _MINUTE_S, counts)
    placement, seed = options.one_of("placement", ("uniform", "even")), options.seed(seed)
    if placement == "uniform":
        within = default_rng(seed).uniform(0, 1, len(begins))
    else:
        rank = np.arange(len(begins)) - np.repeat(np.cumsum(counts) - counts, counts)
        within = (rank + 0.5) / np.repeat(counts, counts)
    return _played(
        Schedule(
            said=f"{said}, {placement} within a minute",
            instants=np.sort(begins + within * _MINUTE_S),
            horizon_s=end_s - begin_s,
            seed=seed if placement == "uniform" else None,
        ),
        options,
    )


def _whole(cells: Sequence[str], where: str, first: int) -> NDArray[np.int64]:
    try:
        counts = np.asarray(cells).astype(np.int64)
    except (ValueError, OverflowError):
        counts = np.asarray([-1])
    if (counts < 0).any():
        counts = np.asarray(
            [
                min(MOST + 1, whole(cell, f"{where}, minute {first + place}"))
                for place, cell in enumerate(cells)
            ]
        )
    return np.minimum(counts, MOST + 1)  # More are refused, and must not run over.


def _of_spans(said: str, table: Table, words: Sequence[str]) -> Schedule:
    options = Options.read(table.path.name, words, known=("app", "func", "minutes", "speed"))
    starts = []
    for where, cells in table.chosen(options, app=0, func=1):
        ended_s, took_s = finite(cells[2], where), finite(cells[3], where)
        if ended_s < 0 or took_s < 0:
            raise UsageError(
                f"{where}: {min(ended_s, took_s):g} is negative.", remedy="Correct that line."
            )
        starts.append(ended_s - took_s)
    instants = np.sort(np.asarray(starts, dtype=np.float64))
    check_size(str(table.path), len(instants), 0)
    if "minutes" in options.values:
        lasts_s = max(finite(cells[2], where) for where, cells in table.rows())
        begin_s, end_s = _span(options, lasts_s)
    else:
        begin_s, end_s = float(instants[0]), float(instants[-1])
        lasts_s = end_s
    return _played(
        Schedule(
            said=said,
            instants=_between(instants, begin_s, end_s, lasts_s),
            horizon_s=end_s - begin_s or 1.0,
        ),
        options,
    )


def _between(
    instants: NDArray[np.float64], begin_s: float, end_s: float, lasts_s: float
) -> NDArray[np.float64]:
    """From ``begin_s``, which is 0 then; what is due at ``end_s`` belongs to the next minute."""
    first, last = np.searchsorted(instants, [begin_s, end_s])
    return instants[first : len(instants) if end_s == lasts_s else last] - begin_s


def _span(options: Options, lasts_s: float) -> tuple[float, float]:
    """What ``minutes`` names of ``lasts_s`` seconds; all of it where it was not given."""
    first, last = options.get("minutes", _minutes) or (1, math.ceil(lasts_s / _MINUTE_S))
    there = math.ceil(lasts_s / _MINUTE_S)
    if last > there:
        raise UsageError(
            f"{options.of}: minutes: it has no minute {last}.", remedy=f"It has 1 to {there}."
        )
    return (first - 1) * _MINUTE_S, min(last * _MINUTE_S, lasts_s)


def _minutes(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if first.isdecimal() and (last.isdecimal() or not dash) and len(text) < _LONG:
        pair = int(first), int(last or first)
        if 1 <= pair[0] <= pair[1]:
            return pair
    raise UsageError(f"{text!r} is no range of minutes.", remedy="Write minutes=10-20, from 1 up.")


def _speed(options: Options) -> float:
    return options.get("speed", number(1e-3, 1e6)) or 1.0


def _played(schedule: Schedule, options: Options) -> Schedule:
    speed = _speed(options)
    horizon_s = schedule.horizon_s / speed
    check_size(options.of, len(schedule), horizon_s)
    if speed == 1:
        return schedule
    fast = f"{speed:g} times as fast" if speed > 1 else f"{1 / speed:g} times as slow"
    said = f"{schedule.said}, {fast}"
    return replace(schedule, said=said, instants=schedule.instants / speed, horizon_s=horizon_s)
