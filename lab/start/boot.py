"""What can be seen from outside of a start that tells nothing of itself.

A front server (NGINX, a Java one) opens its port at once and refuses until the program behind it
is there: the port says little. So the whole way to the first ``/ping`` 200 is one phase, with what
was seen on it: when the port opened, what ``/ping`` answered, the CPU seconds, and which processes
came up when. The latter two are read from the container's cgroup and ``/proc`` as often as the
engine is asked whether it runs: some files of the kernel's, nothing inside the container.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.engine.docker.cgroup import ROOT, ContainerGroup, group_of
from lab.host import read_text
from lab.schema import Frozen
from lab.start.probe import Probes

_PROC: Final = Path("/proc")
_NS: Final = 1_000_000_000
_TICK_NS: Final = 10_000_000
"""The kernel's clock ticks in ``/proc/PID/stat``, 100 a second on every Linux."""
_MOST: Final = 64
"""Processes that are looked at each time."""
_NAMED: Final = 8
_TRIES: Final = 3
"""How often the cgroup is looked for: not to be seen from here, it costs a search each time."""


class PingAnswer(Frozen):
    """One answer of ``/ping`` that was not 200, for as long as it was given."""

    status: int | None
    """None: it accepted and did not answer within 2 s."""
    from_s: float
    until_s: float


class CameUp(Frozen):
    """Processes of one name."""

    name: str
    count: int
    first_s: float
    last_s: float


class Boot(Frozen):
    """What was seen from outside; times are seconds after process 1 ran."""

    port_open_s: float | None = None
    answers: tuple[PingAnswer, ...] = ()
    """Before the first 200."""
    cpu_seconds: float | None = None
    """Until then, of all its processes."""
    throttled_seconds: float | None = None
    processes: tuple[CameUp, ...] = ()
    """In the order in which the first of each name came up."""


@dataclass(kw_only=True)
class _Seen:
    name: str
    born_ns: int


@dataclass(kw_only=True)
class BootWatch:
    """Looks at a container from outside, a few times a second."""

    container_id: str
    root: Path = ROOT
    proc: Path = _PROC
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    _group: ContainerGroup | None = None
    _tries: int = 0
    _seen: dict[int, _Seen] = field(default_factory=dict)

    def look(self, pid: int | None) -> None:
        """Once more; ``pid`` is what the engine calls process 1."""
        if self._group is None:
            if self._tries >= _TRIES:
                return
            self._tries += 1
            self._group = group_of(self.container_id, pid, root=self.root, proc=self.proc)
        self.count()
        self.list_processes()

    def count(self) -> None:
        """Only the CPU seconds: when it has become ready, with no time to lose."""
        if self._group is not None:
            cpu, throttled = self._group.cpu()
            self.cpu_seconds = self.cpu_seconds if cpu is None else cpu
            self.throttled_seconds = self.throttled_seconds if throttled is None else throttled

    def list_processes(self) -> None:
        """Who is there; a name counts as it was last seen, for a new process has its parent's."""
        for pid in () if self._group is None else self._group.pids()[:_MOST]:
            head, _, tail = (read_text(self.proc / str(pid) / "stat") or "").rpartition(")")
            words = tail.split()
            if len(words) >= 20:
                name = head.partition("(")[2]
                self._seen[pid] = _Seen(name=name, born_ns=int(words[19]) * _TICK_NS)

    def boot(self, probes: Probes | None, *, started_ns: int, ready_ns: int | None) -> Boot:
        """What was seen until ``ready_ns``, or until now. By this machine's clock."""
        origin_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

        def after(at_ns: int) -> float:
            return round(max(at_ns - started_ns, 0) / _NS, 3)

        born: dict[str, list[int]] = {}
        for one in self._seen.values():
            at_ns = origin_ns + one.born_ns
            if ready_ns is None or at_ns <= ready_ns:
                born.setdefault(one.name, []).append(at_ns)
        came = [
            CameUp(name=name, count=len(at), first_s=after(min(at)), last_s=after(max(at)))
            for name, at in born.items()
        ]
        accepting_ns = None if probes is None else probes.accepting_ns
        return Boot(
            port_open_s=None if accepting_ns is None else after(accepting_ns),
            answers=tuple(
                PingAnswer(
                    status=one.status, from_s=after(one.first_ns), until_s=after(one.last_ns)
                )
                for one in (() if probes is None else probes.refusals)
            ),
            cpu_seconds=self.cpu_seconds,
            throttled_seconds=self.throttled_seconds,
            processes=tuple(_first(came)),
        )


def _first(came: Sequence[CameUp]) -> Sequence[CameUp]:
    """The container's own start is told by its engine's program for an instant."""
    own = [one for one in came if not one.name.startswith("runc")]
    return sorted(own, key=lambda one: one.first_s)[:_NAMED]
