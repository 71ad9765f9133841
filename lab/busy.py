"""How much of this machine others took while something was measured, by the kernel's counters.

Others are all programs but the lab's own processes, its engine's, and the containers that are
measured; kernel threads serve whoever asks and are nobody's. What others took is summed by
process, whose CPU seconds the kernel keeps exactly: the machine's total in ``/proc/stat`` counts
clock ticks, too coarse for a start of a third of a second.

A reading takes a few milliseconds, so it is made beside what is timed, never within.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import Field

from lab.schema import Frozen

VARIABLE: Final = "LAB_BUSY"
"""``ignore`` takes the machine as it is: nothing is looked at, and nobody waits for another."""

NOT_JUDGED: Final = "the machine was busy: time not judged"

SHARE: Final = 0.2
"""Of the machine's CPU time from which others are said to have disturbed a measurement.

On two cores a program that is busy for a twentieth of its time takes 2.5 %, one that always is
takes 50 %. Below a fifth a start of one thread still finds a free core nearly always, and what it
loses is within the spread of quiet trials.
"""

LEAST_S: Final = 0.1
"""CPU seconds of others below which nothing is said: ten of the ticks in which they are told."""

ROOM: Final = 0.25
"""CPUs that must be left beside a container's quota, for the engine and the lab."""

_PROC: Final = Path("/proc")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_KTHREAD: Final = 0x00200000
_ENGINE: Final = re.compile(r"dockerd|containerd|runc|docker-proxy|docker-init|buildkitd")
_CONTAINER: Final = re.compile(r"[0-9a-f]{64}")
_NAMED: Final = 3
_WORTH_NAMING: Final = 0.1


class MachineUse(Frozen):
    """What a machine did while something was measured. Seconds are CPU seconds but for two."""

    wall_s: float
    cpus: int
    busy_s: float
    """All of it, what was measured included."""
    others_s: float
    """What others used."""
    steal_s: float
    """What the hypervisor gave to other machines."""
    load: float
    """Processes that ran or wanted to at the end, the mean of a minute."""
    stalled_s: Mapping[str, float] = Field(default_factory=dict)
    """Seconds in which a process, one of the container's included, waited for ``cpu``, ``io`` or
    ``memory``; empty on kernels that do not tell."""
    who: tuple[str, ...] = ()
    """The names of the programs that took most, at most three."""

    @property
    def taken(self) -> float:
        """The share of the machine's CPU time that was not there for what was measured."""
        return (self.others_s + self.steal_s) / max(self.wall_s * self.cpus, _TICK_S)


def disturbed(use: MachineUse | None, *, quota_cpus: float | None = None) -> bool:
    """Whether others took so much that times say nothing; False where nothing is known.

    ``quota_cpus`` is all that was measured may use: with that much left over, it had what it
    wanted however busy the rest was.
    """
    if use is None or use.taken < SHARE or use.others_s + use.steal_s < LEAST_S:
        return False
    return quota_cpus is None or use.cpus * (1 - use.taken) < quota_cpus + ROOM


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as ``/proc/PID/stat`` tells it."""

    parent: int
    name: str
    kernel: bool
    cpu_s: float
    reaped_s: float
    """Of its children that have ended and were waited for, and of theirs."""

    @property
    def all_s(self) -> float:
        return self.cpu_s + self.reaped_s


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The kernel's counters at one moment."""

    at_s: float
    """Monotonic."""
    cpus: int
    busy_s: float
    steal_s: float
    load: float
    stalled_s: Mapping[str, float] = field(default_factory=dict)
    processes: Mapping[tuple[int, int], Process] = field(default_factory=dict)
    """By number and birth, since numbers are used again."""


def ignored() -> bool:
    """Whether the user takes the machine as it is."""
    return os.environ.get(VARIABLE) == "ignore"


def read(*, proc: Path = _PROC) -> Reading | None:
    """The counters now; None on a system that has none, and where nobody wants to know."""
    if ignored() and proc == _PROC:
        return None
    stat = _text(proc / "stat")
    total = re.search(r"^cpu +(\d+) (\d+) (\d+) \d+ \d+ \d+ \d+ (\d+)", stat, re.MULTILINE)
    if total is None:
        return None
    user, nice, system, steal = (int(ticks) * _TICK_S for ticks in total.groups())
    return Reading(
        at_s=time.monotonic(),
        cpus=len(re.findall(r"^cpu\d", stat, re.MULTILINE)) or 1,
        busy_s=user + nice + system,
        steal_s=steal,
        load=float((_text(proc / "loadavg").split() or ["0"])[0]),
        stalled_s=dict(_stalled(proc / "pressure")),
        processes=dict(_processes(proc)),
    )


def between(
    before: Reading | None,
    after: Reading | None,
    *,
    ours: Collection[str] = (),
    proc: Path = _PROC,
    pid: int | None = None,
) -> MachineUse | None:
    """What happened from one reading to the next, made just now; None where one is missing.

    ``ours`` are the ids of the containers that are measured or belong to it, ``pid`` is the lab's
    own process (this one, if None).
    """
    if before is None or after is None:
        return None
    taken = _taken(before, after, ours=ours, proc=proc, pid=os.getpid() if pid is None else pid)
    wall_s = after.at_s - before.at_s
    most = sorted(taken, key=lambda name: -taken[name])
    worth_s = _WORTH_NAMING * sum(taken.values())
    return MachineUse(
        wall_s=round(wall_s, 4),
        cpus=after.cpus,
        busy_s=round(after.busy_s - before.busy_s, 3),
        # A process that ends may leave to its parent more than it used since.
        others_s=round(min(sum(taken.values()), wall_s * after.cpus), 3),
        steal_s=round(max(after.steal_s - before.steal_s, 0.0), 3),
        load=after.load,
        stalled_s={
            what: round(after.stalled_s[what] - seconds, 3)
            for what, seconds in before.stalled_s.items()
            if what in after.stalled_s
        },
        who=tuple(name for name in most[:_NAMED] if taken[name] >= worth_s),
    )


def watch(seconds: float) -> MachineUse | None:
    """What others do on this machine now, looked at for so long."""
    before = read()
    if before is None:
        return None
    time.sleep(seconds)
    return between(before, read())


def told(use: MachineUse) -> str:
    """``others took 61 % of its 2 CPUs (python3, cc1)``."""
    stolen = " or its host" if use.steal_s > use.others_s else ""
    who = f" ({', '.join(use.who)})" if use.who else ""
    return f"others{stolen} took {use.taken:.0%} of its {use.cpus} CPUs{who}".replace("%", " %")


def _taken(
    before: Reading, after: Reading, *, ours: Collection[str], proc: Path, pid: int
) -> Mapping[str, float]:
    """CPU seconds that others used, by the name of the program."""
    by_pid = {number: one for (number, _), one in after.processes.items()}
    # Whoever the lab or the engine descends from inherits what their children used.
    heirs = {1} | {
        number
        for own, one in by_pid.items()
        if own == pid or _ENGINE.match(one.name)
        for number in _line(own, by_pid)
        if number != own
    }
    ended = _ended(before, after)
    taken: dict[str, float] = defaultdict(float)
    for (number, birth), one in after.processes.items():
        was = before.processes.get((number, birth))
        used = one.cpu_s - (was.cpu_s if was else 0.0)
        if number not in heirs:
            inherited = one.reaped_s - (was.reaped_s if was else 0.0)
            used += max(inherited - ended.get(number, 0.0), 0.0)
        if used >= _TICK_S / 2 and _is_other(number, by_pid, ours=ours, proc=proc, pid=pid):
            taken[one.name] += used
    return taken


def _is_other(
    number: int, by_pid: Mapping[int, Process], *, ours: Collection[str], proc: Path, pid: int
) -> bool:
    line = list(_line(number, by_pid))
    if by_pid[number].kernel or pid in line or _ENGINE.match(by_pid[number].name):
        return False
    container = _CONTAINER.findall(_text(proc / str(number) / "cgroup"))
    if any(one in ours for one in container):
        return False
    # The engine's helpers have names of their own, but no container's.
    served = any(_ENGINE.match(by_pid[one].name) for one in line if one in by_pid)
    return bool(container) or not served


def _line(number: int, by_pid: Mapping[int, Process]) -> Iterator[int]:
    """A process, its parent, and so on."""
    seen: set[int] = set()
    while number in by_pid and number not in seen:
        seen.add(number)
        yield number
        number = by_pid[number].parent


def _ended(before: Reading, after: Reading) -> Mapping[int, float]:
    """What had been used by children that have ended since: their parents inherit that, too."""
    gone = {
        number: one
        for (number, birth), one in before.processes.items()
        if (number, birth) not in after.processes
    }
    found: dict[int, float] = {}
    for one in gone.values():
        parent = one.parent
        for heir in _line(parent, gone):
            parent = gone[heir].parent
        found[parent] = found.get(parent, 0.0) + one.all_s
    return found


def _processes(proc: Path) -> Iterator[tuple[tuple[int, int], Process]]:
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        head, _, tail = _text(folder / "stat").rpartition(")")
        words = tail.split()
        if len(words) < 20:
            continue  # it has ended
        yield (
            (int(folder.name), int(words[19])),
            Process(
                parent=int(words[1]),
                name=head.partition("(")[2],
                kernel=bool(int(words[6]) & _KTHREAD),
                cpu_s=(int(words[11]) + int(words[12])) * _TICK_S,
                reaped_s=(int(words[13]) + int(words[14])) * _TICK_S,
            ),
        )


def _stalled(folder: Path) -> Iterator[tuple[str, float]]:
    for what in ("cpu", "io", "memory"):
        found = re.search(r"^some .*total=(\d+)", _text(folder / what), re.MULTILINE)
        if found:
            yield what, int(found[1]) / 1e6


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
