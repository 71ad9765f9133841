"""The cgroup's limits, in both layouts and from inside and outside a container."""

import os
from pathlib import Path

import pytest

from app import limits

CORES = float(len(os.sched_getaffinity(0)))


def cgroups(root: Path, membership: str, files: dict[str, str]) -> str:
    """A machine's root with only what is read of it."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max": "50000 100000\n"}),
        (
            "0::/a/b\n",
            {"sys/fs/cgroup/a/cpu.max": "50000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000"},
        ),
        (
            "4:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n",
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
        ),
        (
            "4:cpu:/\n",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
        ),
    ],
)
def test_half_a_core_is_found(tmp_path: Path, membership: str, files: dict[str, str]) -> None:
    assert limits.cpus(cgroups(tmp_path, membership, files)) == 0.5


@pytest.mark.parametrize("text", ["max 100000", "", "-1", "nonsense 5", "0 0"])
def test_without_a_quota_the_cores_that_may_be_used_count(tmp_path: Path, text: str) -> None:
    root = cgroups(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": text})
    assert limits.cpus(root) == CORES


def test_a_quota_beyond_the_cores_is_no_gain(tmp_path: Path) -> None:
    root = cgroups(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": "9900000 100000"})
    assert limits.cpus(root) == CORES


@pytest.mark.parametrize(
    ("membership", "name"),
    [("0::/\n", "memory.max"), ("2:memory:/x\n", "memory/memory.limit_in_bytes")],
)
def test_the_memory_limit_is_found(tmp_path: Path, membership: str, name: str) -> None:
    root = cgroups(tmp_path, membership, {f"sys/fs/cgroup/{name}": "1073741824\n"})
    assert limits.memory_bytes(root) == 1 << 30


@pytest.mark.parametrize("text", ["max", "9223372036854771712", ""])
def test_no_memory_limit_is_none(tmp_path: Path, text: str) -> None:
    root = cgroups(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": text})
    assert limits.memory_bytes(root) is None


def test_a_machine_without_cgroups_is_no_error(tmp_path: Path) -> None:
    assert limits.cpus(str(tmp_path)) == CORES
    assert limits.memory_bytes(str(tmp_path)) is None
