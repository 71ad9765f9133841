"""A memory limit for a process without a container, where the kernel lets us set one."""

import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.host import read_text

_ROOT: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class MemoryGroup:
    """A memory cgroup of our own, of either layout."""

    folder: Path
    unified: bool

    @property
    def members(self) -> Path:
        """A process joins by writing its number here."""
        return self.folder / "cgroup.procs"

    def peak_bytes(self) -> int | None:
        """The most memory the group ever held, page cache included, as in a container."""
        name = "memory.peak" if self.unified else "memory.max_usage_in_bytes"
        text = read_text(self.folder / name)
        return int(text) if text and text.isdigit() else None

    def oom_killed(self) -> bool:
        """Whether the kernel killed a member for want of memory."""
        return self.oom_kills() > 0

    def oom_kills(self) -> int:
        """How many members it killed."""
        name = "memory.events" if self.unified else "memory.oom_control"
        found = re.search(r"^oom_kill (\d+)$", read_text(self.folder / name) or "", re.MULTILINE)
        return int(found[1]) if found else 0

    def remove(self) -> None:
        """Forget the group; its members must have ended."""
        with suppress(OSError):
            self.folder.rmdir()


def make(name: str, limit_bytes: int | None, *, root: Path = _ROOT) -> MemoryGroup | None:
    """A new group with that limit and no swap, or None where this user may not make one."""
    unified = (root / "cgroup.controllers").exists()
    for parent in _parents(root, unified=unified):
        folder = parent / f"inference-lab-{name}"
        try:
            if unified and parent == root:
                (root / "cgroup.subtree_control").write_text("+memory")
            folder.mkdir()
        except OSError:
            continue
        group = MemoryGroup(folder=folder, unified=unified)
        if _limit(group, limit_bytes):
            return group
        group.remove()
    return None


def at(folder: Path) -> MemoryGroup | None:
    """The group that an earlier command made there, if it is still there."""
    if not folder.is_dir():
        return None
    return MemoryGroup(folder=folder, unified=(folder / "memory.events").exists())


def possible(*, root: Path = _ROOT) -> bool:
    """Whether a group can be made here: one is made and removed."""
    group = make(f"probe-{os.getpid()}-{secrets.token_hex(2)}", 64 * 2**20, root=root)
    if group is None:
        return False
    group.remove()
    return True


def _parents(root: Path, *, unified: bool) -> Sequence[Path]:
    # Under v2 only the root may hold both processes and groups.
    if unified:
        return [root]
    found = re.search(
        r"^\d+:memory:(.*)$", read_text(Path("/proc/self/cgroup")) or "", re.MULTILINE
    )
    own = root / "memory" / (found[1].lstrip("/") if found else "")
    return [own, root / "memory"]


def _limit(group: MemoryGroup, limit_bytes: int | None) -> bool:
    if limit_bytes is None:
        return group.members.exists()
    hard, swap, none = (
        ("memory.max", "memory.swap.max", "0")
        if group.unified
        else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", str(limit_bytes))
    )
    try:
        (group.folder / hard).write_text(str(limit_bytes))
    except OSError:
        return False
    with suppress(OSError):  # a kernel without swap accounting has no such file
        if (group.folder / swap).exists():
            (group.folder / swap).write_text(none)
    return True
