"""The kernel's page cache: dropped, so that a start reads its image from the disk."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DROP: Final = Path("/proc/sys/vm/drop_caches")
_MEMINFO: Final = Path("/proc/meminfo")
_PAGES_DENTRIES_INODES: Final = "3\n"


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What the cache held before and after, in bytes: file pages that nothing has mapped."""

    before_bytes: int
    after_bytes: int


def why_not(*, local: bool) -> str | None:
    """Why the page cache cannot be dropped here, or None if it can.

    ``local`` says whether containers run under this machine's own kernel.
    """
    if not local:
        return "the engine runs on another kernel, whose page cache cannot be dropped from here"
    if not _DROP.exists():
        return f"this system has no {_DROP}"
    if not os.access(_DROP, os.W_OK):
        return f"{_DROP} may not be written (only root may drop the page cache)"
    return None


def drop() -> Dropped:
    """Write back what is dirty, then drop everything clean. Raises ``OSError`` if forbidden."""
    before = reclaimable_bytes(_MEMINFO.read_text())
    os.sync()
    _DROP.write_text(_PAGES_DENTRIES_INODES)
    return Dropped(before_bytes=before, after_bytes=reclaimable_bytes(_MEMINFO.read_text()))


def reclaimable_bytes(meminfo: str) -> int:
    """The page cache without what cannot be dropped: shared memory, and pages in use (mapped)."""
    table = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in meminfo.splitlines())
        if rest.split()
    }
    held = table.get("Shmem", 0) + table.get("Mapped", 0)
    return max(0, table.get("Cached", 0) + table.get("Buffers", 0) - held)
