from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest

from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.engine import DockerEngine
from lab.errors import (
    EngineError,
    ImageNotFoundError,
    LabError,
    PortTakenError,
    RegistryError,
)
from lab.spec import LABEL, LABEL_NAME, LABEL_OWNER, Platform
from tests.unit.engine.fakedocker import INFO, FakeDocker

CREATE = "/containers/create"


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    docker.answer("POST", CREATE, {"Id": "c0ffee", "Warnings": []}, status=201)
    opened = DockerEngine(docker.address)
    docker.asked.clear()
    yield opened
    opened.close()


def test_creating_a_container_is_one_call_to_the_engine(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    engine.create(ContainerSpec(image="x:1", cpus=1.0))
    assert [(method, path) for method, path, _ in docker.asked] == [("POST", CREATE)]


def test_every_container_has_the_shared_memory_and_the_stop_signal_of_sagemaker(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    # Not the engine's default, which a daemon's settings may raise, nor the image's STOPSIGNAL.
    engine.create(ContainerSpec(image="x:1"))
    (asked,) = docker.asked_for("POST", CREATE)
    assert asked["HostConfig"]["ShmSize"] == 67_108_864
    assert asked["StopSignal"] == "SIGTERM"


@pytest.mark.parametrize("within", [True, False])
def test_the_engine_s_disk_is_known_from_one_of_its_containers_too(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, *, within: bool
) -> None:
    # Only then is a full /dev/shm told from a full disk.
    docker.answer("POST", CREATE, {"Id": "c0ffee", "Warnings": []}, status=201)
    docker.answer("GET", "/info", {**INFO, "DockerRootDir": "/not/seen/from/here"})
    monkeypatch.setattr("lab.engine.docker.container.in_some_container", lambda: within)
    with closing(DockerEngine(docker.address)) as engine:
        free = engine.create(ContainerSpec(image="x:1")).disk_free()
    assert (free is not None) is within


def test_starting_a_container_is_one_call_to_the_engine(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    container = engine.create(ContainerSpec(image="x:1"))
    docker.answer("POST", "/containers/c0ffee/start", status=204)
    docker.asked.clear()
    container.start()
    assert [path for _, path, _ in docker.asked] == ["/containers/c0ffee/start"]


def test_the_spec_reaches_the_engine_whole(engine: DockerEngine, docker: FakeDocker) -> None:
    engine.create(
        ContainerSpec(
            image="x:1",
            env={"A": "b"},
            labels={"role": "trial"},
            model_dir=PurePosixPath("/models/m"),
            mounts=[Mount(source=None, target="/data"), Mount(source="vol", target="/v")],
            memory_bytes=1024**3,
            cpus=0.5,
            publish=0,
            user="1234",
            network="inference-lab",
            privileged=True,
            cap_add=["NET_ADMIN"],
        )
    )
    (asked,) = docker.asked_for("POST", CREATE)
    host = asked["HostConfig"]
    assert asked["Image"] == "x:1"
    assert asked["Cmd"] == ["serve"]
    assert asked["Env"] == ["A=b"]
    assert asked["User"] == "1234"
    name = asked["Labels"][LABEL_NAME]
    assert asked["Labels"] == {"role": "trial", LABEL: "true", LABEL_NAME: name}
    assert (host["Memory"], host["MemorySwap"]) == (1024**3, 1024**3)
    assert host["NanoCpus"] == 500_000_000
    assert host["NetworkMode"] == "inference-lab"
    assert host["Privileged"] is True
    assert host["CapAdd"] == ["NET_ADMIN"]
    assert host["ReadonlyRootfs"] is True
    assert "mode=1777" in host["Tmpfs"]["/tmp"]
    assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/models/m", "Target": "/opt/ml/model", "ReadOnly": True},
        {"Type": "volume", "Target": "/data", "ReadOnly": False},
        {"Type": "volume", "Source": "vol", "Target": "/v", "ReadOnly": True},
    ]


def test_no_more_cpus_are_asked_for_than_the_engine_has(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    engine.create(ContainerSpec(image="x:1", cpus=3.4))
    (asked,) = docker.asked_for("POST", CREATE)
    assert asked["HostConfig"]["NanoCpus"] == 2_000_000_000  # as INFO has it


def test_an_engine_in_a_container_publishes_where_it_can_be_reached(docker: FakeDocker) -> None:
    docker.answer("POST", CREATE, {"Id": "c0ffee"}, status=201)
    docker.answer(
        "GET",
        "/containers/c0ffee/json",
        {
            "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {
                "Networks": {"bridge": {"IPAddress": "127.0.0.1"}},
                "Ports": {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]},
            },
            "State": {"Running": True},
        },
    )
    engine = DockerEngine(docker.address, reach="172.18.0.5")
    container = engine.create(ContainerSpec(image="x:1", publish=0))
    (asked,) = docker.asked_for("POST", CREATE)
    assert asked["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostIp"] == ""
    assert container.address() == ("172.18.0.5", 32768)
    engine.close()


@pytest.mark.parametrize(
    ("routed", "expected"), [(True, ("172.17.0.9", 8080)), (False, ("127.0.0.1", 32768))]
)
def test_a_container_is_reached_directly_where_its_network_is_ours(
    engine: DockerEngine,
    docker: FakeDocker,
    monkeypatch: pytest.MonkeyPatch,
    *,
    routed: bool,
    expected: tuple[str, int],
) -> None:
    monkeypatch.setattr("lab.engine.docker.container.connected", lambda address: routed)
    docker.answer(
        "GET",
        "/containers/c0ffee/json",
        {
            "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {
                "Networks": {"bridge": {"IPAddress": "172.17.0.9"}},
                "Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]},
            },
            "State": {"Running": True},
        },
    )
    assert engine.create(ContainerSpec(image="x:1", publish=0)).address() == expected


@pytest.mark.parametrize(
    "differs",
    [{"OperatingSystem": "Docker Desktop"}, {"SecurityOptions": ["name=rootless"]}],
)
def test_containers_in_a_virtual_machine_are_reached_by_published_ports(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, differs: dict[str, object]
) -> None:
    monkeypatch.setattr("lab.engine.docker.container.connected", lambda address: True)
    docker.answer("GET", "/info", {**INFO, **differs})
    docker.answer("POST", CREATE, {"Id": "c0ffee"}, status=201)
    docker.answer(
        "GET",
        "/containers/c0ffee/json",
        {
            "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {
                "Networks": {"bridge": {"IPAddress": "172.17.0.9"}},
                "Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]},
            },
            "State": {"Running": True},
        },
    )
    engine = DockerEngine(docker.address)
    assert engine.create(ContainerSpec(image="x:1")).address() == ("127.0.0.1", 32768)
    engine.close()


def test_a_late_word_of_a_memory_kill_is_waited_for_in_the_events(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    state = {
        "Running": False,
        "StartedAt": "2026-11-20T12:00:00Z",
        "ExitCode": 137,
        "OOMKilled": False,
        "Pid": 0,
    }
    docker.answer("GET", "/containers/c0ffee/json", {"State": state})
    container = engine.create(ContainerSpec(image="x:1"))
    docker.answer("GET", "/events", raw=b'{"Action":"die","timeNano":1}\n')
    assert not container.state().oom_killed
    docker.answer("GET", "/events", raw=b'{"Action":"oom","timeNano":1}\n')
    assert container.state().oom_killed


def test_a_port_that_is_not_published_is_said_so(engine: DockerEngine, docker: FakeDocker) -> None:
    docker.answer(
        "GET",
        "/containers/c0ffee/json",
        {
            "HostConfig": {"NetworkMode": "none"},
            "NetworkSettings": {"Networks": {}, "Ports": {}},
            "State": {"Running": True},
        },
    )
    with pytest.raises(EngineError, match="does not publish port 8080"):
        engine.create(ContainerSpec(image="x:1")).address()


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (404, "No such image: x:1", ImageNotFoundError),
        (
            500,
            "Bind for 127.0.0.1:80 failed: port is already allocated",
            PortTakenError,
        ),
        (500, "something new", EngineError),
    ],
)
def test_what_the_engine_answers_becomes_the_lab_s_error(
    engine: DockerEngine, docker: FakeDocker, status: int, said: str, expected: type[LabError]
) -> None:
    docker.answer("POST", CREATE, {"message": said}, status=status)
    with pytest.raises(expected) as caught:
        engine.create(ContainerSpec(image="x:1"))
    assert type(caught.value) is expected
    assert said in caught.value.what


def test_removing_a_container_that_is_gone_or_going_is_no_error(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    container = engine.create(ContainerSpec(image="x:1"))
    docker.answer("DELETE", "/containers/c0ffee", {"message": "No such container"}, status=404)
    container.remove()
    going = "removal of container c0ffee is already in progress"
    docker.answer("DELETE", "/containers/c0ffee", {"message": going}, status=409)
    container.remove()


def test_the_events_of_a_pull_come_in_their_order(engine: DockerEngine, docker: FakeDocker) -> None:
    lines = (
        b'{"status":"Pulling from x","id":"1"}\r\n'
        b'{"status":"Pulling fs layer","progressDetail":{},"id":"aa"}\r\n'
        b'{"status":"Pull complete","progressDetail":{},"id":"aa"}\r\n'
        b'{"status":"Digest: sha256:1"}\r\n'
    )
    docker.answer("POST", "/images/create", raw=lines)
    events = engine.pull("h:5000/x:1", platform=Platform.ARM64)
    assert [(event.layer, event.status) for event in events] == [
        ("1", "Pulling from x"),
        ("aa", "Pulling fs layer"),
        ("aa", "Pull complete"),
    ]
    assert [event.at_ns for event in events] == sorted(event.at_ns for event in events)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"error":"unexpected EOF"}', RegistryError),
        (b'{"error":"never heard of it"}', RegistryError),
        (b'{"error":"manifest unknown"}', ImageNotFoundError),
    ],
)
def test_a_pull_that_breaks_off_says_whose_fault_it_is(
    engine: DockerEngine, docker: FakeDocker, line: bytes, expected: type[LabError]
) -> None:
    docker.answer("POST", "/images/create", raw=line)
    with pytest.raises(expected, match="x:1 cannot be pulled"):
        engine.pull("x:1")


def test_the_unpacked_size_is_the_sum_of_the_layers(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    docker.answer(
        "GET",
        "/images/x:1/json",
        {
            "Id": "sha256:1",
            "RepoDigests": ["x@sha256:2"],
            "Architecture": "arm64",
            "Size": 1,
            "Config": {"Labels": None},
        },
    )
    docker.answer("GET", "/images/x:1/history", [{"Size": 10}, {"Size": 20}])
    image = engine.image("x:1")
    assert image.unpacked_bytes == 30
    assert image.digest == "sha256:2"
    assert image.platform is Platform.ARM64


def test_the_facts_say_what_measured(docker: FakeDocker) -> None:
    docker.answer("GET", "/info", {**INFO, "Warnings": ["WARNING: No swap limit support"]})
    engine = DockerEngine(docker.address)
    facts = engine.facts()
    engine.close()
    assert facts.name == "Docker Engine 26.1.5"
    assert facts.versions["containerd"] == "1.7.24"
    assert facts.cgroup_version == "2"
    assert facts.notes == ("WARNING: No swap limit support",)
    # The fake's clock stands still at noon: the engine is far off, and it shows.
    assert facts.clock_offset_s != 0.0
    assert facts.clock_error_s < 1.0


def test_an_unknown_architecture_is_refused_by_name(docker: FakeDocker) -> None:
    docker.answer("GET", "/info", {**INFO, "Architecture": "riscv64"})
    engine = DockerEngine(docker.address)
    with pytest.raises(EngineError, match="riscv64"):
        engine.facts()
    engine.close()


def test_no_engine_at_the_address_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        DockerEngine(f"unix://{tmp_path}/none.sock")


def test_only_containers_that_the_lab_made_are_the_labs(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    inherited = {LABEL: "true", "org.inference-lab.role": "base"}
    seen = {
        "made": {**inherited, LABEL_NAME: "made"},
        "of-an-earlier-version": {**inherited, LABEL_OWNER: "a-run"},
        "a-users-own-of-our-base": inherited,
        "of-an-image-committed-from-ours": {**inherited, LABEL_NAME: "made", LABEL_OWNER: "a-run"},
    }
    rows = [{"Id": name, "Names": [f"/{name}"], "Labels": of} for name, of in seen.items()]
    docker.answer("GET", "/containers/json", rows)
    assert [one.name for one in engine.containers({})] == ["made", "of-an-earlier-version"]


def test_resizing_a_container_is_one_update_without_swap(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    docker.answer("POST", "/containers/c0ffee/update", {"Warnings": None})
    container = engine.create(ContainerSpec(image="x:1"))
    docker.asked.clear()
    container.resize(memory_bytes=2 * 2**30, cpus=1.5)
    limits = {"Memory": 2 * 2**30, "MemorySwap": 2 * 2**30, "NanoCpus": 1_500_000_000}
    assert docker.asked == [("POST", "/containers/c0ffee/update", limits)]


def test_resizing_to_no_limit_gives_all_that_the_machine_has(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    docker.answer("POST", "/containers/c0ffee/update", {"Warnings": None})
    engine.create(ContainerSpec(image="x:1")).resize(memory_bytes=None, cpus=None)
    (asked,) = docker.asked_for("POST", "/containers/c0ffee/update")
    assert (asked["Memory"], asked["NanoCpus"]) == (INFO["MemTotal"], 2_000_000_000)


def test_a_size_that_the_engine_refuses_is_its_error(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    said = {"message": "Minimum memory limit allowed is 6MB"}
    docker.answer("POST", "/containers/c0ffee/update", said, status=400)
    container = engine.create(ContainerSpec(image="x:1"))
    with pytest.raises(EngineError, match="Minimum memory limit allowed is 6MB"):
        container.resize(memory_bytes=1, cpus=1.0)
