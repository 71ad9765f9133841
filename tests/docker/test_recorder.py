"""What an image's start reads, on the real engine: exactly, and nothing is left of it."""

import dataclasses
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab.advice.recorder import watched
from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import RecordRequest, record
from lab.advice.recording import Recording, Stage, load_recording
from lab.engine.coldhost.flat import NoDeviceError
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import of_this_process, sweep
from lab.errors import ContainerFailedError, UsageError
from lab.progress import Silent
from lab.spec import LABEL_PROCESS
from tests.docker import three_files
from tests.timing import wait_until

pytestmark = [pytest.mark.docker]

TOUCHED = {"/bin", "/path", "/path/server"}
"""What is only looked at on the way to the three."""


@pytest.fixture(scope="module")
def three(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[str]:
    built("coldhost")
    name = three_files.make(engine, built("floor"), f"three-{secrets.token_hex(4)}")
    yield name
    engine.client.remove_image(name, force=True)


def request(image: str, *payloads: Payload) -> RecordRequest:
    return RecordRequest(
        image=image,
        contents=three_files.contents(image),
        payloads=payloads or (three_files.PAYLOAD,),
    )


def devices() -> set[str]:
    """The loop devices of this machine that are in use, but for the disks of cold hosts' engines.

    Of one whose server is dead the kernel does not know the file any more.
    """
    found = set()
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            if not file.read_text().endswith("/var/lib/docker/disk\n"):
                found.add(file.parts[3])
    return found


@pytest.fixture(scope="module")
def recording(engine: DockerEngine, three: str) -> Recording:
    other = dataclasses.replace(three_files.PAYLOAD, name="two.json")
    return record(engine, request(three, three_files.PAYLOAD, other), Silent())


def test_exactly_the_three_files_are_read(recording: Recording) -> None:
    assert recording.doubts == []
    assert recording.views == ["blocks", "calls"]
    touched = recording.touched()
    assert {path for path, one in touched.items() if one.opened} == set(three_files.READ)
    assert {path for path, one in touched.items() if not one.opened} == TOUCHED
    assert {one.first for one in recording.files} == {Stage.READY}


def test_their_bytes_are_those_that_were_fetched(recording: Recording) -> None:
    touched = recording.touched()
    for path in ("/bin/middle", "/start"):
        assert touched[path].block_bytes == {Stage.READY: 4096}
    assert touched["/serve"].read_bytes > 4096
    assert recording.chunks[Stage.READY].chunks > 0
    assert recording.chunks[Stage.READY].waited_s > 0
    fetched = sum(one.bytes for one in recording.chunks.values())
    said = sum(one.read_bytes for one in recording.files)
    assert 0 < said + sum(recording.untouched_bytes.values()) <= fetched


def test_what_was_looked_for_in_vain_is_listed(recording: Recording) -> None:
    # The first two by runc, which wants to know who the user is.
    assert recording.missed == ["/etc/group", "/etc/passwd", "/nowhere/server"]


def test_every_payload_and_what_a_client_does_wrong_is_asked(recording: Recording) -> None:
    said = [(one.what, one.status) for one in recording.answers]
    assert said == [
        ("one.json", 200),
        ("two.json", 200),
        ("one.json", 200),
        ("two.json", 200),
        ("/ping", 200),
        ("/metrics", 404),
        ("wrong type", 200),
        ("broken body", 200),
        ("empty body", 200),
        ("GET /invocations", 404),
        ("unknown path", 404),
        ("one.json at once", 200),
        ("one.json at once", 200),
    ]
    assert recording.new_by_payload == {"one.json": 0, "two.json": 0}


def test_it_is_the_same_when_it_is_read_again(recording: Recording, tmp_path: Path) -> None:
    assert load_recording(recording.save(tmp_path)) == recording


def test_nothing_is_left_of_it(engine: DockerEngine, recording: Recording) -> None:
    mark = of_this_process()
    assert recording.files
    assert engine.containers(mark) == []


def test_without_a_device_the_calls_are_seen_alone(
    engine: DockerEngine, three: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object, **__: object) -> None:
        raise NoDeviceError("there is no FUSE here")

    monkeypatch.setattr(watched, "flatten", unable)
    found = record(engine, request(three), Silent())
    assert found.views == ["calls"]
    assert found.doubts == ["How many bytes were read could not be seen: there is no FUSE here."]
    assert {one.path for one in found.files if one.opened} == set(three_files.READ)
    assert found.chunks == {}


def test_without_traces_the_blocks_are_seen_alone(
    engine: DockerEngine, three: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "_TRY_TRACING", ("sh", "-c", "echo not permitted; exit 1"))
    found = record(engine, request(three), Silent())
    assert found.views == ["blocks"]
    assert found.doubts == [
        "Which files were looked up could not be seen, only their blocks: not permitted."
    ]
    assert {"/bin/middle", "/serve", "/start"} <= {one.path for one in found.files}
    assert "/bin/unread" not in {one.path for one in found.files}
    assert found.missed == []


def test_no_payload_is_refused_before_anything_is_made(engine: DockerEngine, three: str) -> None:
    asked = dataclasses.replace(request(three), payloads=())
    with pytest.raises(UsageError, match="A recording needs a request"):
        record(engine, asked, Silent())


def test_an_image_that_never_gets_ready_says_so_first(
    engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("exit-3")
    with pytest.raises(ContainerFailedError) as caught:
        record(engine, request(ref), Silent())
    assert caught.value.what.startswith(f"{ref} does not get ready, so there is nothing to record")
    assert "no such file: weights.bin" in caught.value.what


def test_an_error_answer_says_so_first(engine: DockerEngine, image: Callable[..., str]) -> None:
    ref = image("teapot")
    with pytest.raises(ContainerFailedError) as caught:
        record(engine, request(ref), Silent())
    assert caught.value.what.startswith(f"{ref} does not answer one.json (application/json): 415")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("at", ["Flatten", "Record the start", "Record the next"])
def test_a_stop_at_any_step_leaves_nothing(
    engine: DockerEngine, built: Callable[[str], str], at: str, number: signal.Signals
) -> None:
    before = devices()
    name = f"three-{secrets.token_hex(4)}"
    ref = three_files.make(engine, built("floor"), name, salt=name)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.docker.three_files", ref, at, str(int(number))],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "DOCKER_HOST": engine.address},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode != 0
        mark = {LABEL_PROCESS: done.stdout.strip()}
        if number is signal.SIGKILL:
            assert engine.containers(mark)
            sweep(engine, Silent())
        assert engine.containers(mark) == [], done.stderr
        wait_until(lambda: not devices() - before)
    finally:
        engine.client.remove_image(ref, force=True)
