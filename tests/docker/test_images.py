"""The images that the bake file really makes."""

import functools
import io
import json
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import paths
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.images.base import ensure_base
from lab.images.build import ensure
from lab.images.hostfiles import ca_bundle, pip_settings
from lab.images.sizes import contents, image_record
from lab.process import run
from lab.progress import Progress, Silent
from lab.spec import FLOOR, LABEL, Platform
from tests.timing import quickest, wait_until

pytestmark = pytest.mark.docker

Built = Callable[[str], str]
Files = Mapping[str, bytes]
SMALL = ("onnx", "onnx-slim", FLOOR)


@pytest.fixture(scope="module")
def files(engine: DockerEngine, built: Built) -> Callable[[str], Files]:
    """Every file of an image by name; the content of large ones is left out."""
    read: dict[str, Files] = {}

    def of(name: str) -> Files:
        if name not in read:
            made = engine.client.create_container(built(name), command=["x"], labels={LABEL: ""})
            try:
                data = io.BytesIO(b"".join(engine.client.export(made["Id"])))
            finally:
                engine.client.remove_container(made["Id"])
            with tarfile.open(fileobj=data) as archive:
                read[name] = {
                    member.name: file.read() if file and member.size < 1_000_000 else b""
                    for member in archive
                    for file in [archive.extractfile(member) if member.isreg() else None]
                }
        return read[name]

    return of


def config(engine: DockerEngine, ref: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = engine.client.inspect_image(ref)["Config"]
    return found


def test_images_that_are_there_cost_less_than_a_second_and_no_build(
    engine: DockerEngine, platform: Platform, built: Built
) -> None:
    for name in SMALL:
        built(name)
    progress = Silent()
    again = functools.partial(ensure, SMALL, platform=platform, engine=engine, progress=progress)
    assert quickest(again) < 1
    assert "Building" not in " ".join(progress.steps)


def test_the_base_is_made_once_and_says_where_it_came_from(
    engine: DockerEngine, platform: Platform, built: Built
) -> None:
    built(FLOOR)
    progress = Silent()
    base = ensure_base(platform, engine, progress)
    assert "Building" not in " ".join(progress.steps)
    assert base.source in {"registry", "packages"}
    assert base.detail
    assert base.digest.startswith("sha256:")


@pytest.fixture
def debian(
    engine: DockerEngine, platform: Platform, built: Built, progress: Progress
) -> Iterator[tuple[str, str]]:
    """A Debian in a registry that answers: its name there, and its digest."""
    ours = "inference-lab-test/debian:trixie-slim"
    repository, _, tag = ours.partition(":")
    registry = Registry.ensure(engine, built("registry"), progress)
    engine.client.tag(ensure_base(platform, engine, progress).ref, repository, tag=tag)
    try:
        manifest = registry.push(engine, ours, progress)
        yield f"{registry.host}/{ours}", manifest.digest
    finally:
        engine.client.remove_image(ours)
        registry.close()


def test_a_registry_that_answers_is_where_the_base_comes_from(
    engine: DockerEngine,
    platform: Platform,
    debian: tuple[str, str],
    progress: Progress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAB_DEBIAN", debian[0])
    ref = "inference-lab-test/base:from-registry"
    try:
        base = ensure_base(platform, engine, progress, ref=ref)
        assert base.source == "registry"
        assert base.detail == "@".join(debian)
        assert engine.image(ref).labels[LABEL] == "true"
    finally:
        engine.client.remove_image(ref)
        engine.client.remove_image(debian[0])


def test_pins_are_resolved_to_what_the_registry_says(
    debian: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "pins.json"
    there, gone = {"ref": debian[0], "digest": None}, {"ref": "127.0.0.1:1/x:y", "digest": None}
    file.write_text(json.dumps({"images": {"debian": [there, gone]}}))
    said = run([sys.executable, paths.ROOT / "scripts" / "update_pins", file]).stdout
    assert "127.0.0.1:1/x:y" in said
    found = json.loads(file.read_text())["images"]["debian"]
    assert [entry["digest"] for entry in found] == [debian[1], None]


@pytest.mark.parametrize("name", SMALL)
def test_a_variant_starts_in_exec_form_and_tells_sagemaker_what_it_can(
    engine: DockerEngine, built: Built, name: str
) -> None:
    seen = config(engine, built(name))
    assert seen["Entrypoint"][0].startswith("/")
    assert seen["Entrypoint"][0] != "/bin/sh"
    assert "8080/tcp" in seen["ExposedPorts"]
    assert seen["Labels"][LABEL] == "true"
    assert seen["Labels"]["org.inference-lab.variant"] == name
    accepts = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
    assert seen["Labels"][accepts] == "true"


@pytest.mark.parametrize("name", SMALL)
def test_no_image_phones_home(engine: DockerEngine, built: Built, name: str) -> None:
    env = config(engine, built(name))["Env"] or []
    assert name == FLOOR or "ORT_DISABLE_TELEMETRY=1" in env


@pytest.mark.parametrize("name", ["onnx", "onnx-slim"])
def test_nothing_of_this_machine_stays_in_an_image(
    engine: DockerEngine, built: Built, files: Callable[[str], Files], name: str
) -> None:
    found = files(name)
    assert "etc/pip.conf" not in found or not found["etc/pip.conf"]
    sources = found.get("etc/apt/sources.list.d/debian.sources", b"").decode()
    uris = [line for line in sources.splitlines() if line.startswith("URIs:")]
    assert all("://deb.debian.org/" in line for line in uris)
    bundle = ca_bundle({}, {})
    inside = found.get("etc/ssl/certs/ca-certificates.crt")
    if bundle is not None and inside:
        private = set(bundle.read_text().split("-----BEGIN CERTIFICATE-----")[1:]) - set(
            inside.decode().split("-----BEGIN CERTIFICATE-----")[1:]
        )
        bodies = b"".join(found.values())
        assert not any(one.strip()[:60].encode() in bodies for one in private)
    commands = " ".join(step["CreatedBy"] for step in engine.client.history(built(name)))
    told = pip_settings()
    for key in ("index-url", "extra-index-url", "proxy"):
        assert not told.get(key) or told[key] not in commands


def test_the_small_image_has_no_shell_no_package_manager_and_no_sources(
    files: Callable[[str], Files],
) -> None:
    found = files("onnx-slim")
    names = {name.rpartition("/")[2] for name in found}
    assert not names & {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "perl"}
    assert not [name for name in names if name.endswith(".py")]
    assert not [name for name in found if "numpy/" in name or "onnxruntime/" in name]


def test_the_small_image_stays_small(
    engine: DockerEngine, platform: Platform, built: Built
) -> None:
    built("onnx-slim")
    size = image_record(engine, None, "onnx-slim", platform)
    assert size.unpacked_bytes < 80_000_000
    assert len(size.layers) == 2


def test_a_report_of_the_contents_adds_up_to_the_image(
    engine: DockerEngine, platform: Platform, built: Built
) -> None:
    ref = built("onnx-slim")
    inside = contents(engine, ref)
    size = image_record(engine, None, "onnx-slim", platform)
    assert sum(inside.values()) == pytest.approx(size.unpacked_bytes, rel=0.02)
    assert next(iter(inside)) == "libonnxruntime"


def test_the_floor_answers_at_once_keeps_connections_and_ends_with_zero(
    engine: DockerEngine, built: Built
) -> None:
    container = engine.create(ContainerSpec(image=built(FLOOR), user="12345"))
    try:
        container.start()
        host, port = container.address()
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
            ping = wait_until(lambda: client.get("/ping"), despite=httpx.TransportError)
            assert (ping.status_code, ping.content) == (200, b"")
            large = client.post("/invocations", content=b"x" * 3_000_000)
            assert large.json() == {"floor": True}
            assert client.get("/startup").status_code == 404
        container.stop(grace_s=5)
        assert container.state().exit_code == 0
    finally:
        container.remove()
