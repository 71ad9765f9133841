"""Proof that a start was as cold as its kind demands. Each check says what speaks against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.coldstart.pagecache import Dropped
from lab.engine.coldhost.blocklog import CHUNK_BYTES, BlockRead
from lab.engine.coldhost.ondemand import Counted
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


def on_demand(
    before: int, reads: Sequence[BlockRead], counted: Counted, *, chunk_bytes: int = CHUNK_BYTES
) -> str | None:
    """Nothing was read of the device before the trial, and all that the file system read after
    came from it, chunk by chunk: two counts of either agree. ``before`` are reads before the trial.
    """
    if before:
        return f"{before} reads of the image's device were before the trial"
    logged = sum(read.count for read in reads)
    if counted.device_bytes > logged:
        return (
            f"the kernel read {counted.device_bytes} bytes of the image's device, and only "
            f"{logged} of them were asked of its server: something was cached"
        )
    touched = {
        chunk
        for read in reads
        for chunk in range(
            read.offset // chunk_bytes, -(-(read.offset + read.count) // chunk_bytes)
        )
    }
    if counted.fetched_chunks < len(touched):
        return (
            f"{len(touched)} chunks of the image were read, and only {counted.fetched_chunks} of "
            "them fetched: something was cached"
        )
    return None


def disk_cold(dropped: Dropped) -> str | None:
    """The page cache was emptied."""
    if dropped.after_bytes > max(CACHE_FLOOR_BYTES, dropped.before_bytes // 2):
        return (
            f"the page cache still holds {format_bytes(dropped.after_bytes)} of "
            f"{format_bytes(dropped.before_bytes)}"
        )
    return None
