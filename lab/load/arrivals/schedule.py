"""A schedule: sorted instants, kept in a file that any target can be loaded by."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from lab.errors import UsageError
from lab.load.arrivals.dispersion import Dispersion, measure
from lab.runfiles import read_bytes, write_whole

COLUMN: Final = "instant_s"
LONGEST_S: Final = 86_400.0
MOST: Final = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When requests are due: seconds from the beginning, sorted, none negative."""

    said: str
    """How it was asked for: an expression, or a file's name; one line."""
    instants: NDArray[np.float64]
    horizon_s: float
    """How long it lasts; nothing comes after the last instant."""
    seed: int | None = None
    """What it was drawn by; None where nothing was drawn."""
    asked_idc: float | None = None
    """The index of dispersion in the limit of the model that it was drawn from."""

    def __len__(self) -> int:
        return len(self.instants)

    @property
    def rate_per_s(self) -> float:
        return len(self) / self.horizon_s

    @cached_property
    def peak_per_s(self) -> int:
        """The most instants in any window of a second."""
        ends = np.searchsorted(self.instants, self.instants + 1.0, side="left")
        return int((ends - np.arange(len(self))).max(initial=0))

    @cached_property
    def dispersion(self) -> Dispersion | None:
        """The index of dispersion with its windows; None where the instants do not support it."""
        return measure(self.instants, self.horizon_s)

    @property
    def idc(self) -> float | None:
        """The index of dispersion of the instants; None where they do not support it."""
        return None if self.dispersion is None else self.dispersion.idc

    @cached_property
    def sha256(self) -> str:
        """Of the instants alone."""
        return hashlib.sha256(np.ascontiguousarray(self.instants).tobytes()).hexdigest()

    def write(self, path: Path) -> Path:
        """As CSV, with comments that say what it is. Raises ``DiskFullError``."""
        head = [f"# said: {' '.join(self.said.split())}", f"# horizon_s: {float(self.horizon_s)!r}"]
        head += [] if self.seed is None else [f"# seed: {self.seed}"]
        head += [] if self.asked_idc is None else [f"# asked_idc: {float(self.asked_idc)!r}"]
        lines = [*head, COLUMN, *(repr(one) for one in self.instants.tolist())]
        return write_whole(path, "\n".join(lines) + "\n")

    @classmethod
    def read(cls, path: Path, *, longest_s: float = LONGEST_S) -> Self:
        """What ``write`` wrote, or instants alone: then it lasts until the last of them.

        Raises ``UsageError`` with the line.
        """
        text = read_bytes(path, remedy="Name a schedule's file.").decode("utf-8-sig", "replace")
        told: dict[str, str] = {}
        instants: list[float] = []
        before = 0.0
        for number, line in enumerate(text.splitlines(), start=1):
            where = f"{path}, line {number}"
            if line.startswith("#"):
                key, _, value = line[1:].partition(":")
                told[key.strip()] = value.strip()
                if key.strip() in _TOLD:
                    _TOLD[key.strip()](value.strip(), where)
            elif line.strip() and (instants or line.strip() != COLUMN):
                instant = finite(line, where)
                if instant < before:
                    why = "is before the one above it" if instants else "is before the beginning, 0"
                    raise UsageError(
                        f"{where}: {line.strip()} {why}.",
                        remedy="Instants are seconds from the beginning, sorted.",
                    )
                if len(instants) == MOST:
                    raise UsageError(f"{where}: more than {MOST:,} instants.", remedy=_FEWER)
                instants.append(instant)
                before = instant
        horizon_s = float(told.get("horizon_s", before or 1.0))
        if horizon_s < before or horizon_s <= 0:
            raise UsageError(
                f"{path}: it ends at {horizon_s:g} s, before its last instant.",
                remedy="Take the line `# horizon_s` out, or correct it.",
            )
        check_size(str(path), len(instants), horizon_s, longest_s=longest_s)
        return cls(
            said=told.get("said", path.name),
            instants=np.asarray(instants, dtype=np.float64),
            horizon_s=horizon_s,
            seed=int(told["seed"]) if "seed" in told else None,
            asked_idc=float(told["asked_idc"]) if "asked_idc" in told else None,
        )


_DIGITS: Final = 100
_MORE: Final = "Ask for a higher rate, a longer time or another seed, or name a file that has some."
_FEWER: Final = "Ask for a lower rate or a shorter time."


def finite(text: str, where: str) -> float:
    """A cell as a number. Raises ``UsageError`` beginning with ``where``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(
            f"{where}: {text.strip()[:40]!r} is no number.", remedy="Correct that line."
        )
    return number


def whole(text: str, where: str) -> int:
    """A cell as a whole number, 0 or more. Raises ``UsageError`` beginning with ``where``."""
    if not text.isdecimal() or len(text) > _DIGITS:
        raise UsageError(
            f"{where}: {text[:40]!r} is no whole number from 0 up.", remedy="Correct that line."
        )
    return int(text)


_TOLD: Final = {"horizon_s": finite, "asked_idc": finite, "seed": whole}


def check_size(of: str, many: float, horizon_s: float, *, longest_s: float = LONGEST_S) -> None:
    """Raises ``UsageError`` for what is empty, too long or too much to send."""
    if horizon_s > longest_s:
        raise UsageError(
            f"{of}: {horizon_s:,.0f} s are more than a day, which is the most.",
            remedy="Shorten it; of a trace's file take some minutes=, or go faster by speed=.",
        )
    if many > MOST:
        raise UsageError(f"{of}: {many:,.0f} requests, and {MOST:,} are the most.", remedy=_FEWER)
    if not many:
        raise UsageError(f"{of}: there is no request in it.", remedy=_MORE)
