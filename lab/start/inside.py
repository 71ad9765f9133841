"""What a server and its engine say of a start that went well."""

import json
from collections.abc import Iterable
from typing import Final

from lab.engine.api import Container, ContainerState, EngineEvent
from lab.spec import Mark
from lab.start.probe import Probes
from lab.start.timeline import Inside, inside_marks
from lab.wire import connect, exchange, request

_REPORT_TIMEOUT_S: Final = 5.0
_LINE_KEY: Final = "lab_startup"


def look_inside(
    container: Container, probes: Probes, since_ns: int, *, timeout_s: float = _REPORT_TIMEOUT_S
) -> Inside | None:
    """The server's own marks: from ``GET /startup``, else from the line it has logged.

    None for a server that keeps no marks. Marks from before ``since_ns`` are an earlier start's.
    """
    try:
        asked = request("GET", "/startup", host=probes.address[0], headers={"Connection": "close"})
        with connect(probes.address, timeout_s=timeout_s) as connection:
            answer = exchange(connection, asked)
        report = json.loads(answer.body) if answer.status == 200 else None
    except (OSError, ValueError):
        report = None
    found = inside_marks(report)
    return found or logged_marks(container.logs(tail=200), since_ns)


def logged_marks(log: str, since_ns: int) -> Inside | None:
    """The newest start-up line in a log, if it is not older than ``since_ns``."""
    for line in reversed(log.splitlines()):
        begin = line.find("{")
        if _LINE_KEY not in line or begin < 0:
            continue
        try:
            report = json.loads(line[begin:])
        except ValueError:
            continue
        found = inside_marks(report.get(_LINE_KEY)) if isinstance(report, dict) else None
        if found is not None:
            return found if max(found.marks.values()) >= since_ns else None
    return None


def started_ns(
    state: ContainerState,
    events: Iterable[EngineEvent],
    inside: Inside | None,
    *,
    offset_ns: int = 0,
) -> int | None:
    """When the first instruction of the image's own program ran, as far as it can be known.

    The engine says so a little late, so the server's first line counts where it is earlier. The
    kernel's start time of process 1 does not: an engine forks that process (runc's ``init``) some
    100 ms before it has built the container around it and hands it over to ``serve``.

    ``offset_ns`` is by how much the engine's clock is ahead of ours; ``inside`` is on ours.
    """
    event_ns = next((event.at_ns for event in events if event.action == "start"), None)
    times = [at - offset_ns for at in (event_ns, state.started_at_ns) if at is not None]
    if inside is not None:
        times.append(inside.marks[Mark.INTERPRETER])
    return min(times, default=None)
