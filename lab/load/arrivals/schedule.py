"""A schedule: sorted instants, kept in a file that any target can be loaded by."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from lab.errors import UsageError
from lab.runfiles import read_bytes, write_whole

COLUMN: Final = "instant_s"
LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When requests are due: seconds from the beginning, sorted, none negative."""

    said: str
    """How it was asked for: an expression, or a file's name."""
    instants: NDArray[np.float64]
    horizon_s: float
    """How long it lasts; nothing comes after the last instant."""
    seed: int | None = None

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

    @property
    def idc(self) -> float | None:
        """The index of dispersion of the instants; None where they are too few."""
        return None

    @cached_property
    def sha256(self) -> str:
        """Of the instants alone."""
        return hashlib.sha256(np.ascontiguousarray(self.instants).tobytes()).hexdigest()

    def write(self, path: Path) -> Path:
        """As CSV, with comments that say what it is. Raises ``DiskFullError``."""
        head = [f"# said: {self.said}", f"# horizon_s: {self.horizon_s!r}"]
        head += [] if self.seed is None else [f"# seed: {self.seed}"]
        lines = [*head, COLUMN, *(repr(one) for one in self.instants.tolist())]
        return write_whole(path, "\n".join(lines) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What ``write`` wrote. Raises ``UsageError`` with the line."""
        text = read_bytes(path, remedy="Name a schedule's file.").decode("utf-8", "replace")
        told: dict[str, str] = {}
        instants: list[float] = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.startswith("#"):
                key, _, value = line[1:].partition(":")
                told[key.strip()] = value.strip()
            elif line and line != COLUMN:
                try:
                    instants.append(float(line))
                except ValueError:
                    raise UsageError(f"{path}, line {number}: {line!r} is no number.") from None
        last = instants[-1] if instants else 0.0
        return cls(
            said=told.get("said", path.name),
            instants=np.asarray(instants, dtype=np.float64),
            horizon_s=float(told.get("horizon_s", last)),
            seed=int(told["seed"]) if "seed" in told else None,
        )
