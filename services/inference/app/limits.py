"""What the container may use: the cgroup's CPU quota and memory limit, not the host's.

Reads both cgroup layouts (v1 and v2), in a container (the cgroup is the root of its own
namespace) and in a bare process (it is a folder below the mount). The tightest limit on the way
up counts.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_V1_NO_LIMIT = 1 << 60
"""cgroup v1 writes "no memory limit" as a huge number, rounded to pages."""


def cpus(root: str = "/") -> float:
    """How many cores this process may use: its CPU mask or its quota, whichever is less."""
    mask = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [quota for folder in _folders(root, "cpu") if (quota := _quota(folder)) is not None]
    return min([float(mask or 1), *quotas])


def memory_bytes(root: str = "/") -> int | None:
    """The memory limit in bytes, None if there is none."""
    limits = [
        limit for folder in _folders(root, "memory") if (limit := _memory(folder)) is not None
    ]
    return min(limits, default=None)


def _quota(folder: str) -> float | None:
    line = _read(f"{folder}/cpu.max").split()
    if not line:
        line = [
            _read(f"{folder}/cpu.cfs_quota_us").strip(),
            _read(f"{folder}/cpu.cfs_period_us").strip(),
        ]
    try:
        quota, period = int(line[0]), int(line[1])
    except (IndexError, ValueError):  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _memory(folder: str) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            limit = int(_read(f"{folder}/{name}"))
        except ValueError:
            continue
        return limit if limit < _V1_NO_LIMIT else None
    return None


def _folders(root: str, controller: str) -> "Iterator[str]":
    """The cgroup's folder and all above it, in each layout that this machine may have."""
    base = root.rstrip("/")
    for line in _read(f"{base}/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mounts = (controllers, controller) if controllers else ("", "unified")
        for mount in dict.fromkeys(mounts):
            top = f"{base}/sys/fs/cgroup/{mount}".rstrip("/")
            inner = path.strip("/")
            while inner:
                yield f"{top}/{inner}"
                inner = inner.rpartition("/")[0]
            yield top


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123  # pathlib costs milliseconds at start
            return file.read()
    except OSError:
        return ""
