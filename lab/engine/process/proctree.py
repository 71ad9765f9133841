"""The processes of a session, from ``/proc``: who they are and what they used."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.api import ContainerLoad, Usage
from lab.host import read_text

PROC: Final = Path("/proc")
_DEAD: Final = "ZX"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A line of ``/proc/PID/stat``. ``born`` tells it from others that had the same number."""

    pid: int
    state: str
    session: int
    born: int
    """Clock ticks since boot."""
    ticks: int
    """CPU time of it and of those of its children that it has waited for."""

    @property
    def alive(self) -> bool:
        """Whether it runs: a zombie does not."""
        return self.state not in _DEAD


def read(pid: int, *, proc: Path = PROC) -> Process | None:
    """The process of that number, or None."""
    text = read_text(proc / str(pid) / "stat")
    if text is None:
        return None
    words = text.rpartition(")")[2].split()
    return Process(
        pid=pid,
        state=words[0],
        session=int(words[3]),
        ticks=sum(int(word) for word in words[11:15]),
        born=int(words[19]),
    )


def born(pid: int) -> int:
    """When the process of that number was born, in clock ticks since boot; 0 if there is none."""
    process = read(pid)
    return process.born if process else 0


def runs(pid: int, born: int) -> bool:
    """Whether the process of that number still runs, and is the one that was born then."""
    process = read(pid)
    return process is not None and process.alive and process.born == born


def session(leader: int, *, proc: Path = PROC) -> Sequence[Process]:
    """The living processes of the session that ``leader`` began."""
    found = []
    with suppress(OSError):
        for entry in proc.iterdir():
            if entry.name.isdigit():
                process = read(int(entry.name), proc=proc)
                if process is not None and process.session == leader and process.alive:
                    found.append(process)
    return found


def usage(leader: int, *, proc: Path = PROC) -> Usage:
    """What the session's living processes used.

    Memory is the sum of each one's peak, which counts shared pages more than once.
    """
    members = session(leader, proc=proc)
    if not members:
        return Usage()
    peaks = [_field(proc / str(m.pid) / "status", r"VmHWM:\s+(\d+) kB") for m in members]
    reads = [_field(proc / str(m.pid) / "io", r"\bread_bytes: (\d+)") for m in members]
    return Usage(
        peak_memory_bytes=sum(peak or 0 for peak in peaks) * 1024 or None,
        cpu_seconds=sum(member.ticks for member in members) / os.sysconf("SC_CLK_TCK"),
        read_bytes=None if None in reads else sum(read or 0 for read in reads),
    )


def load(leader: int, *, memory_limit_bytes: int, proc: Path = PROC) -> ContainerLoad | None:
    """What the session's living processes use now; None when there are none.

    Memory is each one's share of what it maps, so that shared pages count once.
    """
    members = session(leader, proc=proc)
    if not members:
        return None
    threads = [_field(proc / str(m.pid) / "status", r"Threads:\s+(\d+)") for m in members]
    return ContainerLoad(
        memory_bytes=sum(_memory(proc / str(m.pid)) for m in members),
        memory_limit_bytes=memory_limit_bytes,
        cpu_seconds=sum(member.ticks for member in members) / os.sysconf("SC_CLK_TCK"),
        threads=sum(count or 0 for count in threads),
    )


def _memory(process: Path) -> int:
    share = _field(process / "smaps_rollup", r"Pss:\s+(\d+) kB")
    if share is None:  # another user's process
        share = _field(process / "status", r"VmRSS:\s+(\d+) kB")
    return (share or 0) * 1024


def _field(path: Path, pattern: str) -> int | None:
    found = re.search(pattern, read_text(path) or "")
    return int(found[1]) if found else None
