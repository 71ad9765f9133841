"""Images on their way from an engine that saves them to a registry, both of a few lines."""

import gzip
import io
import json
import os
import signal
import sys
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.manifests import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from lab.engine.registry.upload import _compressed, can_send, send
from lab.errors import DiskFullError, EngineError, ImageNotFoundError, LabError, RegistryError
from lab.progress import Silent
from tests.unit.engine.fakedocker import INFO, VERSION, FakeDocker
from tests.unit.engine.fakeregistry import FakeRegistry, digest_of, listening

BASE = os.urandom(3000) + b"base" * 1_000_000
"""Several of the compressor's blocks, and not a whole number of them."""
ONE = b"one" * 1000
TWO = b"two" * 1000


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    opened = DockerEngine(docker.address)
    yield opened
    opened.close()


@pytest.fixture
def held() -> type[FakeRegistry]:
    """What the registry holds."""
    return FakeRegistry.fresh()


@pytest.fixture
def registry(held: type[FakeRegistry]) -> Iterator[Distribution]:
    with listening(held) as host:
        opened = Distribution(host)
        yield opened
        opened.close()


class Watched(Silent):
    """Keeps what it is told of how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, float]] = []
        self.said: list[str] = []

    def advance(self, done: float, total: float) -> None:
        self.told.append((done, total))

    def detail(self, text: str) -> None:
        self.said.append(text)


def image(docker: FakeDocker, ref: str, *layers: bytes) -> bytes:
    """Have the engine know an image; its configuration."""
    diff_ids = [digest_of(layer) for layer in layers]
    config = json.dumps({"os": "linux", "name": ref, "rootfs": {"diff_ids": diff_ids}}).encode()
    image_id = digest_of(config)
    docker.answer("GET", f"/images/{ref}/json", {"Id": image_id, "RootFS": {"Layers": diff_ids}})
    steps = [{"Created": 1, "CreatedBy": layer[:9].hex(), "Size": len(layer)} for layer in layers]
    docker.answer("GET", f"/images/{image_id}/history", [*steps, {**steps[0], "Size": 0}])
    return config


def saves(docker: FakeDocker, *parts: bytes, cut: int | None = None) -> None:
    """Have the engine save these parts, as Docker 25 does."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        named = {f"blobs/sha256/{digest_of(part)[7:]}": part for part in parts}
        for name, content in (named | {"index.json": b"{}", "manifest.json": b"[]"}).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    docker.answer("GET", "/images/get", raw=out.getvalue()[:cut])


def manifest(held: type[FakeRegistry], place: str, tag: str) -> Any:
    media_type, content = held.written[f"/v2/{place}/manifests/{tag}"]
    found = json.loads(content)
    assert media_type == found["mediaType"] == DOCKER_MANIFEST
    return found


def unpacked(held: type[FakeRegistry], place: str, found: Any) -> Sequence[bytes]:
    """An image's layers, as whoever pulls it gets them."""
    layers = []
    for layer in found["layers"]:
        blob = held.blobs[place, layer["digest"]]
        assert (layer["size"], layer["mediaType"]) == (len(blob), DOCKER_LAYER)
        layers.append(gzip.decompress(blob))
    return layers


def test_images_arrive_whole_and_keep_their_ids(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    first, second = image(docker, "a:1", BASE, ONE), image(docker, "b:1", BASE, TWO, ONE)
    saves(docker, BASE, ONE, TWO, first, second)

    send(engine, registry, {"a:1": ("lab/a", "amd64"), "b:1": ("lab/b", "2")}, Silent())

    for config, place, tag, layers in (
        (first, "lab/a", "amd64", [BASE, ONE]),
        (second, "lab/b", "2", [BASE, TWO, ONE]),
    ):
        found = manifest(held, place, tag)
        assert found["config"] == {
            "mediaType": DOCKER_CONFIG,
            "size": len(config),
            "digest": digest_of(config),
        }
        assert held.blobs[place, digest_of(config)] == config
        assert unpacked(held, place, found) == layers
    assert held.parts == {}
    assert held.cancelled == []


def test_images_are_saved_together_and_a_layer_of_several_is_sent_once(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    saves(docker, BASE, ONE, image(docker, "a:1", BASE), image(docker, "b:1", BASE, ONE))

    send(engine, registry, {"a:1": ("lab/a", "1"), "b:1": ("lab/b", "1")}, Silent())

    assert len(docker.asked_for("GET", "/images/get")) == 1
    layers, configs = 2, 2
    assert held.uploads == layers + configs


def test_a_layer_that_the_registry_holds_is_neither_compressed_nor_sent(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    saves(docker, BASE, image(docker, "a:1", BASE))
    send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())
    # As another's gzip would have made it: what is there is taken, not made anew.
    (layer,) = manifest(held, "lab/a", "1")["layers"]
    before = held.uploads

    saves(docker, BASE, ONE, image(docker, "b:1", BASE, ONE))
    send(engine, registry, {"b:1": ("lab/b", "1")}, Silent())

    assert held.uploads - before == 2  # ONE and the configuration
    assert manifest(held, "lab/b", "1")["layers"][0] == layer
    assert unpacked(held, "lab/b", manifest(held, "lab/b", "1")) == [BASE, ONE]


def test_a_layer_whose_bytes_the_registry_has_lost_is_sent_again(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    saves(docker, BASE, image(docker, "a:1", BASE))
    send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())
    (layer,) = manifest(held, "lab/a", "1")["layers"]
    del held.blobs["lab/a", layer["digest"]]

    saves(docker, BASE, image(docker, "b:1", BASE))
    send(engine, registry, {"b:1": ("lab/b", "1")}, Silent())

    assert unpacked(held, "lab/b", manifest(held, "lab/b", "1")) == [BASE]


@pytest.mark.parametrize(
    "broken",
    [
        {"mediaType": DOCKER_MANIFEST, "layers": [], "config": {"digest": "sha256:gone"}},
        {
            "mediaType": DOCKER_MANIFEST,
            "layers": [],
            "config": {"digest": "sha256:gone", "mediaType": DOCKER_CONFIG},
        },
        {"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []},
    ],
)
def test_what_others_left_broken_in_the_registry_hinders_nothing(
    engine: DockerEngine,
    docker: FakeDocker,
    registry: Distribution,
    held: type[FakeRegistry],
    broken: Any,
) -> None:
    held.blobs["theirs", "sha256:x"] = b""
    held.documents["/v2/theirs/manifests/1"] = broken
    saves(docker, ONE, image(docker, "a:1", ONE))

    send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())

    assert unpacked(held, "lab/a", manifest(held, "lab/a", "1")) == [ONE]


def test_one_image_under_two_names_is_one_image(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    config = image(docker, "a:1", ONE)
    docker.answer(
        "GET",
        "/images/b:1/json",
        {"Id": digest_of(config), "RootFS": {"Layers": [digest_of(ONE)]}},
    )
    saves(docker, ONE, config)

    send(engine, registry, {"a:1": ("lab/a", "1"), "b:1": ("lab/b", "1")}, Silent())

    assert manifest(held, "lab/a", "1") == manifest(held, "lab/b", "1")
    assert unpacked(held, "lab/b", manifest(held, "lab/b", "1")) == [ONE]


def test_the_same_layer_gives_the_same_bytes_however_many_cores_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces = [BASE[at : at + (1 << 20)] for at in range(0, len(BASE), 1 << 20)]
    made = []
    for cores in ({0}, {0, 1}, {0, 1, 2, 3, 4}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        made.append(b"".join(_compressed(iter(pieces), len(BASE))))

    assert len(set(made)) == 1
    assert gzip.decompress(made[0]) == BASE
    no_time = b"\0\0\0\0"
    assert made[0][4:8] == no_time
    # One member only: not every reader of archives goes on after the first.
    assert made[0].count(b"\x1f\x8b\x08\0\0\0\0\0") == 1


def test_a_large_layer_is_not_held_in_memory() -> None:
    block = os.urandom(1 << 20)
    tracemalloc.start()
    try:
        sent = sum(len(piece) for piece in _compressed(iter([block] * 64), 64 << 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sent > 64 << 20
    # Whatever the compressor's threads have in hand, of which each core has one.
    assert peak < (8 + 4 * (os.cpu_count() or 1)) << 20


def test_how_far_it_is_is_told_in_bytes_of_all_bytes(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution
) -> None:
    saves(docker, BASE, ONE, image(docker, "a:1", BASE), image(docker, "b:1", BASE, ONE))
    step = Watched()

    send(engine, registry, {"a:1": ("lab/a", "1"), "b:1": ("lab/b", "1")}, step)

    everything: float = len(BASE) + len(ONE)
    assert step.told[-1] == (everything, everything)
    assert [done for done, _ in step.told] == sorted({done for done, _ in step.told})
    assert {total for _, total in step.told} == {everything}
    assert step.said[-1] == "4.0 MB of 4.0 MB, uncompressed"


def test_an_image_that_is_not_there_is_said_so(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution
) -> None:
    docker.answer("GET", "/images/a:1/json", {"message": "No such image: a:1"}, status=404)

    with pytest.raises(ImageNotFoundError):
        send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())


def test_an_engine_whose_disk_is_full_says_so(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    image(docker, "a:1", ONE)
    docker.answer(
        "GET",
        "/images/get",
        {"message": "write /var/lib/docker/tmp/x: no space left on device"},
        status=500,
    )

    with pytest.raises(DiskFullError):
        send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())

    assert held.uploads == 0


FULL = {
    "errors": [{"code": "UNKNOWN", "detail": {"DriverName": "filesystem", "Enclosed": {"Err": 28}}}]
}
BAD = {
    "errors": [
        {"code": "UNKNOWN", "detail": {"DriverName": "filesystem", "Enclosed": {"Err": 281}}}
    ]
}


@pytest.mark.parametrize(("said", "error"), [(FULL, DiskFullError), (BAD, RegistryError)])
def test_a_registry_that_keeps_nothing_is_heard_and_the_upload_is_taken_back(
    engine: DockerEngine,
    docker: FakeDocker,
    registry: Distribution,
    held: type[FakeRegistry],
    said: Any,
    error: type[LabError],
) -> None:
    saves(docker, BASE, image(docker, "a:1", BASE))
    held.failing = (500, said)

    with pytest.raises(error) as caught:
        send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())

    assert type(caught.value) is error
    assert caught.value.remedy
    assert_nothing_is_left(held)


def test_an_engine_that_breaks_off_is_an_engine_error_and_the_upload_is_taken_back(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    saves(docker, BASE, image(docker, "a:1", BASE), cut=len(BASE) // 2)

    with pytest.raises(EngineError, match="broke off while it saved") as caught:
        send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())

    assert caught.value.remedy
    assert_nothing_is_left(held)


@pytest.mark.parametrize("lacking", ["layer", "config"])
def test_an_image_that_is_saved_in_part_gets_no_name(
    engine: DockerEngine,
    docker: FakeDocker,
    registry: Distribution,
    held: type[FakeRegistry],
    lacking: str,
) -> None:
    config = image(docker, "a:1", BASE, ONE)
    saves(docker, BASE, *([config] if lacking == "layer" else [ONE]))

    with pytest.raises(EngineError, match="a:1 without all of its parts"):
        send(engine, registry, {"a:1": ("lab/a", "1")}, Silent())

    assert held.written == {}


def test_ctrl_c_ends_the_upload_and_leaves_nothing(
    engine: DockerEngine, docker: FakeDocker, registry: Distribution, held: type[FakeRegistry]
) -> None:
    saves(docker, BASE, image(docker, "a:1", BASE))

    class Interrupting(Silent):
        def advance(self, done: float, total: float) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        send(engine, registry, {"a:1": ("lab/a", "1")}, Interrupting())

    assert_nothing_is_left(held)


def assert_nothing_is_left(held: type[FakeRegistry]) -> None:
    assert held.uploads == 1
    assert len(held.cancelled) == 1
    assert (held.parts, held.blobs, held.written) == ({}, {}, {})
    compressing = [one.name for one in threading.enumerate() if "_compress" in one.name]
    assert compressing == []


@pytest.mark.parametrize(
    ("info", "version"),
    [
        (INFO | {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, "1.45"),
        (INFO, "1.43"),
    ],
)
def test_an_engine_that_saves_otherwise_pushes_by_itself(
    docker: FakeDocker, info: Any, version: str
) -> None:
    docker.answer("GET", "/info", info)
    docker.answer("GET", "/version", VERSION | {"ApiVersion": version})
    engine = DockerEngine(docker.address)

    assert not can_send(engine)
    engine.close()


def test_without_the_compressor_the_engine_pushes_by_itself(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_send(engine)
    monkeypatch.setitem(sys.modules, "zlib_ng", None)

    assert not can_send(engine)
