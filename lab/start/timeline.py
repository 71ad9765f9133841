"""From marks to phases.

Every phase has a beginning and an end of its own. Between the steps that the lab drives (fetch,
create, start, predict) lies the lab's own work, which belongs to no phase: it is a real gap, and
too large a gap makes a sample inconsistent. From ``START_BEGIN`` to ``READY`` the container runs
by itself, and its phases follow each other without gaps.

There, marks may come out of order: a server may import while it loads its model, or accept before
it is warm. So a phase ends at the *latest* of its own mark and those before it (a running
maximum), and what overlapped gets length 0 rather than a negative one. ``model_load`` ends when
the model has answered once (``WARMED_UP``): a model that has not is not ready to serve.

Plain processes have no ``create`` and no ``start``: making one is part of what comes first in it.
Their ``STARTED`` is ``START_BEGIN``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.spec import Mark, Phase

TOLERANCE: Final = 0.02
"""The share of the wall time by which the phases may miss it, beyond the trial's error bar."""

CLOCK_TICK_S: Final = 0.010
"""``process`` comes from the kernel's start time of a process, which is kept in 10 ms ticks."""

_NS: Final = 1e9
_DRIVEN: Final = (
    (Phase.IMAGE_MOUNT, Mark.MOUNT_BEGIN, Mark.MOUNT_END),
    (Phase.IMAGE_PULL, Mark.PULL_BEGIN, Mark.PULL_DOWNLOADED),
    (Phase.IMAGE_UNPACK, Mark.PULL_DOWNLOADED, Mark.PULL_END),
    (Phase.MODEL_FETCH, Mark.FETCH_BEGIN, Mark.FETCH_END),
    (Phase.CREATE, Mark.CREATE_BEGIN, Mark.CREATE_END),
)
_INSIDE: Final = (
    (Phase.INTERPRETER, (Mark.INTERPRETER,)),
    (Phase.IMPORTS, (Mark.IMPORTS,)),
    (Phase.MODEL_LOAD, (Mark.MODEL_LOADED, Mark.WARMED_UP)),
    (Phase.SERVE, (Mark.ACCEPTING,)),
    (Phase.READY, (Mark.READY,)),
)
_OUTSIDE: Final = ((Phase.BOOT, (Mark.ACCEPTING, Mark.READY)),)
"""That a port is open says little of a container that tells nothing: see ``lab.start.boot``."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What a server says of its own start-up. Nanoseconds since the epoch, by its own clock.

    ``process_ns`` is the kernel's start time of its process 1: proof that it is a new one, but no
    boundary between phases, since engines fork that process before the container is complete.
    """

    process_ns: int
    marks: Mapping[Mark, int]

    def shifted(self, by_ns: int) -> "Inside":
        """The same on a clock that is ``by_ns`` ahead of the server's."""
        return Inside(
            process_ns=self.process_ns + by_ns,
            marks={mark: at + by_ns for mark, at in self.marks.items()},
        )


def inside_marks(report: Any) -> Inside | None:
    """The object that ``GET /startup`` answers, or None if it is not one of ours."""
    marks = report.get("marks") if isinstance(report, dict) else None
    if not isinstance(marks, dict) or report.get("schema") != 1:
        return None
    times = {name: at for name, at in marks.items() if isinstance(at, int) and at > 0}
    known = {Mark(name): at for name, at in times.items() if name in _NAMES}
    if "process" not in times or Mark.INTERPRETER not in known:
        return None
    return Inside(process_ns=times["process"], marks=known)


_NAMES: Final = {
    mark.value
    for mark in (
        Mark.INTERPRETER,
        Mark.IMPORTS,
        Mark.MODEL_LOADED,
        Mark.WARMED_UP,
        Mark.LISTENING,
    )
}


def phases(marks: Mapping[Mark, int]) -> dict[Phase, float]:
    """The length of each phase in seconds, of those phases whose marks there are."""
    return {phase: (end - begin) / _NS for phase, begin, end in spans(marks)}


def spans(marks: Mapping[Mark, int]) -> Sequence[tuple[Phase, int, int]]:
    """Each phase whose marks there are, and when it began and ended, in nanoseconds."""
    found: list[tuple[Phase, int, int]] = []
    for phase, begin, end in _DRIVEN:
        if begin in marks and end in marks:
            found.append((phase, marks[begin], marks[end]))
    if Mark.START_BEGIN in marks and Mark.STARTED in marks:
        at = max(marks[Mark.STARTED], marks[Mark.START_BEGIN])
        if marks[Mark.STARTED] != marks[Mark.START_BEGIN]:
            found.append((Phase.START, marks[Mark.START_BEGIN], at))
        for phase, ends in _INSIDE if Mark.INTERPRETER in marks else _OUTSIDE:
            seen = [marks[end] for end in ends if end in marks]
            if not seen:
                continue
            until = min(max(at, *seen), marks.get(Mark.READY, max(at, *seen)))
            found.append((phase, at, until))
            at = until
    if Mark.PREDICT_BEGIN in marks and Mark.PREDICTED in marks:
        found.append((Phase.FIRST_PREDICTION, marks[Mark.PREDICT_BEGIN], marks[Mark.PREDICTED]))
    return found


def total(marks: Mapping[Mark, int]) -> float:
    """Trial begun to first prediction received, in seconds."""
    return (marks[Mark.PREDICTED] - marks[Mark.BEGIN]) / _NS


def allowed(wall_s: float, error_bar_s: float) -> float:
    """By how many seconds the phases may miss the wall time.

    No trial is known more exactly than its error bar. Where a trial is short, a thread that the
    machine leaves waiting for a few milliseconds between two marks is within it.
    """
    return TOLERANCE * wall_s + error_bar_s


def inconsistencies(
    marks: Mapping[Mark, int],
    *,
    inside: Inside | None,
    wall_s: float,
    error_bar_s: float,
    slack_s: float,
) -> str | None:
    """Why the marks cannot all be true, with the numbers; None if they can.

    ``error_bar_s`` is what the trial reports as its own; ``slack_s`` is by how much marks of two
    clocks may be out of order: the clocks' error and the probe interval.
    """
    parts = phases(marks)
    summed = sum(parts.values())
    if abs(summed - wall_s) > allowed(wall_s, error_bar_s):
        listed = ", ".join(f"{phase} {seconds:.4f}" for phase, seconds in parts.items())
        return (
            f"the phases add up to {summed:.4f} s and the trial took {wall_s:.4f} s, "
            f"{abs(summed / wall_s - 1):.1%} apart with an error bar of {error_bar_s:.4f} s "
            f"({listed})"
        )
    negative = [phase for phase, seconds in parts.items() if seconds < 0]
    if negative:
        return f"{negative[0]} took {parts[negative[0]]:.4f} s: a clock was set back"
    if inside is None:
        return None
    early = (marks[Mark.START_BEGIN] - inside.process_ns) / _NS
    if early > slack_s + CLOCK_TICK_S:
        return f"the server's process says that it began {early:.4f} s before it was started"
    late = (max(inside.marks.values()) - marks[Mark.READY]) / _NS
    if late > slack_s:
        return f"the server's last mark is {late:.4f} s after its first /ping 200"
    return None
