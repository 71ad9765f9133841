"""Why a container did not get ready, in one message: what AWS does not tell."""

from collections.abc import Sequence
from typing import Final

from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.records import EndpointKind
from lab.spec import PORT
from lab.start.cause import Cause, CauseKind
from lab.start.logtext import DIVIDER
from lab.start.probe import Probes

MOST: Final = 850
"""Characters: a ``FailureReason`` takes 1,024, and AWS's own sentence comes first."""

_LEAST_LOG: Final = 300


def explain(
    cause: Cause,
    plan: VariantPlan,
    *,
    probes: Probes | None = None,
    listens: Sequence[str] = (),
    verdict: str = "",
) -> LaunchFailed:
    """The failure with everything that is known: last ping, port, exit code, OOM, last lines.

    ``verdict`` is what became of all its starts.
    """
    parts = [cause.message]
    if probes is not None and probes.last_answer not in cause.message:
        parts.append(_until_then(probes))
    if listens and probes is not None and probes.accepting_ns is None:
        parts.append(f"It listens on {', '.join(listens)}: it has to listen on 0.0.0.0:{PORT}.")
    parts += [*_hints(cause, plan), verdict]
    message = " ".join(" ".join(part.split()) for part in parts if part)
    refused = cause.kind is CauseKind.EARLY_EXIT and cause.exit_code is None
    return LaunchFailed(with_log(message, cause.log), refused=refused)


def with_log(message: str, log: str) -> str:
    """A message and as many of the last lines as there is room for, the newest whole."""
    room = max(_LEAST_LOG, MOST - len(message))
    lines: list[str] = []
    said = (line.rstrip() for line in log.splitlines() if _says(line))
    for line in reversed(list(said)):
        short = line if len(line) <= _LEAST_LOG else f"{line[: _LEAST_LOG - 3]}..."
        if sum(len(one) + 3 for one in lines) + len(short) > room:
            break
        lines.insert(0, short)
    message = message[: MOST - _LEAST_LOG if lines and len(message) > MOST else MOST]
    if not lines:
        silent = not log.strip() and "it has logged nothing" not in message
        return f"{message} It has logged nothing." if silent else message
    return f"{message} Last log lines: {' | '.join(lines)}"


def _says(line: str) -> bool:
    """Not for the eye alone: http.server rules off each error with 40 dashes."""
    return line != DIVIDER and line.strip(" \t-=_*#~") != ""


def _hints(cause: Cause, plan: VariantPlan) -> list[str]:
    if cause.kind is CauseKind.OOM:
        limit = plan.compute.memory_bytes
        have = f"It has {limit // 2**20} MB. " if limit is not None else ""
        more = (
            "MemorySizeInMB" if plan.kind is EndpointKind.SERVERLESS else "a larger instance type"
        )
        return [f"{have}Give it more memory ({more}), or load less: workers each load a copy."]
    return [cause.cure]


def _until_then(probes: Probes) -> str:
    """Of a container that is gone: what its port had said before."""
    if probes.last_status is not None:
        return f"/ping last answered {probes.last_status}."
    if probes.accepting_ns is not None:
        return "It accepted connections, but /ping did not answer."
    return "It had not begun to listen on its port."
