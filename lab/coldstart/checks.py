"""Proof that a start was as cold as its kind demands. Each check says what speaks against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.coldstart.pagecache import Dropped
from lab.start.timeline import CLOCK_TICK_S
from lab.units import format_bytes

CACHE_FLOOR_BYTES: Final = 256 * 1024 * 1024
"""What other programs read back while the cache is dropped is no sign that it was not."""

_NS: Final = 1e9


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """Which process of which container answered."""

    container_id: str
    pid: int | None
    started_ns: int | None
    """When the engine says that it started."""
    process_ns: int | None
    """When its process says that it began; None for a foreign image."""


def restarted(before: ProcessIdentity, now: ProcessIdentity) -> str | None:
    """The same container, another process."""
    if now.container_id != before.container_id:
        return f"container {now.container_id[:12]} is not the one that was stopped"
    if now.started_ns is not None and now.started_ns == before.started_ns:
        return "the engine says that the container has not been started again"
    if now.process_ns is not None and now.process_ns == before.process_ns:
        return "the process that answered is the one from before the stop"
    if now.started_ns is None and now.pid == before.pid:
        return f"process {now.pid} is the one from before the stop"
    return None


def fresh(
    now: ProcessIdentity, *, begin_ns: int, known: Sequence[str], slack_s: float
) -> str | None:
    """A container that was not there before, whose process began within the trial."""
    if now.container_id in known:
        return f"container {now.container_id[:12]} was there before the trial"
    for what, at_ns in (("the container", now.started_ns), ("its process", now.process_ns)):
        early_s = 0.0 if at_ns is None else (begin_ns - at_ns) / _NS
        if early_s > slack_s + CLOCK_TICK_S:
            return f"{what} had begun {early_s:.3f} s before the trial did"
    return None


def disk_cold(dropped: Dropped) -> str | None:
    """The page cache was emptied."""
    if dropped.after_bytes > max(CACHE_FLOOR_BYTES, dropped.before_bytes // 2):
        return (
            f"the page cache still holds {format_bytes(dropped.after_bytes)} of "
            f"{format_bytes(dropped.before_bytes)}"
        )
    return None
