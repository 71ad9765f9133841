import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation.qemu import Emulation
from lab.engine.install.packages import Tool
from lab.errors import BuildError, EmulationError, EngineError
from lab.images.base import ensure_base
from lab.images.pins import PINS, Pin, pins
from lab.progress import Silent
from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker
from tests.unit.images.conftest import Builder
from tests.unit.images.fakes import BASE, BASE_LABELS, has_image, lacks_image


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    lacks_image(docker, BASE)
    made = DockerEngine(docker.address)
    yield made
    made.close()


@pytest.fixture
def _no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pin, "answers", lambda _: False)
    monkeypatch.setattr("lab.images.base.missing", lambda _: [])


@pytest.fixture(autouse=True)
def _x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.images.base.this_machine", lambda: Platform.AMD64)


def qemu(*, runs: bool) -> Emulation:
    """What there is for arm64 programs."""
    return Emulation(platform=Platform.ARM64, runs=runs, detail="no QEMU at all")


def test_a_base_that_is_there_is_used_and_says_where_it_came_from(
    docker: FakeDocker, engine: DockerEngine, builder: Builder
) -> None:
    has_image(docker, BASE, labels=BASE_LABELS)
    base = ensure_base(Platform.AMD64, engine, Silent())
    assert (base.ref, base.source) == (BASE, "packages")
    assert base.detail == "trixie from http://mirror.example/debian"
    assert builder.commands == []


@pytest.mark.usefixtures("_no_registry")
def test_without_a_registry_packages_are_put_together_and_imported_for_the_platform(
    engine: DockerEngine, builder: Builder
) -> None:
    with pytest.raises(BuildError, match="is not there"):  # the script has no image afterwards
        ensure_base(Platform.AMD64, engine, Silent())
    bootstrap, imported = builder.commands[-2:]
    assert bootstrap[:2] == ["mmdebstrap", "--variant=minbase"]
    assert "--architectures=amd64" in bootstrap
    assert any(word.startswith("deb [") and " trixie main" in word for word in bootstrap)
    assert imported[:4] == ["docker", "import", "--platform", "linux/amd64"]
    assert imported[-1] == BASE


@pytest.mark.usefixtures("_no_registry")
def test_a_base_of_an_older_recipe_is_made_anew(
    docker: FakeDocker, engine: DockerEngine, builder: Builder
) -> None:
    has_image(docker, BASE, labels={**BASE_LABELS, "org.inference-lab.base.recipe": "0"})
    with pytest.raises(BuildError):
        ensure_base(Platform.AMD64, engine, Silent())
    assert builder.commands[-1][:2] == ["docker", "import"]


@pytest.mark.usefixtures("_no_registry")
def test_without_registry_tools_and_leave_to_install_it_says_what_to_do(
    engine: DockerEngine, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.images.base.missing", lambda tools: tools)
    monkeypatch.setenv("LAB_ENGINE", "external")
    with pytest.raises(EngineError, match="mmdebstrap") as refused:
        ensure_base(Platform.AMD64, engine, Silent())
    assert "LAB_DEBIAN" in refused.value.remedy
    assert all(command[0] != "mmdebstrap" for command in builder.commands)


@pytest.mark.usefixtures("_no_registry")
def test_a_base_for_another_architecture_needs_arch_test_beside_mmdebstrap(
    docker: FakeDocker, engine: DockerEngine, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks_image(docker, "inference-lab/base:trixie-arm64")
    monkeypatch.setattr("lab.images.base.ensure_runs", lambda *_: qemu(runs=True))
    monkeypatch.setattr("lab.images.base.look_here", lambda _: qemu(runs=True))
    asked: list[Tool] = []
    monkeypatch.setattr("lab.images.base.missing", asked.extend)
    with pytest.raises(BuildError, match="is not there"):
        ensure_base(Platform.ARM64, engine, Silent())
    assert asked == [Tool.BOOTSTRAP, Tool.ARCH_TEST]
    assert "--architectures=arm64" in builder.commands[-2]
    assert builder.commands[-1][:4] == ["docker", "import", "--platform", "linux/arm64"]


@pytest.mark.usefixtures("_no_registry")
def test_an_engine_that_emulates_elsewhere_does_not_help_to_put_a_base_together_here(
    docker: FakeDocker, engine: DockerEngine, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks_image(docker, "inference-lab/base:trixie-arm64")
    monkeypatch.setattr("lab.images.base.ensure_runs", lambda *_: qemu(runs=True))
    monkeypatch.setattr("lab.images.base.look_here", lambda _: qemu(runs=False))
    with pytest.raises(EmulationError, match="no QEMU at all") as refused:
        ensure_base(Platform.ARM64, engine, Silent())
    assert "LAB_DEBIAN" in refused.value.remedy
    assert all(command[0] != "mmdebstrap" for command in builder.commands)


@pytest.mark.usefixtures("builder")
def test_a_registry_that_answers_here_but_not_the_engine_is_passed_over(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pin, "answers", lambda _: True)
    monkeypatch.setattr("lab.images.base.missing", lambda _: [])
    progress = Silent()
    with pytest.raises(BuildError):
        ensure_base(Platform.AMD64, engine, progress)
    assert "docker.io/library/debian:trixie-slim cannot be used" in progress.notes[-2]
    assert "Building the base image from Debian's packages" in progress.steps


class _Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/v2/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (503, False)])
def test_a_registry_answers_when_it_lets_in_or_asks_who_is_there(
    registry: str, monkeypatch: pytest.MonkeyPatch, status: int, *, answers: bool
) -> None:
    monkeypatch.setattr(_Answer, "status", status)
    assert Pin(ref=f"{registry}/debian:trixie", digest=None).answers() is answers


def test_nothing_listening_is_no_answer() -> None:
    assert not Pin(ref="127.0.0.1:1/debian:trixie", digest=None).answers()


@pytest.mark.parametrize(
    ("ref", "registry", "path"),
    [
        ("debian:trixie", "registry-1.docker.io", "library/debian:trixie"),
        ("team/debian:trixie", "registry-1.docker.io", "team/debian:trixie"),
        ("docker.io/library/debian:trixie", "registry-1.docker.io", "library/debian:trixie"),
        ("localhost/debian:trixie", "localhost", "debian:trixie"),
        ("mirror.example:5000/a/debian:x", "mirror.example:5000", "a/debian:x"),
    ],
)
def test_a_name_tells_its_registry(ref: str, registry: str, path: str) -> None:
    pin = Pin(ref=ref, digest=None)
    assert (pin.registry, pin.path) == (registry, path)


def test_a_digest_that_was_seen_pins_the_image() -> None:
    assert Pin(ref="debian:trixie", digest="sha256:ab").pinned == "debian:trixie@sha256:ab"
    assert Pin(ref="debian:trixie", digest=None).pinned == "debian:trixie"


def test_the_user_may_name_another_place_for_debian() -> None:
    (only,) = pins("debian", env={"LAB_DEBIAN": "mirror.example/debian:trixie-slim"})
    assert only.ref == "mirror.example/debian:trixie-slim"


def test_the_pins_file_names_debian_by_tag_and_invents_no_digest() -> None:
    found = list(pins("debian", file=PINS, env={}))
    assert found[0].ref == "docker.io/library/debian:trixie-slim"
    assert all(pin.digest is None or pin.digest.startswith("sha256:") for pin in found)


def test_the_dockerfiles_never_ask_a_registry_for_a_frontend() -> None:
    services = PINS.parent
    for file in services.rglob("Dockerfile*"):
        assert not file.read_text().lower().startswith("# syntax"), file


def test_no_image_is_left_with_this_machines_mirror(
    engine: DockerEngine, builder: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Pin, "answers", lambda _: False)
    monkeypatch.setattr("lab.images.base.missing", lambda _: [])
    kept = tmp_path / "kept"
    run = builder.run

    def keep(command: list[str], **more: object) -> object:
        for word in map(str, command):
            if word.startswith("--customize-hook=upload "):
                kept.write_text(Path(word.split()[1]).read_text())
        return run(command)

    monkeypatch.setattr(builder, "run", keep)
    with pytest.raises(BuildError):
        ensure_base(Platform.AMD64, engine, Silent())
    uris = [line for line in kept.read_text().splitlines() if line.startswith("URIs:")]
    assert uris == [
        "URIs: http://deb.debian.org/debian",
        "URIs: http://deb.debian.org/debian-security",
    ]
