"""Data sets of clicks that others have published: Yoochoose, Diginetica, RetailRocket.

Sessions of one click and items clicked less than five times are left out, as is usual; so are
clicks after a session's item that was never seen before.
"""

import csv
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.recommender_niser.sessions import Sessions, of

LEAST_CLICKS: Final = 5
PAUSE_S: Final = 30 * 60
"""After which a visitor's next click begins a session, where the data has visitors only."""
DAY_S: Final = 24 * 3600


class WrongDataError(ValueError):
    """Says which file, line and column is wrong, and how."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A published file of clicks."""

    name: str
    file: str
    header: tuple[str, ...]
    """Empty: the file has none, and ``columns`` are by place."""
    columns: tuple[str, str, str]
    """Session (or visitor), time and item."""
    delimiter: str
    seconds: Callable[[str], float]
    test_days: int
    visitors: bool = False
    """Whether a row names a visitor and not a session."""
    kept: Mapping[str, str] | None = None
    """The rows that count, by column."""
    share: int = 1
    """Of the sessions to learn from, the last 1/share: as published."""


def _iso(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _day_and_ms(text: str) -> float:
    day, _, ms = text.partition(" ")
    return datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() + float(ms) / 1000


KNOWN: Final = (
    DataSet(
        name="Yoochoose 1/64",
        file="yoochoose-clicks.dat",
        header=(),
        columns=("session", "timestamp", "item"),
        delimiter=",",
        seconds=_iso,
        test_days=1,
        share=64,
    ),
    DataSet(
        name="Diginetica",
        file="train-item-views.csv",
        header=("sessionid", "userid", "itemid", "timeframe", "eventdate"),
        columns=("sessionid", "eventdate timeframe", "itemid"),
        delimiter=";",
        seconds=_day_and_ms,
        test_days=7,
    ),
    DataSet(
        name="RetailRocket",
        file="events.csv",
        header=("timestamp", "visitorid", "event", "itemid", "transactionid"),
        columns=("visitorid", "timestamp", "itemid"),
        delimiter=",",
        seconds=lambda text: int(text) / 1000,
        test_days=7,
        visitors=True,
        kept={"event": "view"},
    ),
)


def find(folder: Path) -> DataSet:
    """Which data set lies in a folder; raises ``WrongDataError``."""
    for one in KNOWN:
        if (folder / one.file).is_file():
            return one
    names = ", ".join(f"{one.file} ({one.name})" for one in KNOWN)
    raise WrongDataError(f"The data folder holds none of {names}.")


def load(folder: Path) -> tuple[DataSet, Sessions, Sessions, NDArray[np.int64]]:
    """What it is, the sessions to learn from, those of the last days, and the raw id of each item,
    ascending: item ``i`` is ``ids[i - 1]``. Raises ``WrongDataError``.
    """
    found = find(folder)
    visits, times, items = array("q"), array("d"), array("q")
    for visit, time, item in _rows(found, folder / found.file):
        visits.append(visit)
        times.append(time)
        items.append(item)
    if not visits:
        raise WrongDataError(f"{found.file} has no clicks.")
    learn, test, ids = prepared(
        found, np.array(visits, np.int64), np.array(times), np.array(items, np.int64)
    )
    if not len(learn) or not len(test):
        raise WrongDataError(
            f"{found.file} leaves no sessions to learn from, or none to test on: the last "
            f"{found.test_days} days are tested, items with fewer than {LEAST_CLICKS} clicks count "
            "for nothing."
        )
    return found, learn, test, ids


def prepared(
    found: DataSet, visit: NDArray[np.int64], time: NDArray[np.float64], item: NDArray[np.int64]
) -> tuple[Sessions, Sessions, NDArray[np.int64]]:
    """The two parts, in the graph's ids, and the raw ids."""
    order = np.lexsort((time, visit))
    visit, time, item = visit[order], time[order], item[order]
    begins = np.r_[True, visit[1:] != visit[:-1]]
    if found.visitors:
        begins |= np.r_[True, np.diff(time) > PAUSE_S]
    session = np.cumsum(begins) - 1
    day = (time[begins] // DAY_S).astype(np.int64)
    chronological = np.argsort(np.argsort(time[begins], kind="stable"), kind="stable")
    tested = day > day.max() - found.test_days
    often = _often(item)
    first = np.quantile(chronological[~tested], 1 - 1 / found.share) if (~tested).any() else 0
    learns = ~tested & (chronological >= first)
    chosen = often & learns[session]
    ids = np.unique(item[chosen])
    learn = _packed(session[chosen], item[chosen], day, ids)
    kept = tested[session] & np.isin(item, ids)
    return learn, _packed(session[kept], item[kept], day, ids), ids


def _often(item: NDArray[np.int64]) -> NDArray[np.bool_]:
    _, place, count = np.unique(item, return_inverse=True, return_counts=True)
    often: NDArray[np.bool_] = count[place] >= LEAST_CLICKS
    return often


def _packed(
    session: NDArray[np.int64],
    item: NDArray[np.int64],
    day: NDArray[np.int64],
    ids: NDArray[np.int64],
) -> Sessions:
    """Sessions of two clicks or more."""
    which, place, count = np.unique(session, return_inverse=True, return_counts=True)
    long = count > 1
    items = np.searchsorted(ids, item[long[place]]) + 1
    return of(items, count[long], day[which[long]])


def _rows(found: DataSet, path: Path) -> Iterator[tuple[int, float, int]]:
    """Session, seconds and item of every click that counts."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter=found.delimiter)
        names = found.header or (*found.columns, "category")
        if found.header:
            head = [one.strip().lower().replace("_", "") for one in next(reader, [])]
            for column, (is_, want) in enumerate(zip([*head, *[""] * 9], names, strict=False), 1):
                if is_ != want:
                    raise WrongDataError(
                        f"{path.name}, line 1, column {column} is {is_!r}, not {want!r}: "
                        f"{found.name} has {found.delimiter.join(names)}."
                    )
        visit, time, item = ([names.index(part) for part in one.split()] for one in found.columns)
        kept = [(names.index(name), value) for name, value in (found.kept or {}).items()]
        for row in reader:
            if len(row) != len(names):
                raise WrongDataError(
                    f"{path.name}, line {reader.line_num} has {len(row)} columns, not {len(names)}:"
                    f" {found.delimiter.join(names)}."
                )
            if any(row[at] != value for at, value in kept):
                continue
            at = visit[0]
            try:
                one = int(row[at])
                at = time[0]
                when = found.seconds(" ".join(row[part] for part in time))
                at = item[0]
                yield one, when, int(row[at])
            except ValueError as error:
                raise WrongDataError(
                    f"{path.name}, line {reader.line_num}, column {at + 1} ({names[at]}): {error}."
                ) from error
