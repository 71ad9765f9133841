"""What became of the requests of a load: ``requests.csv`` as columns."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lab.errors import UsageError
from lab.load.job import COLUMNS, THROTTLED, THROTTLED_STATUS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Requests:
    """One row a request, in the order of their numbers. Seconds are of the schedule."""

    number: Integers
    sitting: Integers
    """Which start of the sender sent it: ``--resume`` goes on in another."""
    intended_s: Floats
    sent_s: Floats
    first_byte_s: Floats
    """NaN where nothing came."""
    done_s: Floats
    status: Integers
    """0 where no answer came."""
    cold: Integers
    """1 waited for a container that had to be started, 0 did not, -1 where nothing tells."""
    payload: Integers
    sent_bytes: Integers
    received_bytes: Integers
    error: Sequence[str]

    def __len__(self) -> int:
        return len(self.number)

    @property
    def latency_s(self) -> Floats:
        """From the instant at which it was to be sent until the whole answer was there."""
        return self.done_s - self.intended_s

    @property
    def late_s(self) -> Floats:
        """By how much the sender missed the instant."""
        return self.sent_s - self.intended_s

    @property
    def answered(self) -> Mask:
        """With 2xx."""
        return np.asarray(np.logical_and(self.status >= 200, self.status < 300))

    @property
    def throttled(self) -> Mask:
        """Turned away above a limit of concurrency: counted apart from failures."""
        codes = np.asarray([one == THROTTLED for one in self.error], dtype=np.bool_)
        return np.asarray(np.logical_or(self.status == THROTTLED_STATUS, codes))

    @property
    def failed(self) -> Mask:
        """Neither answered nor throttled."""
        return ~(self.answered | self.throttled)

    def where(self, mask: Mask) -> Self:
        """Only some of them."""
        return self.take(np.flatnonzero(mask))

    def take(self, places: Integers) -> Self:
        """Some of them, in an order."""
        chosen = {name: getattr(self, name)[places] for name in COLUMNS if name != "error"}
        return type(self)(**chosen, error=[self.error[place] for place in places])

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file that senders append to. A last line torn by a crash is left out.

        Raises ``UsageError`` with the line that does not parse.
        """
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
        lines = text.splitlines()[: text.count("\n")]
        rows = list(csv.reader(lines))
        for place, row in enumerate(rows, start=1):
            if len(row) != len(COLUMNS):
                raise UsageError(
                    f"{path}, line {place}: {len(row)} columns where {len(COLUMNS)} belong.",
                    remedy="The file was changed: measure again.",
                )
        rows.sort(key=lambda row: int(row[0]))
        columns = dict(zip(COLUMNS, zip(*rows, strict=True) if rows else [()] * 12, strict=True))
        try:
            found = {name: _COLUMN[name](columns[name]) for name in COLUMNS if name != "error"}
        except ValueError as error:
            raise UsageError(f"{path}: {error}.", remedy="Measure again.") from error
        return cls(**found, error=list(columns["error"]))


def _floats(cells: Sequence[str]) -> Floats:
    return np.asarray([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)


def _integers(cells: Sequence[str]) -> Integers:
    return np.asarray([int(cell) if cell else -1 for cell in cells], dtype=np.int64)


_COLUMN: dict[str, Callable[[Sequence[str]], Any]] = {
    name: _floats if name.endswith("_s") else _integers for name in COLUMNS
}
