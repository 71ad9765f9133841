"""What a container's cgroup counted, read from the kernel's files in both layouts."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.api import Usage
from lab.host import read_text

ROOT: Final = Path("/sys/fs/cgroup")
_PROC: Final = Path("/proc")
_NESTED: Final = 6
"""How deep a container of a container lies below the mount: docker/ID/docker/ID, with slices."""

_V1_FILES: Final = (
    ("memory", "memory.max_usage_in_bytes"),
    ("cpuacct", "cpuacct.usage"),
    ("cpu", "cpu.stat"),
    ("blkio", "blkio.throttle.io_service_bytes_recursive"),
)
_CONTROLLERS: Final = tuple(controller for controller, _ in _V1_FILES)


def usage_of(
    container_id: str, pid: int | None, *, root: Path = ROOT, proc: Path = _PROC
) -> Usage | None:
    """The usage of the container with that id, or None when its cgroup cannot be seen from here.

    ``pid`` is what the engine calls process 1. Of an engine inside a container it names some
    other process here, so it is believed only when that process's cgroup bears the id.
    """
    groups = _of_process(container_id, pid, proc) or _by_name(container_id, root)
    if not groups:
        return None
    if "" in groups:
        for mount in (root, root / "unified"):
            found = _read_v2(mount / groups[""].lstrip("/"))
            if found is not None:
                return found
    return _read_v1(root, groups)


@dataclass(frozen=True, kw_only=True)
class ContainerGroup:
    """The files of a container's cgroup, found once and read often."""

    folder: Path
    """With its processes: v2's only one, or that of v1's ``cpuacct``."""
    throttling: Path
    """``cpu.stat``."""

    def cpu(self) -> tuple[float | None, float | None]:
        """CPU seconds used, and seconds throttled, since it started."""
        stat = _pairs(self.throttling)
        throttled = _scaled(stat.get("throttled_time"), 1e-9)
        if "usage_usec" in stat:
            return stat["usage_usec"] * 1e-6, _scaled(stat.get("throttled_usec"), 1e-6)
        return _scaled(_number(self.folder / "cpuacct.usage"), 1e-9), throttled

    def pids(self) -> Sequence[int]:
        """Its processes, by this machine's numbers."""
        return [int(pid) for pid in (_text(self.folder / "cgroup.procs") or "").split()]


def group_of(
    container_id: str, pid: int | None, *, root: Path = ROOT, proc: Path = _PROC
) -> ContainerGroup | None:
    """The cgroup of the container with that id, as ``usage_of`` finds it; None if not seen."""
    groups = _of_process(container_id, pid, proc) or _by_name(container_id, root)
    if "" in groups:
        for mount in (root, root / "unified"):
            folder = mount / groups[""].lstrip("/")
            if (folder / "cpu.stat").exists():
                return ContainerGroup(folder=folder, throttling=folder / "cpu.stat")
    if "cpuacct" not in groups:
        return None
    return ContainerGroup(
        folder=root / "cpuacct" / groups["cpuacct"].lstrip("/"),
        throttling=root / "cpu" / groups.get("cpu", "-").lstrip("/") / "cpu.stat",
    )


def oom_kills_of(container_id: str, *, root: Path = ROOT) -> int | None:
    """How many of its processes the kernel killed for want of memory; None if it is not seen."""
    groups = _by_name(container_id, root, ("memory",))
    if "" in groups:
        return _pairs(root / groups[""].lstrip("/") / "memory.events").get("oom_kill")
    if "memory" in groups:
        folder = root / "memory" / groups["memory"].lstrip("/")
        return _pairs(folder / "memory.oom_control").get("oom_kill")
    return None


def _of_process(container_id: str, pid: int | None, proc: Path) -> dict[str, str]:
    """Controller (``""`` for v2's only tree) to path, from ``/proc/PID/cgroup``."""
    if not pid:
        return {}
    groups: dict[str, str] = {}
    for line in (read_text(proc / str(pid) / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if container_id in path:
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _by_name(
    container_id: str, root: Path, controllers: Sequence[str] = _CONTROLLERS
) -> dict[str, str]:
    """The same by looking for a folder named after the container: engines inside containers."""
    if (root / "cgroup.controllers").exists():
        found = next(_search(root, container_id, _NESTED), None)
        return {} if found is None else {"": f"/{found.relative_to(root)}"}
    groups = {}
    for controller in controllers:
        mount = root / controller
        found = next(_search(mount, container_id, _NESTED), None)
        if found is not None:
            groups[controller] = f"/{found.relative_to(mount)}"
    return groups


def _search(folder: Path, container_id: str, depth: int) -> Iterator[Path]:
    try:
        below = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return
    yield from (entry for entry in below if container_id in entry.name)
    if depth > 1:
        for entry in below:
            yield from _search(entry, container_id, depth - 1)


def _read_v2(group: Path) -> Usage | None:
    if not (group / "cpu.stat").exists() or not (group / "memory.current").exists():
        return None
    cpu = _pairs(group / "cpu.stat")
    reads = [int(n) for n in re.findall(r"\brbytes=(\d+)", _text(group / "io.stat") or "")]
    return Usage(
        peak_memory_bytes=_number(group / "memory.peak"),
        cpu_seconds=_scaled(cpu.get("usage_usec"), 1e-6),
        throttled_seconds=_scaled(cpu.get("throttled_usec"), 1e-6),
        read_bytes=sum(reads) if _text(group / "io.stat") is not None else None,
    )


def _read_v1(root: Path, groups: dict[str, str]) -> Usage | None:
    files = {
        controller: root / controller / groups[controller].lstrip("/") / name
        for controller, name in _V1_FILES
        if controller in groups
    }
    read = _text(files.get("blkio"))
    counted = Usage(
        peak_memory_bytes=_number(files.get("memory")),
        cpu_seconds=_scaled(_number(files.get("cpuacct")), 1e-9),
        throttled_seconds=_scaled(_pairs(files.get("cpu")).get("throttled_time"), 1e-9),
        read_bytes=None
        if read is None
        else sum(int(n) for n in re.findall(r"^\S+ Read (\d+)$", read, re.MULTILINE)),
    )
    return None if counted == Usage() else counted


def _text(path: Path | None) -> str | None:
    return None if path is None else read_text(path)


def _number(path: Path | None) -> int | None:
    text = _text(path) or ""
    return int(text) if text.isdigit() else None


def _pairs(path: Path | None) -> dict[str, int]:
    lines = (line.split() for line in (_text(path) or "").splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def _scaled(count: int | None, unit: float) -> float | None:
    return None if count is None else count * unit
