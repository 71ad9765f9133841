import struct
import threading
import time
from pathlib import Path

import pytest

from lab.engine.api import ContainerLoad, ContainerSpec, Mount
from lab.engine.docker.cgroup import oom_kills_of
from lab.engine.docker.container import load_from_stats
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.logs import MOST_BYTES, lines_of
from lab.engine.docker.reach import in_container
from lab.engine.process.logs import FileLogStream
from lab.spec import LABEL_OWNER
from tests.unit.engine.fakedocker import FakeDocker

STAMP = b"2026-11-21T12:00:00.000000007Z "


def frame(text: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


def test_frames_become_stamped_lines_and_long_ones_are_put_together() -> None:
    frames = [STAMP + b"one\n", STAMP + b"two, ", STAMP + b"and the rest\r\n", STAMP + b"last"]
    lines = list(lines_of(iter(frames)))
    assert [line.text for line in lines] == ["one", "two, and the rest", "last"]
    assert lines[0].at_ns % 1_000_000_000 == 7


def test_a_line_without_an_end_is_cut() -> None:
    frames = [STAMP + b"x" * 100_000 for _ in range(4)]
    assert [len(line.text) for line in lines_of(iter(frames))] == [300_000, 100_000]
    assert MOST_BYTES < 300_000


def test_docker_is_asked_for_both_streams_with_stamps(docker: FakeDocker) -> None:
    docker.answer("POST", "/containers/create", {"Id": "c0ffee"}, status=201)
    docker.answer("GET", "/containers/c0ffee/json", {"Config": {"Tty": False}})
    docker.answer(
        "GET",
        "/containers/c0ffee/logs",
        raw=frame(STAMP + b"out\n") + frame(STAMP + b"err\n", stream=2),
    )
    engine = DockerEngine(docker.address)
    stream = engine.create(ContainerSpec(image="x:1")).follow_logs(since_ns=5_000_000_000)
    assert [line.text for line in stream] == ["out", "err"]
    stream.close()
    engine.close()


@pytest.mark.parametrize("idle", ["inactive_file", "total_inactive_file"])
def test_present_memory_is_without_idle_file_pages_in_both_layouts(idle: str) -> None:
    stats = {
        "memory_stats": {"usage": 100, "limit": 1000, "stats": {idle: 30}},
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "pids_stats": {"current": 4},
    }
    assert load_from_stats(stats) == ContainerLoad(
        memory_bytes=70, memory_limit_bytes=1000, cpu_seconds=2.5, threads=4
    )
    assert load_from_stats({"memory_stats": {}, "cpu_stats": {}}) is None


def test_docker_is_asked_for_one_sample(docker: FakeDocker) -> None:
    docker.answer("POST", "/containers/create", {"Id": "c0ffee"}, status=201)
    docker.answer("GET", "/containers/c0ffee/stats", {"memory_stats": {}, "cpu_stats": {}})
    engine = DockerEngine(docker.address)
    assert engine.create(ContainerSpec(image="x:1")).load() is None
    engine.close()


def test_kills_for_want_of_memory_are_counted_in_both_layouts(tmp_path: Path) -> None:
    second = tmp_path / "v2"
    (second / "docker" / "c0ffee").mkdir(parents=True)
    (second / "cgroup.controllers").touch()
    (second / "docker" / "c0ffee" / "memory.events").write_text("oom 3\noom_kill 2\n")
    assert oom_kills_of("c0ffee", root=second) == 2
    first = tmp_path / "v1" / "memory" / "docker" / "c0ffee"
    first.mkdir(parents=True)
    (first / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert oom_kills_of("c0ffee", root=tmp_path / "v1") == 1
    assert oom_kills_of("other", root=tmp_path / "v1") is None


def test_a_process_s_output_is_followed_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = [True]

    def write() -> None:
        log.write_text("first\n")
        time.sleep(0.15)
        with log.open("a") as file:
            file.write("second\nlast, without an end")
        running[0] = False

    threading.Thread(target=write).start()
    lines = FileLogStream(log, runs=lambda: running[0])
    assert [line.text for line in lines] == ["first", "second", "last, without an end"]


def test_following_ends_when_it_is_told_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\n")
    stream = FileLogStream(log, runs=lambda: True)
    lines = iter(stream)
    assert next(lines).text == "first"
    stream.close()
    assert list(lines) == []
    assert list(FileLogStream(log, runs=lambda: False, begin=6)) == []


def test_tmp_on_the_disk_takes_the_place_of_the_one_in_memory(docker: FakeDocker) -> None:

    docker.answer("POST", "/containers/create", {"Id": "c0ffee"}, status=201)
    engine = DockerEngine(docker.address)
    tmp = Mount(source="/state/tmp", target="/tmp", read_only=False)
    engine.create(ContainerSpec(image="x:1", mounts=[tmp], hostname="model"))
    (asked,) = docker.asked_for("POST", "/containers/create")
    assert "Tmpfs" not in asked["HostConfig"]
    assert asked["Hostname"] == "model"
    engine.close()


def test_a_program_in_a_container_of_the_engine_knows_it(
    docker: FakeDocker, tmp_path: Path
) -> None:
    ours = [{"Id": "c0ffee", "Names": ["/endpoint"], "Labels": {LABEL_OWNER: "stack"}}]
    docker.answer("GET", "/containers/json", ours)
    engine = DockerEngine(docker.address)
    mounts = tmp_path / "mountinfo"
    mounts.write_text("1 2 0:1 /lib/docker/containers/c0ffee/hosts /etc/hosts rw\n")
    assert in_container(engine, mounts=mounts)
    mounts.write_text("1 2 0:1 /lib/docker/containers/another/hosts /etc/hosts rw\n")
    assert not in_container(engine, mounts=mounts)
    assert not in_container(engine, mounts=tmp_path / "none")
    engine.close()
