"""The engine adapter on a real engine, with nothing but the base image."""

import gc
import os
import shutil
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import httpx
import pytest

from lab.engine.api import ContainerSpec, ContainerState
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.daemon import Daemon, program
from lab.engine.install.places import Places
from lab.errors import EngineError, ImageNotFoundError, PortTakenError
from lab.images.base import ensure_base
from lab.process import run
from lab.progress import Progress
from lab.spec import LABEL, LABEL_OWNER, Platform
from tests.timing import wait_until

Make = Callable[..., DockerContainer]
OWNER = "tests-of-the-engine"
SERVE = ("python3", "-m", "http.server", "8080")
MIB = 2**20


@pytest.fixture(scope="module")
def base(engine: DockerEngine, platform: Platform, progress: Progress) -> str:
    return ensure_base(platform, engine, progress).ref


@pytest.fixture
def make(engine: DockerEngine, base: str) -> Iterator[Make]:
    """Make a container of the base image; all are removed in the end."""

    def make_one(*command: str, **wanted: object) -> DockerContainer:
        labels = {LABEL_OWNER: OWNER}
        spec = ContainerSpec(image=base, command=command, labels=labels, **wanted)  # type: ignore[arg-type]
        return engine.create(spec)

    yield make_one
    for container in engine.containers({LABEL_OWNER: OWNER}):
        container.remove()


def _ended(container: DockerContainer) -> ContainerState:
    wait_until(lambda: not container.state().running)
    return container.state()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def test_a_container_answers_where_its_address_says(make: Make) -> None:
    container = make(*SERVE, publish=0)
    container.start()
    host, port = container.address()
    wait_until(lambda: _answers(f"http://{host}:{port}/"))


def test_a_port_refuses_until_the_container_listens(make: Make, engine: DockerEngine) -> None:
    container = make("sleep", "60", publish=0)
    container.start()
    if not engine.address.startswith("unix://"):
        pytest.skip("reached through the engine's port forwarder, which accepts by itself")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(container.address(), timeout=2)


def test_the_engine_stamps_its_events_in_order_and_on_our_clock(make: Make) -> None:
    begun = time.time_ns()
    container = make("sleep", "60")
    container.start()
    container.kill()
    _ended(container)
    events = container.events(begun)
    assert [event.action for event in events if event.action in {"create", "start", "die"}] == [
        "create",
        "start",
        "die",
    ]
    assert all(begun < event.at_ns < time.time_ns() for event in events)
    assert container.events(time.time_ns()) == []


def test_the_state_tells_when_it_started_and_how_it_ended(make: Make) -> None:
    container = make("sh", "-c", "echo out; echo err >&2; exit 3")
    assert container.state().exit_code is None
    begun = time.time_ns()
    container.start()
    state = _ended(container)
    assert state.exit_code == 3
    assert not state.oom_killed
    assert state.started_at_ns is not None
    assert begun < state.started_at_ns < time.time_ns()
    assert sorted(container.logs().split()) == ["err", "out"]


def test_only_the_last_lines_are_asked_for(make: Make) -> None:
    container = make("seq", "100")
    container.start()
    _ended(container)
    assert container.logs(tail=2) == "99\n100\n"


def test_the_kernel_s_memory_kill_is_told_from_others(make: Make) -> None:
    container = make(
        "python3", "-c", "x = [bytearray(2**22) for _ in range(10**6)]", memory_bytes=64 * MIB
    )
    container.start()
    state = _ended(container)
    assert state.exit_code == 137
    assert state.oom_killed
    other = make("sleep", "60")
    other.start()
    other.kill()
    assert not _ended(other).oom_killed


def test_a_container_that_swallows_memory_shows_its_peak(make: Make) -> None:
    container = make(
        "python3",
        "-c",
        "import time; x = b'1' * (80 * 2**20); del x; print('done', flush=True); time.sleep(60)",
        memory_bytes=256 * MIB,
    )
    container.start()
    wait_until(lambda: "done" in container.logs())
    peak = container.usage().peak_memory_bytes
    assert peak is not None
    assert 80 * MIB < peak < 256 * MIB


def test_a_cpu_quota_throttles_and_the_time_is_counted(make: Make) -> None:
    container = make("sh", "-c", "while :; do :; done", cpus=0.2)
    begun = time.monotonic()
    container.start()
    wait_until(lambda: (container.usage().throttled_seconds or 0) > 0.2)
    used = container.usage().cpu_seconds
    assert used is not None
    assert 0.05 < used < 0.2 * (time.monotonic() - begun) + 0.1


def test_the_root_is_read_only_and_tmp_is_not(make: Make) -> None:
    container = make("sleep", "60")
    container.start()
    assert container.execute(["touch", "/new"])[0] != 0
    assert container.execute(["touch", "/tmp/new"]) == (0, "")
    assert container.execute(["stat", "-c", "%a", "/tmp"]) == (0, "1777\n")


def test_the_model_is_mounted_read_only(make: Make, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    container = make("sleep", "60", model_dir=PurePosixPath(tmp_path))
    container.start()
    assert container.execute(["cat", "/opt/ml/model/model.json"]) == (0, "{}")
    assert container.execute(["touch", "/opt/ml/model/x"])[0] != 0


def test_a_model_folder_that_is_not_there_is_refused_and_not_made(
    make: Make, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="none"):
        make("true", model_dir=PurePosixPath(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_container_runs_as_the_user_it_is_given(make: Make) -> None:
    container = make("sh", "-c", "id -u", user="4711")
    container.start()
    _ended(container)
    assert container.logs() == "4711\n"


def test_stopping_waits_for_the_grace_and_no_longer(make: Make) -> None:
    container = make("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")
    container.start()
    wait_until(lambda: "ready" in container.logs())
    container.stop()
    assert container.state().exit_code == 7
    container.stop()


def test_a_container_started_again_is_a_new_process(make: Make) -> None:
    container = make("sleep", "60")
    container.start()
    first = container.state()
    container.stop(grace_s=0)
    container.start()
    second = container.state()
    assert first.pid != second.pid
    assert first.started_at_ns is not None
    assert second.started_at_ns is not None
    assert second.started_at_ns > first.started_at_ns


def test_the_lab_s_containers_are_found_by_label_and_removed_for_good(
    make: Make, engine: DockerEngine
) -> None:
    container = make("sleep", "60")
    container.start()
    (found,) = engine.containers({LABEL_OWNER: OWNER})
    assert (found.id, found.name) == (container.id, container.name)
    assert found.labels[LABEL] == "true"
    found.remove()
    found.remove()
    assert engine.containers({LABEL_OWNER: OWNER}) == []
    with pytest.raises(EngineError, match="no longer has it"):
        container.start()


def test_the_network_of_another_container_is_shared(make: Make) -> None:
    server = make(*SERVE)
    server.start()
    guest = make("sleep", "60", network=f"container:{server.id}")
    guest.start()
    assert guest.address(8080) == server.address()


def test_an_image_that_is_not_there_is_named(engine: DockerEngine) -> None:
    for asked in (engine.image, lambda ref: engine.create(ContainerSpec(image=ref))):
        with pytest.raises(ImageNotFoundError, match="no-such-image:1"):
            asked("no-such-image:1")


def test_a_taken_port_is_told_from_other_failures(make: Make) -> None:
    first = make(*SERVE, publish=0)
    first.start()
    taken = first._inspect()["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"]
    second = make(*SERVE, publish=int(taken))
    with pytest.raises(PortTakenError):
        second.start()


def test_the_facts_are_of_this_engine(engine: DockerEngine) -> None:
    facts = engine.facts()
    assert facts.name.startswith("Docker Engine ")
    assert facts.versions["containerd"]
    assert facts.cpus >= 1
    assert facts.clock_error_s < 0.5
    if engine.address.startswith("unix://"):
        assert facts.clock_offset_s == 0.0


def test_the_base_image_has_a_size_and_a_platform(
    engine: DockerEngine, base: str, platform: Platform
) -> None:
    image = engine.image(base)
    assert image.platform is platform
    assert image.unpacked_bytes > 20_000_000


@pytest.fixture
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An engine beside the one in use, whose bridge and rules are not the machine's.

    Never with ``--bridge=none`` instead: such an engine deletes the other's ``docker0``.
    """
    if os.geteuid() != 0 or program() is None or shutil.which("unshare") is None:
        pytest.skip("needs root, dockerd and unshare")
    folder = tmp_path_factory.mktemp("e")
    daemon = Daemon(Places(run=folder, data=folder), within=("unshare", "--net"))
    yield daemon
    daemon.stop()
    wait_until(lambda: _unmounted(daemon.places.data_root))


def _unmounted(folder: Path) -> bool:
    """What was killed could not unmount its own folder; it is busy until all have ended."""
    run(["umount", folder], check=False)
    return str(folder) not in Path("/proc/self/mountinfo").read_text()


def test_a_private_engine_goes_up_and_down_and_up_again(apart: Daemon) -> None:
    bridge = Path("/sys/class/net/docker0")
    before = bridge.exists()
    apart.start()
    assert bridge.exists() is before, "it meddled with the machine's own engine"
    pid = apart.pid()
    apart.start()
    assert apart.pid() == pid
    inner = DockerEngine(apart.places.address)
    assert inner.containers({}) == []
    inner.close()
    assert apart.stop()
    assert not apart.answers()
    assert not apart.stop()
    apart.start()
    assert apart.answers()


def test_a_private_engine_that_was_killed_comes_up_again(apart: Daemon) -> None:
    apart.start()
    killed = apart.pid()
    assert killed is not None
    os.kill(killed, 9)
    with warnings.catch_warnings():
        # An engine that dies while it is asked: the SDK forgets to close what it cannot connect.
        warnings.simplefilter("ignore", ResourceWarning)
        wait_until(lambda: not apart.answers())
        gc.collect()
    apart.start()
    assert apart.pid() not in {None, killed}
