from pathlib import Path

import pytest

from lab.engine.api import Usage
from lab.engine.docker.cgroup import usage_of
from lab.engine.docker.client import parse_time
from lab.engine.docker.container import usage_from_stats

ID = "a" * 64


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _v1(root: Path, below: str) -> None:
    _write(root / "memory" / below / "memory.max_usage_in_bytes", "1000\n")
    _write(root / "cpuacct" / below / "cpuacct.usage", "2500000000\n")
    _write(root / "cpu" / below / "cpu.stat", "nr_periods 3\nthrottled_time 500000000\n")
    _write(
        root / "blkio" / below / "blkio.throttle.io_service_bytes_recursive",
        "254:0 Read 4096\n254:0 Write 1\n254:16 Read 4\nTotal 4101\n",
    )


def _v2(root: Path, below: str) -> None:
    _write(root / "cgroup.controllers", "cpu memory io\n")
    group = root / below
    _write(group / "memory.current", "1\n")
    _write(group / "memory.peak", "1000\n")
    _write(group / "cpu.stat", "usage_usec 2500000\nthrottled_usec 500000\n")
    _write(group / "io.stat", "254:0 rbytes=4096 wbytes=1 rios=1\n254:16 rbytes=4 wbytes=0\n")


COUNTED = Usage(peak_memory_bytes=1000, cpu_seconds=2.5, throttled_seconds=0.5, read_bytes=4100)


def test_version_1_is_read_from_a_folder_per_controller(tmp_path: Path) -> None:
    _v1(tmp_path / "cg", f"docker/{ID}")
    lines = [
        f"{n}:{name}:/docker/{ID}" for n, name in enumerate(("memory", "cpuacct,cpu", "blkio"))
    ]
    _write(tmp_path / "proc/42/cgroup", "\n".join(lines))
    assert usage_of(ID, 42, root=tmp_path / "cg", proc=tmp_path / "proc") == COUNTED


def test_version_2_is_read_from_its_one_folder(tmp_path: Path) -> None:
    _v2(tmp_path / "cg", f"system.slice/docker-{ID}.scope")
    _write(tmp_path / "proc/42/cgroup", f"0::/system.slice/docker-{ID}.scope\n")
    assert usage_of(ID, 42, root=tmp_path / "cg", proc=tmp_path / "proc") == COUNTED


def test_a_process_number_of_another_container_is_not_believed(tmp_path: Path) -> None:
    _v1(tmp_path / "cg", "docker/other")
    _write(tmp_path / "proc/42/cgroup", "1:memory,cpuacct,cpu,blkio:/docker/other")
    assert usage_of(ID, 42, root=tmp_path / "cg", proc=tmp_path / "proc") is None


@pytest.mark.parametrize("layout", [_v1, _v2])
def test_a_container_of_a_container_is_found_by_its_id(tmp_path: Path, layout: object) -> None:
    assert callable(layout)
    layout(tmp_path / "cg", f"docker/{'b' * 64}/docker/{ID}")
    assert usage_of(ID, 7, root=tmp_path / "cg", proc=tmp_path / "proc") == COUNTED


def test_a_kernel_without_a_peak_says_so(tmp_path: Path) -> None:
    _v2(tmp_path / "cg", f"docker/{ID}")
    (tmp_path / "cg/docker" / ID / "memory.peak").unlink()
    found = usage_of(ID, None, root=tmp_path / "cg", proc=tmp_path / "proc")
    assert found is not None
    assert found.peak_memory_bytes is None
    assert found.cpu_seconds == 2.5


def test_docker_s_own_statistics_stand_in() -> None:
    stats = {
        "memory_stats": {"usage": 10, "max_usage": 1000},
        "cpu_stats": {
            "cpu_usage": {"total_usage": 2_500_000_000},
            "throttling_data": {"throttled_time": 500_000_000},
        },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"op": "Read", "value": 4096},
                {"op": "Write", "value": 1},
                {"op": "read", "value": 4},
            ]
        },
    }
    assert usage_from_stats(stats) == COUNTED
    assert usage_from_stats({}) == Usage()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2026-11-20T12:12:35.359329545Z", 1_795_176_755_359_329_545),
        ("2026-11-20T13:12:35.359329545+01:00", 1_795_176_755_359_329_545),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_times_keep_their_nanoseconds(text: str, expected: int | None) -> None:
    assert parse_time(text) == expected
