"""Start-up marks: when did this process get how far? Standard library only, imported first.

All times are nanoseconds since the epoch. A mark says that a state *is reached*: the service has
all its imports, and its model, and so on. Model load and imports overlap where that is quicker,
so a mark counts from when all marks before it are reached too, and marks are always in order.
"""

import time
from itertools import pairwise

_INTERPRETER = time.time_ns()

TYPE_CHECKING = False  # importing ``typing`` would cost more than this whole module
if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
ORDER = ("process", "interpreter", "imports", "model_loaded", "warmed_up", "listening")


class Marks:
    """The marks of one process; ``take`` may be called from any thread, the last call counts."""

    def __init__(self, interpreter_ns: int) -> None:
        self._raw = {"interpreter": interpreter_ns}

    def take(self, name: str) -> None:
        """Note that ``name`` happened now."""
        self._raw[name] = time.time_ns()

    def complete(self) -> bool:
        """Whether every mark but ``process``, which is looked up at the end, is taken."""
        return all(name in self._raw for name in ORDER[1:])

    def record(self, *, pid: int, stat: str | None = None) -> dict[str, object]:
        """What ``GET /startup`` answers, for the process ``pid`` that the container began with."""
        raw = dict(self._raw)
        begun = process_start_ns(pid) if stat is None else _start_ns(stat)
        if begun is not None:
            raw["process"] = min(begun, raw["interpreter"])
        reached: dict[str, int] = {}
        latest = 0
        for name in ORDER:
            if name in raw:
                latest = max(latest, raw[name])
                reached[name] = latest
        return {"schema": SCHEMA, "pid": pid, "marks": reached}


def seconds(record: "Mapping[str, object]") -> dict[str, float]:
    """The time between neighbouring marks, named by the later one."""
    marks = record["marks"]
    if not isinstance(marks, dict):
        return {}
    return {name: (ns - before) / 1e9 for (_, before), (name, ns) in pairwise(marks.items())}


def process_start_ns(pid: int) -> int | None:
    """When the kernel started ``pid``, to its tick of 10 ms; None where there is no ``/proc``."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123  # pathlib costs milliseconds
            return _start_ns(file.read())
    except OSError:
        return None


def _start_ns(stat: str) -> int | None:
    import os  # only at the end of the start

    # Field 22, counted after the command's closing bracket: the command may hold spaces.
    fields = stat.rpartition(")")[2].split()
    try:
        ticks = int(fields[19])
    except (IndexError, ValueError):
        return None
    since_boot_ns = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot_ns + since_boot_ns


taken = Marks(_INTERPRETER)
