"""What a run was measured on: the machine and the checkout, as far as they show themselves."""

import os
import platform
import re
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from lab import __version__, paths
from lab.errors import CommandError
from lab.process import run
from lab.spec import Platform

_ARM64: Final = {"aarch64", "arm64"}
_ROOT: Final = Path("/")
_GIT_TIMEOUT_S: Final = 10.0


def host_facts(*, root: Path = _ROOT, checkout: Path = paths.ROOT) -> dict[str, Any]:
    """The facts, ready for JSON; None for what this system does not tell.

    ``root`` is where ``/proc``, ``/sys`` and ``/etc`` lie. Load is the mean number of running
    processes over the last 1, 5 and 15 minutes; memory is in bytes.
    """
    memory = memory_bytes(root=root)
    commit, dirty = git_state(checkout)
    return {
        "hostname": socket.gethostname(),
        "os": os_release(root=root).get("PRETTY_NAME") or f"{platform.system()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu_model": cpu_model(root=root),
        "cpus": usable_cpus(),
        "memory_bytes": memory.get("MemTotal"),
        "memory_available_bytes": memory.get("MemAvailable"),
        "cgroup": cgroup_layout(root=root),
        "clock_source": read_text(
            root / "sys/devices/system/clocksource/clocksource0/current_clocksource"
        ),
        "clock_resolution_s": time.get_clock_info("time").resolution,
        "virtualised": _virtualised(root),
        "load": list(os.getloadavg()),
        "python": platform.python_version(),
        "lab_version": __version__,
        "git_commit": commit,
        "git_dirty": dirty,
    }


def pip() -> Sequence[str]:
    """The words that start pip: this environment's, else the machine's, with the same settings.

    Environments that uv made have none.
    """
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    return [shutil.which("pip3") or "pip"]


def this_machine() -> Platform:
    """What this machine runs without emulation. An engine's machine may be another."""
    return Platform.ARM64 if os.uname().machine in _ARM64 else Platform.AMD64


def os_release(*, root: Path = _ROOT) -> dict[str, str]:
    """The keys of ``/etc/os-release``: ``ID``, ``VERSION_ID``, ``VERSION_CODENAME``, ..."""
    text = read_text(root / "etc/os-release") or read_text(root / "usr/lib/os-release") or ""
    found = re.findall(r"^([A-Z_]+)=(?:\"([^\"]*)\"|'([^']*)'|(\S*))$", text, re.MULTILINE)
    return {key: double or single or bare for key, double, single, bare in found}


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model(*, root: Path = _ROOT) -> str | None:
    """The processor's name, where the kernel tells it (on arm64 it does not)."""
    text = read_text(root / "proc/cpuinfo") or ""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else (platform.processor() or None)


def memory_bytes(*, root: Path = _ROOT) -> dict[str, int]:
    """``/proc/meminfo`` in bytes; empty where there is none."""
    text = read_text(root / "proc/meminfo") or ""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {key: int(count) * 1024 for key, count in found}


def cgroup_layout(*, root: Path = _ROOT) -> str | None:
    """``v2``, ``v1`` (also when v2 is mounted beside it), or None when none is mounted."""
    mounted = root / "sys/fs/cgroup"
    if (mounted / "cgroup.controllers").exists():
        return "v2"
    return "v1" if (mounted / "memory").is_dir() else None


def git_state(checkout: Path) -> tuple[str | None, bool | None]:
    """The commit of a checkout and whether it holds changes; None, None outside one."""
    try:
        commit = run(
            ["git", "-C", checkout, "rev-parse", "HEAD"], check=False, timeout_s=_GIT_TIMEOUT_S
        )
        if commit.code != 0:
            return None, None
        changes = run(
            ["git", "-C", checkout, "status", "--porcelain"], timeout_s=_GIT_TIMEOUT_S
        ).stdout
    except CommandError:
        return None, None
    return commit.stdout.strip(), bool(changes.strip())


def _virtualised(root: Path) -> bool | None:
    text = read_text(root / "proc/cpuinfo")
    return None if text is None else bool(re.search(r"^flags.*\bhypervisor\b", text, re.MULTILINE))


def read_text(path: Path) -> str | None:
    """What a file of the kernel's or the system's says; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
