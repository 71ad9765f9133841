"""The process engine, with real processes: it has nothing else to be tested with."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from lab.engine.api import ContainerSpec, ContainerState, Mount
from lab.engine.process import memcg, proctree
from lab.engine.process.container import ProcessContainer, Record
from lab.engine.process.engine import ProcessEngine
from lab.errors import EngineError, ImageNotFoundError, PortTakenError
from lab.spec import LABEL, MODEL_DIR, EngineKind
from tests.timing import wait_until

pytestmark = pytest.mark.usefixtures("real_processes")

REF = "inference-lab/toy:amd64"
PROGRAM = """\
import os, signal, socket, sys, time
verb = sys.argv[1]
if verb == "env":
    print(sorted(os.environ.items()), flush=True)
    print(sys.stderr.name, file=sys.stderr)
elif verb == "fail":
    print("\\n".join(f"line {n}" for n in range(100)))
    sys.exit(3)
elif verb == "eat":
    kept = []
    while True:
        kept.append(bytearray(2**22))
elif verb == "cpus":
    print(len(os.sched_getaffinity(0)), flush=True)
else:
    if verb == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(60)
    listener = socket.create_server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])))
    print("listening", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "venvs/toy"
    folder.mkdir(parents=True)
    (tmp_path / "toy.py").write_text(PROGRAM)
    image = {
        "variant": "toy",
        "argv": [sys.executable, "-S", str(tmp_path / "toy.py")],
        "env": {"FROM_IMAGE": "yes"},
        "unpacked_bytes": 12345,
    }
    (folder / "image.json").write_text(json.dumps(image))
    return tmp_path


@pytest.fixture
def engine(cache: Path) -> Iterator[ProcessEngine]:
    opened = ProcessEngine(cache=cache)
    yield opened
    for container in opened.containers({}):
        container.remove()


def _spec(*command: str) -> ContainerSpec:
    return ContainerSpec(image=REF, command=command or ("serve",))


def _ended(container: ProcessContainer) -> ContainerState:
    wait_until(lambda: not container.state().running)
    return container.state()


def _started(engine: ProcessEngine, *command: str) -> ProcessContainer:
    container = engine.create(_spec(*command))
    container.start()
    wait_until(lambda: "listening" in container.logs())
    return container


def test_a_process_listens_where_its_address_says(engine: ProcessEngine) -> None:
    container = _started(engine)
    with socket.create_connection(container.address()):
        state = container.state()
    assert state.running
    assert state.pid is not None
    assert state.exit_code is None
    used = container.usage()
    assert used.peak_memory_bytes is not None
    assert used.peak_memory_bytes > 2**20
    assert used.cpu_seconds is not None


def test_it_sees_the_image_s_and_the_spec_s_environment_and_no_other(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the user")
    spec = replace(_spec("env"), env={"A": "b"}, model_dir=PurePosixPath("/models/m"))
    container = engine.create(spec)
    container.start()
    assert _ended(container).exit_code == 0
    said = container.logs()
    for pair in (("FROM_IMAGE", "yes"), ("A", "b"), ("LAB_MODEL_DIR", "/models/m")):
        assert str(pair) in said
    assert str(("SAGEMAKER_BIND_TO_PORT", str(container.address()[1]))) in said
    assert "SECRET" not in said
    assert "<stderr>" in said


def test_what_is_known_of_a_process_beside_its_log(engine: ProcessEngine, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "export").mkdir(parents=True)
    (model / "export" / "model.pkl").write_bytes(b"1")
    with_model = engine.create(replace(_spec("env"), model_dir=PurePosixPath(model)))
    assert with_model.mounted(MODEL_DIR) == ["export/model.pkl"]
    assert engine.create(_spec("env")).mounted(MODEL_DIR) == ()
    assert with_model.head(str(model / "export" / "model.pkl")) == b"1"
    with pytest.raises(EngineError, match="nothing cannot be read"):
        with_model.head("/nothing")
    assert (with_model.disk_free() or 0) > 0


def test_stopping_ends_the_children_too(engine: ProcessEngine) -> None:
    container = _started(engine)
    leader = container.state().pid
    assert leader is not None
    assert len(proctree.session(leader)) == 2
    container.stop(grace_s=5)
    assert proctree.session(leader) == []
    assert container.state().exit_code == 128 + signal.SIGTERM
    container.stop()


def test_what_ignores_sigterm_is_killed_when_grace_ends(engine: ProcessEngine) -> None:
    container = _started(engine, "stubborn")
    container.stop(grace_s=0.1)
    assert container.state().exit_code == 128 + signal.SIGKILL


def test_a_process_can_be_started_again_and_its_port_stays(engine: ProcessEngine) -> None:
    container = _started(engine)
    first, address = container.state(), container.address()
    container.stop(grace_s=5)
    container.start()
    wait_until(lambda: container.logs().count("listening") == 2)
    second = container.state()
    assert container.address() == address
    assert second.pid != first.pid
    assert first.started_at_ns is not None
    assert second.started_at_ns is not None
    assert second.started_at_ns > first.started_at_ns
    assert container.logs(since_ns=second.started_at_ns).count("listening") == 1
    stream = container.follow_logs(since_ns=first.started_at_ns)
    assert next(iter(stream)).text == "listening"
    actions = [event.action for event in container.events(0)]
    assert actions == ["create", "start", "die", "start"]


def test_an_early_exit_leaves_its_code_and_its_last_lines(engine: ProcessEngine) -> None:
    container = engine.create(_spec("fail"))
    container.start()
    assert _ended(container).exit_code == 3
    assert container.logs(tail=2) == "line 98\nline 99\n"


@pytest.mark.skipif(not memcg.possible(), reason="no memory cgroup can be made here")
def test_a_memory_limit_kills_and_is_told_from_another_kill(engine: ProcessEngine) -> None:
    container = engine.create(replace(_spec("eat"), memory_bytes=64 * 2**20))
    container.start()
    state = _ended(container)
    assert state.exit_code == 128 + signal.SIGKILL
    assert state.oom_killed
    other = _started(engine)
    other.kill()
    assert not _ended(other).oom_killed


def test_a_cpu_quota_becomes_whole_cpus(engine: ProcessEngine) -> None:
    before = os.sched_getaffinity(0)
    container = engine.create(replace(_spec("cpus"), cpus=0.58))
    container.start()
    _ended(container)
    assert container.logs() == "1\n"
    assert os.sched_getaffinity(0) == before


def test_containers_are_found_by_their_labels_by_another_command(
    engine: ProcessEngine, cache: Path
) -> None:
    mine = engine.create(replace(_spec(), labels={"owner": "me"}))
    engine.create(replace(_spec(), labels={"owner": "you"}))
    (found,) = ProcessEngine(cache=cache).containers({"owner": "me"})
    assert (found.id, found.name) == (mine.id, mine.name)
    assert found.labels == {"owner": "me", LABEL: "true"}


def test_what_a_dead_lab_left_running_is_swept_by_the_next(
    engine: ProcessEngine, cache: Path
) -> None:
    container = _started(engine)
    pid = container.state().pid
    assert pid is not None
    (folder,) = (cache / "processes").iterdir()
    record = Record.load(folder)
    assert record is not None
    replace(record, owner_born=record.owner_born + 1).save(folder)
    ProcessEngine(cache=cache)
    assert proctree.session(pid) == []
    assert not folder.exists()
    _ended(container)


def test_processes_die_with_the_lab(cache: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    lab = os.fork()
    if lab == 0:
        # A lab of its own, that is killed while its process runs.
        with contextlib.suppress(BaseException):
            container = _started(ProcessEngine(cache=cache))
            ready.write_text(str(container.state().pid))
            time.sleep(60)
        os._exit(1)
    try:
        wait_until(lambda: ready.exists() and ready.read_text() != "")
    finally:
        os.kill(lab, signal.SIGKILL)
        os.waitpid(lab, 0)
    served = int(ready.read_text())

    def gone() -> bool:
        seen = proctree.read(served)
        return seen is None or not seen.alive

    wait_until(gone)
    ProcessEngine(cache=cache)
    assert proctree.session(served) == []


def test_the_limits_of_a_running_process_cannot_be_changed(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match="Start it again at the other size"):
        engine.create(_spec("sleep", "60")).resize(memory_bytes=2**30, cpus=1.0)


def test_removing_twice_is_no_error(engine: ProcessEngine) -> None:
    container = _started(engine)
    container.remove()
    container.remove()
    assert engine.containers({}) == []


def test_a_process_number_that_another_program_got_is_left_alone(
    engine: ProcessEngine, cache: Path
) -> None:
    engine.create(_spec())
    (folder,) = (cache / "processes").iterdir()
    record = Record.load(folder)
    assert record is not None
    replace(record, pid=os.getpid(), born=1).save(folder)
    (found,) = engine.containers({})
    assert not found.state().running
    found.remove()  # or this test would not live to see the next line
    assert not folder.exists()


def test_a_taken_port_is_refused_before_anything_is_made(engine: ProcessEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            engine.create(replace(_spec(), publish=port))
    assert engine.containers({}) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (replace(_spec(), mounts=[Mount(source=None, target="/x")]), "mounts"),
        (replace(_spec(), network="n"), "a network"),
        (replace(_spec(), privileged=True), "privileges"),
        (replace(_spec(), user="1000"), "another user"),
    ],
)
def test_what_takes_a_container_is_refused_by_name(
    engine: ProcessEngine, spec: ContainerSpec, said: str
) -> None:
    with pytest.raises(EngineError, match=said):
        engine.create(spec)


@pytest.mark.parametrize("ref", ["inference-lab/other:amd64", "nginx:latest", "a/b/../c:d"])
def test_an_image_without_a_virtual_environment_is_not_found(
    engine: ProcessEngine, ref: str
) -> None:
    with pytest.raises(ImageNotFoundError, match="no virtual environment"):
        engine.create(replace(_spec(), image=ref))


def test_nothing_can_be_pulled(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match="no container"):
        engine.pull(REF)


def test_the_virtual_environment_s_bytes_stand_for_the_unpacked_size(
    engine: ProcessEngine,
) -> None:
    assert engine.image(REF).unpacked_bytes == 12345


def test_the_facts_say_what_is_not_a_container(engine: ProcessEngine) -> None:
    facts = engine.facts()
    assert facts.kind is EngineKind.PROCESS
    assert "no container" in facts.name
    assert any("CPU quotas" in note for note in facts.notes)


def test_a_command_runs_in_the_process_s_environment(engine: ProcessEngine) -> None:
    container = engine.create(_spec())
    code, said = container.execute(["sh", "-c", "echo $FROM_IMAGE; exit 4"])
    assert (code, said) == (4, "yes\n")
