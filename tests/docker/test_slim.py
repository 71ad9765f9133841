"""Smaller images of a small one: made, caught when they lack something, mended, cleaned up."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from lab import paths
from lab.advice.contents import Contents, EntryKind
from lab.advice.image.read import read_contents
from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import RecordRequest
from lab.advice.recording import FileRead, Recording, Stage
from lab.advice.slim.prove import Proof, Trouble
from lab.advice.slim.run import SlimJob, slim
from lab.advice.slim.select import Level, Selector
from lab.advice.slim.write import Workshop, made_by_slim
from lab.contract.model import Verdicts
from lab.contract.subject import CheckRequest
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.owned import of_this_process
from lab.engine.registry.local import place_of
from lab.engine.registry.manifests import DOCKER_MANIFEST
from lab.errors import UsageError
from lab.images.base import base_ref
from lab.images.layers.stream import read_stream, saving
from lab.images.names import SLIMMING
from lab.images.publish import local_registry
from lab.progress import Silent
from lab.spec import LABEL, LABEL_PROCESS, LABEL_ROLE, Platform
from tests.docker import known

pytestmark = [pytest.mark.docker]

NAME = "inference-lab-test/slimmed"
ORIGINAL = "inference-lab-test/to-be-slimmed"
FOREIGN = "inference-lab-test/of-somebody"
CC = shutil.which("cc")
SERVER = Path(__file__).parent / "slim_image" / "server.py"
REFUSAL = "/srv/refusals/too-large.txt"
JUNK = "/opt/junk/big.bin"
ROLES = {"slim", "slim-proof", "contract-check"}
ODD = b"/opt/odd/\xff\xfename".decode("utf-8", "surrogateescape")
CAPABILITY = "SCHILY.xattr.security.capability"
"""The one extended attribute that engines carry."""
MAY_BIND = bytes.fromhex("0100000200040000000000000000000000000000")
GIVE = f"import os; os.setxattr('/opt/odd/twin', 'security.capability', {MAY_BIND!r})"
LIBRARY = "/opt/lib/answer.so"
TWIN = "/opt/lib/answer.so.1"
CALL = f"import ctypes; print(ctypes.CDLL({TWIN!r}).answer())"
PAYLOAD = Payload(name="list.json", body=b"[1, 2, 3]", content_type="application/json")


def files() -> bytes:
    """What is hard to copy, and what nobody needs."""
    data = io.BytesIO()

    def add(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: Any) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.mode, member.mtime = (
            kind,
            len(content),
            0o644,
            1_600_000_000,
        )
        for field, value in fields.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(content))

    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add(REFUSAL[1:], b"at most a megabyte")
        add("srv/refusals/too-few.txt", b"at least one")
        add(JUNK[1:], bytes(3_000_000))
        add("opt/junk/twin.bin", kind=tarfile.LNKTYPE, linkname=JUNK[1:])
        add(ODD[1:], b"odd")
        add("opt/odd/twin", kind=tarfile.LNKTYPE, linkname=ODD[1:])
        add("opt/odd/zero", kind=tarfile.CHRTYPE, devmajor=1, devminor=5)
        add("opt/odd/roots", b"secret", mode=0o600)
        add("opt/odd/empty", kind=tarfile.DIRTYPE, mode=0o1777)
        add("etc/hosts", b"10.0.0.1 its-own\n", mode=0o640)
    return data.getvalue()


def made(engine: DockerEngine, name: str, env: dict[str, str] | None = None) -> str:
    plain = known.make(
        engine, base_ref(engine.facts().platform), f"{name.rpartition('/')[2]}-plain", server=SERVER
    )
    with translated():
        # An engine that unpacks files into a container leaves their capabilities out.
        container = engine.client.create_container(plain, entrypoint=["python3", "-c", GIVE])["Id"]
        try:
            engine.client.put_archive(container, "/", files())
            engine.client.start(container)
            assert engine.client.wait(container)["StatusCode"] == 0
            engine.client.commit(
                container,
                repository=name,
                tag="latest",
                changes=[
                    f"ENTRYPOINT {json.dumps(['python3', '/server.py'])}",
                    'CMD ["serve"]',
                    "ENV GREETING=hello",
                    *(f"ENV {key}={value}" for key, value in (env or {}).items()),
                    "EXPOSE 8080/tcp",
                    "LABEL org.example.of=somebody",
                    "USER 1000:1000",
                    "WORKDIR /opt/odd",
                    "VOLUME /opt/volume",
                    "STOPSIGNAL SIGTERM",
                ],
            )
        finally:
            engine.client.remove_container(container, force=True)
    known.remove(engine, plain)
    return f"{name}:latest"


@pytest.fixture(scope="module")
def original(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[str]:
    built("floor")  # with the base that it stands on
    ref = made(engine, ORIGINAL)
    yield ref
    known.remove(engine, ref)


@pytest.fixture(scope="module")
def contents(engine: DockerEngine, original: str) -> Contents:
    return read_contents(engine, original)


def recorded(request: RecordRequest) -> Recording:
    """As if only what is in no folder of its own had been touched."""
    left_alone = ("/srv/refusals", "/opt/junk")
    return Recording(
        image=request.image,
        image_id="",
        platform=Platform.AMD64,
        emulated=False,
        lab_version="0",
        recorded_at="",
        views=["calls"],
        files=[
            FileRead(path=path, first=Stage.READY, opened=True)
            for path, one in request.contents.entries.items()
            if not path.startswith(left_alone) and one.kind is not EntryKind.FOLDER
        ],
        missed=[],
        answers=[],
    )


class Unchecked(Proof):
    """A proof without the contract check, which takes minutes and has tests of its own."""

    @property
    def original_verdicts(self) -> Verdicts:
        return Verdicts(image="", platform=None, findings=())

    def contract(self, image: str) -> Sequence[Trouble]:
        del image
        return ()


class Stops(Silent):
    """Is interrupted when a step begins, as by Ctrl-C."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    @contextmanager
    def step(self, title: str) -> Iterator["Stops"]:
        if title.startswith(self.at):
            raise KeyboardInterrupt
        yield self


def members_of(layer: IO[bytes]) -> Mapping[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=layer, mode="r|") as archive:
        return {one.name: one for one in archive}


def job(original: str, **changes: Any) -> SlimJob:
    payload = paths.cache() / "list.json"
    payload.parent.mkdir(parents=True, exist_ok=True)
    payload.write_bytes(PAYLOAD.body)
    request = CheckRequest(image=original, payload=payload, content_type=PAYLOAD.content_type)
    fields: dict[str, Any] = {
        "request": request,
        "name": f"{NAME}:latest",
        "payloads": [PAYLOAD],
        "level": Level.FILES,
    }
    return SlimJob(**{**fields, **changes})


def left_behind(engine: DockerEngine) -> Sequence[str]:
    """Containers and images of this process's slimmings, and files."""
    found = [
        one.name for one in engine.containers(of_this_process()) if one.labels[LABEL_ROLE] in ROLES
    ]
    mark = of_this_process()[LABEL_PROCESS].replace("/", "_")
    with translated():
        images = engine.client.images(name=SLIMMING)
    found += [name for one in images for name in one["RepoTags"] or () if mark in name]
    place = paths.cache() / "slim"
    return [*found, *(map(str, place.iterdir()) if place.is_dir() else ())]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.advice.slim.run.Proof", Unchecked)


@pytest.fixture
def slimmed(engine: DockerEngine) -> Iterator[str]:
    yield f"{NAME}:latest"
    with translated():
        if engine.client.images(name=NAME):
            known.remove(engine, f"{NAME}:latest")


def inner(engine: DockerEngine, ref: str) -> dict[str, Any]:
    with translated():
        config: dict[str, Any] = engine.client.inspect_image(ref)["Config"]
    return config


@pytest.mark.parametrize("discreet", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_file_that_only_an_error_path_needs_is_caught_and_brought_back(
    engine: DockerEngine, original: str, unchecked: None, slimmed: str, *, discreet: bool
) -> None:
    """Whether the answer names the file, or says nothing of it."""
    ref = original
    if discreet:
        ref = made(engine, f"{ORIGINAL}-discreet", {"DISCREET": "yes"})
    try:
        found, folder = slim(job(ref), engine, Silent(), record=recorded)
        config, before = inner(engine, slimmed), inner(engine, ref)
    finally:
        if discreet:
            known.remove(engine, ref)
    (restored,) = found.restored
    assert restored.paths == [REFUSAL]
    assert restored.traced
    assert restored.because.startswith("27.3 MB of zeros: 500 instead of 413")
    assert found.rounds == 2
    assert (found.tries == 1) is not discreet
    after = read_contents(engine, slimmed).entries
    assert REFUSAL in after
    assert {JUNK, "/srv/refusals/too-few.txt"} & after.keys() == set()
    assert config == before
    listed = (folder / "removed.txt").read_text(errors="surrogateescape").splitlines()
    assert f"3000000\t/opt/junk\t{JUNK}" in listed
    assert not [line for line in listed if line.endswith(REFUSAL)]
    assert found.before.unpacked_bytes - found.after.unpacked_bytes >= 3_000_000
    assert made_by_slim(engine, slimmed)
    assert left_behind(engine) == []


def test_all_that_stays_is_as_it_was_and_the_same_choice_gives_the_same_image(
    engine: DockerEngine, original: str, contents: Contents, tmp_path: Path
) -> None:
    recording = recorded(
        RecordRequest(image=original, contents=contents, payloads=[PAYLOAD], archive=None)
    )
    with Workshop(engine, contents, tmp_path, "slim-test") as shop:
        selection = Selector(contents, [recording], level=Level.FILES, head=shop.head).select()
        first = shop.make(selection, Silent())
        after = read_contents(engine, first).entries
        assert shop.make(selection, Silent()) == first
        with saving(engine, first) as chunks:
            (layer,) = read_stream(chunks, members_of).layers
    members = layer.content or {}
    assert set(after) == set(selection.kept)
    for path in selection.kept:
        assert (after[path].kind, after[path].mode) == (
            contents.entries[path].kind,
            contents.entries[path].mode,
        ), path
    (whole,) = (members[one] for one in (ODD[1:], "opt/odd/twin") if members[one].isreg())
    assert whole.pax_headers[CAPABILITY] == MAY_BIND.decode()
    assert whole.mtime == 1_600_000_000
    assert whole.size == 3
    assert after[ODD].size + after["/opt/odd/twin"].size == 3
    assert members["opt/odd/zero"].ischr()
    assert members["opt/odd/empty"].mode == 0o1777
    assert after["/etc/hosts"].size == len("10.0.0.1 its-own\n")
    assert ".dockerenv" not in members
    assert left_behind(engine) == []


@pytest.fixture
def with_library(
    engine: DockerEngine, original: str, tmp_path: Path
) -> Iterator[tuple[str, bytes]]:
    """An image with a library that has its symbols, under two names; and the library."""
    source, library = tmp_path / "answer.c", tmp_path / "answer.so"
    source.write_text("int answer(void) { return 42; }")
    subprocess.run([str(CC), "-g3", "-shared", "-fPIC", "-o", library, source], check=True)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(library, LIBRARY[1:])
        twin = tarfile.TarInfo(TWIN[1:])
        twin.type, twin.linkname = tarfile.LNKTYPE, LIBRARY[1:]
        tar.addfile(twin)
    name = f"{ORIGINAL}-library"
    with translated():
        container = engine.client.create_container(original)["Id"]
        engine.client.put_archive(container, "/", data.getvalue())
        engine.client.commit(container, repository=name, tag="latest")
        engine.client.remove_container(container, force=True)
    yield f"{name}:latest", library.read_bytes()
    known.remove(engine, f"{name}:latest")


def said_by(engine: DockerEngine, image: str, program: str) -> str:
    """What a Python program prints in a container of it."""
    with translated():
        container = engine.client.create_container(image, entrypoint=["python3", "-c", program])
        try:
            engine.client.start(container)
            engine.client.wait(container)
            said: bytes = engine.client.logs(container)
        finally:
            engine.client.remove_container(container, force=True)
    return said.decode().strip()


@pytest.mark.long
@pytest.mark.skipif(CC is None, reason="there is no C compiler here")
def test_a_stripped_library_is_loaded_and_all_comes_back_with_the_removed_layer(
    engine: DockerEngine, with_library: tuple[str, bytes], tmp_path: Path
) -> None:
    ref, library = with_library
    before = read_contents(engine, ref)
    recording = recorded(
        RecordRequest(image=ref, contents=before, payloads=[PAYLOAD], archive=None)
    )
    with Workshop(engine, before, tmp_path, "slim-test") as shop:
        selection = Selector(before, [recording], level=Level.FILES, head=shop.head).select()
        image = shop.make(selection, Silent())
        assert shop.stripped.keys() == {LIBRARY}
        saved = shop.stripped[LIBRARY]
        assert said_by(engine, image, CALL) == "42"
        sizes = f"import os; print(*map(os.path.getsize, ({LIBRARY!r}, {TWIN!r})))"
        assert said_by(engine, image, sizes) == f"{len(library) - saved} {len(library) - saved}"
        digest = f"import hashlib as h; print(h.sha256(open({TWIN!r}, 'rb').read()).hexdigest())"
        whole_digest = hashlib.sha256(library).hexdigest()
        assert said_by(engine, image, digest) != whole_digest
        with shop.with_files(image, {TWIN}) as one_back:
            assert said_by(engine, one_back, digest) == whole_digest
        gone = {one.path for one in selection.removed}
        with shop.with_files(image, {*gone, LIBRARY, TWIN}) as whole:
            assert said_by(engine, whole, CALL) == "42"
            assert said_by(engine, whole, digest) == whole_digest
            after = read_contents(engine, whole).entries
    assert {
        path: (one.kind, one.mode, one.size)
        for path, one in after.items()
        if path in before.entries
    } == {path: (one.kind, one.mode, one.size) for path, one in before.entries.items()}
    assert left_behind(engine) == []


@pytest.mark.parametrize(
    "at",
    [
        "Make the smaller",
        "Ask both",
        *(
            pytest.param(step, marks=pytest.mark.long)
            for step in ("Read the contents", "Load the smaller", "Trace what")
        ),
    ],
)
def test_ctrl_c_at_any_step_leaves_nothing(
    engine: DockerEngine, original: str, unchecked: None, at: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        slim(job(original), engine, Stops(at), record=recorded)
    assert left_behind(engine) == []
    with translated():
        assert engine.client.images(name=NAME) == []


def test_a_name_that_is_taken_or_the_labs_is_refused_before_anything_is_done(
    engine: DockerEngine, original: str
) -> None:
    def never(_: RecordRequest) -> Recording:
        raise AssertionError

    for name, said in (
        (original, "is the image that is to be slimmed"),
        ("inference-lab/onnx-slim:amd64", "a name of the lab's own images"),
        ("some@sha256:00", "is no name"),
    ):
        with pytest.raises(UsageError, match=said):
            slim(job(original, name=name), engine, Silent(), record=never)
    theirs = known.make(engine, base_ref(engine.facts().platform), FOREIGN.rpartition("/")[2])
    try:
        with pytest.raises(UsageError, match="this command has not made"):
            slim(job(original, name=theirs), engine, Silent(), record=never)
    finally:
        known.remove(engine, theirs)


@pytest.mark.long
def test_a_registry_gets_one_docker_schema_2_image_of_one_layer(
    engine: DockerEngine, original: str, unchecked: None, slimmed: str
) -> None:
    slim(job(original), engine, Silent(), record=recorded)
    with local_registry(engine, Silent()) as registry:
        pushed = registry.push(engine, slimmed, Silent())
        assert registry.http.media_type(*place_of(slimmed)) == DOCKER_MANIFEST
    assert len(pushed.layers) == 1
    # Its labels are the original's: one that the lab did not make is not made the lab's.
    assert LABEL in inner(engine, slimmed)["Labels"]
