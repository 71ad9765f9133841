"""Pull trials' machine, whole: a registry of its own, a shaped link, an engine without a layer."""

import gc
import io
import os
import secrets
import signal
import socket
import tarfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lab.engine.api import ContainerSpec
from lab.engine.coldhost.host import MODEL, ColdHost, cold_host, remove_leftovers
from lab.engine.coldhost.link import Link
from lab.engine.coldhost.pulled import NotColdError
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import NETWORK, Registry
from lab.errors import ArchiveError, EngineError, RegistryError
from lab.progress import Silent
from lab.spec import LABEL, LABEL_OWNER, Platform
from tests.timing import wait_until

OWNER = f"test-{secrets.token_hex(4)}"
MEGABYTE = 1_000_000
HEADERS = 1514 / 1448
"""The link counts whole frames; what arrives is the payload."""
GATED = "until [ -e /tmp/go ]; do sleep 0.1; done; exec python3 -m http.server 8080"
SERVE = ("-m", "http.server", "8080", "--directory", "/opt/ml/model")


@pytest.fixture(scope="module")
def image(built: Callable[[str], str]) -> str:
    return built("coldhost")


@pytest.fixture(scope="module")
def python(engine: DockerEngine, platform: Platform, built: Callable[[str], str]) -> str:
    """A small image with an interpreter: what the lab's images stand on."""
    built("coldhost")
    return engine.image(f"inference-lab/base:trixie-{platform.arch}").ref


@pytest.fixture(scope="module")
def registry(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[Registry]:
    name = f"inference-lab-registry-{OWNER}"
    found = Registry.ensure(engine, built("registry"), Silent(), name=name)
    yield found
    found.close()
    found.container.remove()
    engine.client.remove_volume(name)


@pytest.fixture(scope="module")
def pushed(engine: DockerEngine, registry: Registry, python: str) -> str:
    """The image's name as a cold host pulls it."""
    registry.push(engine, python, Silent())
    return registry.pull_ref(python)


@pytest.fixture
def host(engine: DockerEngine, image: str, registry: Registry) -> Iterator[ColdHost]:
    with cold_host(engine, image=image, owner=OWNER, registry=registry.internal) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left(engine: DockerEngine) -> Iterator[None]:
    before = volumes(engine)
    yield
    assert [container.name for container in engine.containers({LABEL_OWNER: OWNER})] == []
    allowed = before | {f"inference-lab-registry-{OWNER}"}
    wait_until(lambda: volumes(engine) <= allowed)


def volumes(engine: DockerEngine) -> set[str]:
    """Those of cold hosts that others run meanwhile belong to their containers."""
    found = {volume["Name"] for volume in engine.client.volumes()["Volumes"] or ()}
    others = {
        mount["Name"]
        for container in engine.client.containers(all=True, filters={"label": f"{LABEL}=true"})
        if container["Labels"].get(LABEL_OWNER) != OWNER
        for mount in container["Mounts"]
        if mount["Type"] == "volume"
    }
    return found - others


def archive(path: Path, size: int) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        info = tarfile.TarInfo("weights.bin")
        info.size = size
        tar.addfile(info, io.BytesIO(os.urandom(size)))
    return path


def test_a_cold_start_from_an_empty_engine_to_an_answer(
    engine: DockerEngine,
    registry: Registry,
    host: ColdHost,
    python: str,
    pushed: str,
    tmp_path: Path,
) -> None:
    pulled = host.pull(pushed)
    assert pulled.layers == len(registry.push(engine, python, Silent()).layers)
    assert pulled.begin_ns < pulled.downloaded_ns < pulled.end_ns

    url, digest = registry.put_archive(archive(tmp_path / "model.tar.gz", MEGABYTE))
    begin, end = host.fetch(url, digest)
    assert pulled.end_ns < begin < end

    container = host.engine.create(
        ContainerSpec(
            image=pushed,
            command=("python3", *SERVE),
            model_dir=MODEL,
            publish=host.publish,
            memory_bytes=256 * 1024 * 1024,
            cpus=0.5,
        )
    )
    container.start()
    address = container.address()
    wait_until(lambda: accepts(address))
    answer = httpx.get(f"http://{address[0]}:{address[1]}/weights.bin")
    assert len(answer.content) == MEGABYTE
    usage = container.usage()
    assert MEGABYTE < (usage.peak_memory_bytes or 0) < 256 * 1024 * 1024
    assert (usage.cpu_seconds or 0) > 0


def accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def test_a_port_refuses_until_the_container_listens(host: ColdHost, pushed: str) -> None:
    if host.publish:
        pytest.skip("a forwarder accepts for the container on this engine")
    host.pull(pushed)
    container = host.engine.create(
        ContainerSpec(
            image=pushed,
            command=("sh", "-c", GATED),
            publish=host.publish,
        )
    )
    container.start()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(container.address(), timeout=60)
    assert container.execute(("touch", "/tmp/go"))[0] == 0
    wait_until(lambda: accepts(container.address()))


def test_an_image_is_pulled_cold_only_once(host: ColdHost, pushed: str) -> None:
    host.pull(pushed)

    with pytest.raises(NotColdError, match="already has 1 image"):
        host.pull(pushed)


def test_limits_hold_inside(host: ColdHost, pushed: str) -> None:
    host.pull(pushed)
    slow = host.engine.create(
        ContainerSpec(image=pushed, command=("python3", "-c", "while True: pass"), cpus=0.2)
    )
    greedy = host.engine.create(
        ContainerSpec(
            image=pushed,
            command=("python3", "-c", "x = bytearray(200_000_000)"),
            memory_bytes=64 * 1024 * 1024,
        )
    )
    begin = time.monotonic()
    slow.start()
    greedy.start()

    wait_until(lambda: not greedy.state().running)
    assert (greedy.state().exit_code, greedy.state().oom_killed) == (137, True)
    wait_until(lambda: (slow.usage().throttled_seconds or 0) > 0.5)
    assert 0 < (slow.usage().cpu_seconds or 0) < 0.2 * (time.monotonic() - begin) + 0.2


DOWNLOAD = """
import sys, time, urllib.request
begin = time.monotonic()
with urllib.request.urlopen(sys.argv[1]) as answer:
    while answer.read(1 << 16): pass
print(time.monotonic() - begin)
"""


def test_the_link_is_as_slow_as_it_is_said_to_be(
    engine: DockerEngine, registry: Registry, host: ColdHost, image: str, tmp_path: Path
) -> None:
    size = 20 * MEGABYTE
    url, _ = registry.put_archive(archive(tmp_path / "model.tar.gz", size))
    (machine,) = engine.containers({LABEL_OWNER: OWNER})

    with Link(engine, registry, 100 * MEGABYTE, image=image, owner=OWNER) as link:
        assert link.measured_shape() == 100 * MEGABYTE
        for _ in range(5):
            code, said = machine.execute(("python3", "-c", DOWNLOAD, url))
            assert code == 0, said
            # Never quicker, and slower only while the machine is busy with something else.
            share = float(said) / (size * 8 * HEADERS / 1e8)
            assert share > 0.85
            if share < 1.15:
                break
        link.check()

    assert share < 1.15
    assert link.measured_shape() is None
    assert host.engine.client.images() == []


@contextmanager
def own_registry(engine: DockerEngine, image: str) -> Iterator[Registry]:
    """One that a test may kill."""
    name = f"inference-lab-registry-{OWNER}-{secrets.token_hex(2)}"
    registry = Registry.ensure(engine, image, Silent(), name=name)
    try:
        yield registry
    finally:
        registry.close()
        registry.container.remove()
        engine.client.remove_volume(name)


def test_a_registry_that_was_restarted_has_no_shaped_link(
    engine: DockerEngine, built: Callable[[str], str], image: str
) -> None:
    with (
        own_registry(engine, built("registry")) as registry,
        Link(engine, registry, 100 * MEGABYTE, image=image, owner=OWNER) as link,
    ):
        registry.container.stop()
        registry.container.start()

        with pytest.raises(RegistryError, match="restarted"):
            link.check()


def test_a_registry_that_goes_away_in_the_middle_of_a_pull_is_a_registry_error(
    engine: DockerEngine, built: Callable[[str], str], image: str, python: str
) -> None:
    with own_registry(engine, built("registry")) as registry:
        registry.push(engine, python, Silent())
        with (
            Link(engine, registry, 20 * MEGABYTE, image=image, owner=OWNER),
            cold_host(engine, image=image, owner=OWNER, registry=registry.internal) as host,
        ):
            killer = threading.Timer(1.0, registry.container.kill)
            killer.start()
            with pytest.raises(RegistryError):
                host.pull(registry.pull_ref(python))
            killer.join()


def test_an_archive_that_is_not_what_was_asked_for_is_refused(
    registry: Registry, host: ColdHost, tmp_path: Path
) -> None:
    broken = tmp_path / "model.tar.gz"
    broken.write_bytes(b"no archive")
    url, digest = registry.put_archive(broken)

    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        host.fetch(url, digest)
    with pytest.raises(RegistryError, match="404"):
        host.fetch(url.replace(digest, "sha256:" + "0" * 64), "0" * 64)


def test_a_cold_host_that_cannot_start_is_removed(
    engine: DockerEngine, built: Callable[[str], str]
) -> None:
    with (
        pytest.raises(EngineError, match="did not come up"),
        cold_host(engine, image=built("registry"), owner=OWNER),
    ):
        pytest.fail("it is no cold host")


@pytest.mark.parametrize("delay_s", [0.01, 0.1, 0.3, 0.6])
def test_an_interrupt_at_any_moment_leaves_nothing(
    engine: DockerEngine, image: str, delay_s: float
) -> None:
    # A request that is interrupted loses its connection: Python says so when it finds it, which is
    # at once or later, and must not be in another test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        timer = threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt), cold_host(engine, image=image, owner=OWNER):
            time.sleep(5)
        gc.collect()


def test_what_a_killed_run_left_behind_is_found_by_its_owner(
    engine: DockerEngine, image: str
) -> None:
    abandoned = cold_host(engine, image=image, owner=f"{OWNER}-killed")
    abandoned.__enter__()

    assert remove_leftovers(engine, owner=f"{OWNER}-killed") == 1
    assert engine.containers({LABEL_OWNER: f"{OWNER}-killed"}) == []
    abandoned.__exit__(None, None, None)


def test_an_engine_whose_network_is_not_ours_is_reached_through_ports(
    engine: DockerEngine, image: str, registry: Registry, pushed: str
) -> None:
    elsewhere = DockerEngine(engine.address)
    elsewhere.bridged = False
    with cold_host(elsewhere, image=image, owner=OWNER, registry=registry.internal) as host:
        host.pull(pushed)
        container = host.engine.create(
            ContainerSpec(
                image=pushed,
                command=("python3", "-m", "http.server", "8080"),
                publish=host.publish,
            )
        )
        container.start()
        where = "http://{}:{}/".format(*container.address())
        wait_until(lambda: answers(where))
    elsewhere.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


def test_the_network_is_the_labs(engine: DockerEngine, registry: Registry) -> None:
    network = engine.client.inspect_network(NETWORK)

    assert network["Labels"][LABEL] == "true"
    assert registry.container.id in network["Containers"]
