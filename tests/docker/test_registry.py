"""The local registry, on the real engine and with a volume of its own."""

import io
import secrets
import signal
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from lab.engine.coldhost.host import cold_host
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.local import Registry, place_of
from lab.engine.registry.manifests import DOCKER_MANIFEST, LayerBlob, Manifest
from lab.engine.registry.push import push_together
from lab.errors import DiskFullError, EngineError, ImageNotFoundError, RegistryError
from lab.progress import Silent
from lab.spec import LABEL, Platform
from tests.docker import known

MEGABYTE = 1_000_000
OWNER = f"test-{secrets.token_hex(4)}"
NAME = f"inference-lab-registry-test-{secrets.token_hex(4)}"


@pytest.fixture
def image(built: Callable[[str], str]) -> str:
    return built("registry")


@pytest.fixture
def registry(engine: DockerEngine, image: str) -> Iterator[Registry]:
    with known.registry(engine, image, name=NAME) as found:
        yield found


@pytest.fixture
def unnamed(engine: DockerEngine) -> Iterator[str]:
    """The id of an image that has no name, as a user's build may leave one."""
    with imported(engine, {"file": secrets.token_bytes(1000)}) as image_id:
        yield image_id


@pytest.fixture
def pair(engine: DockerEngine, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two images that share all layers but one each."""
    with imported(engine, {"shared": secrets.token_bytes(MEGABYTE) * 5}) as base:
        of = []
        for one in ("a", "b"):
            script = tmp_path / one
            script.write_bytes(secrets.token_bytes(1000))
            of.append(known.make(engine, base, f"{OWNER}-{one}", server=script))
        yield of[0], of[1]
        for ref in of:
            engine.client.remove_image(ref, noprune=True)  # the one below goes by itself


@contextmanager
def imported(engine: DockerEngine, files: dict[str, bytes]) -> Iterator[str]:
    """The id of an image that holds these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    said = engine.client.import_image_from_data(out.getvalue(), changes=[f"LABEL {LABEL}=true"])
    image_id = said.split('"status":"')[1].split('"')[0]
    yield image_id
    engine.client.remove_image(image_id, force=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of all that goes to a registry, for its log does not tell."""
    digests = []
    upload = Distribution.upload

    def noted(to: Distribution, repository: str, content: Iterable[bytes]) -> LayerBlob:
        blob = upload(to, repository, content)
        digests.append(blob.digest)
        return blob

    monkeypatch.setattr(Distribution, "upload", noted)
    return digests


def inside(engine: DockerEngine, registry: Registry, command: str) -> str:
    """What a command says in the registry's container."""
    made = engine.client.exec_create(registry.container.id, ["sh", "-c", command])
    said: bytes = engine.client.exec_start(made["Id"])
    return said.decode()


def digests(pushed: Manifest) -> set[str]:
    return {layer.digest for layer in pushed.layers}


def names(engine: DockerEngine) -> set[str]:
    return {name for image in engine.client.images() for name in image["RepoTags"] or ()}


def test_it_is_found_again(engine: DockerEngine, image: str, registry: Registry) -> None:
    again = Registry.ensure(engine, image, Silent(), name=NAME)

    assert again.container.id == registry.container.id
    assert again.host == registry.host
    again.close()


def test_nobody_else_can_reach_it(engine: DockerEngine, registry: Registry) -> None:
    bindings = engine.client.port(registry.container.id, 5000)

    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def test_an_image_is_pushed_once_and_gets_no_lasting_name(
    engine: DockerEngine, registry: Registry, image: str, sent: list[str]
) -> None:
    before = names(engine)
    pushed = registry.push(engine, image, Silent())
    assert sorted(sent) == sorted({*digests(pushed), pushed.config_digest})
    sent.clear()
    again = Silent()

    assert registry.push(engine, image, again) == pushed
    assert (again.steps, sent) == ([], [])
    assert pushed.media_type == DOCKER_MANIFEST
    assert pushed.config_digest == engine.image(image).image_id
    assert 0 < pushed.compressed_bytes < engine.image(image).unpacked_bytes
    assert not {name for name in names(engine) - before if registry.host in name}


def test_layers_of_several_images_are_sent_once(
    engine: DockerEngine, registry: Registry, pair: tuple[str, str], sent: list[str]
) -> None:
    pushed = registry.push_all(engine, pair, Silent())

    first, second = (pushed[ref] for ref in pair)
    assert first.layers[:-1] == second.layers[:-1]
    configs = {first.config_digest, second.config_digest}
    assert sorted(sent) == sorted({*digests(first), *digests(second)} | configs)
    assert [pushed[ref].config_digest for ref in pair] == [
        engine.image(ref).image_id for ref in pair
    ]


def test_layers_that_came_with_another_image_are_not_sent_again(
    engine: DockerEngine, registry: Registry, pair: tuple[str, str], sent: list[str]
) -> None:
    before = registry.push(engine, pair[0], Silent())
    sent.clear()

    pushed = registry.push(engine, pair[1], Silent())

    assert pushed.layers[:-1] == before.layers[:-1]
    assert sent == [pushed.layers[-1].digest, pushed.config_digest]


def test_layers_that_the_engine_had_pushed_are_taken_as_they_are(
    engine: DockerEngine, registry: Registry, pair: tuple[str, str]
) -> None:
    """As the emulator leaves them, which has no compressor of its own."""
    repository, tag = place_of(pair[0])
    push_together(engine, {pair[0]: (f"{registry.host}/{repository}", tag)}, Silent())
    before = registry.manifest(repository, tag)

    pushed = registry.push(engine, pair[1], Silent())

    assert pushed.layers[:-1] == before.layers[:-1]


def test_a_machine_that_never_saw_a_layer_pulls_what_was_pushed(
    engine: DockerEngine,
    registry: Registry,
    pair: tuple[str, str],
    platform: Platform,
    built: Callable[[str], str],
) -> None:
    registry.push_all(engine, pair, Silent())

    with cold_host(
        engine, image=built("coldhost"), owner=OWNER, registry=registry.internal
    ) as host:
        # Some of its layers came with the other one.
        name = registry.pull_ref(pair[1])
        host.pull(name, platform=platform)
        assert host.engine.image(name).image_id == engine.image(pair[1]).image_id


def test_the_compressed_size_is_what_the_engine_would_have_sent(
    engine: DockerEngine, registry: Registry
) -> None:
    """Of programs and of sources: a package of Python's, as images are made of."""
    folder = Path(np.__file__).parent
    files = {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".py", ".so", ".pyi", ".h", ".a"}
    }
    with imported(engine, files) as ref:
        assert_sizes_agree(engine, registry, ref)


@pytest.mark.long
@pytest.mark.parametrize("target", ["onnx", "slim"])
def test_the_compressed_size_of_a_whole_image_is_what_the_engine_would_have_sent(
    engine: DockerEngine, registry: Registry, built: Callable[[str], str], target: str
) -> None:
    assert_sizes_agree(engine, registry, built(target))


def assert_sizes_agree(engine: DockerEngine, registry: Registry, ref: str) -> None:
    # First the lab: what the engine had sent it would take as it is.
    ours = registry.push(engine, ref, Silent()).compressed_bytes
    push_together(engine, {ref: (f"{registry.host}/by-the-engine", "1")}, Silent())
    theirs = registry.manifest("by-the-engine", "1").compressed_bytes

    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.03)


def test_ctrl_c_in_the_middle_leaves_nothing_and_the_next_push_goes_through(
    engine: DockerEngine, registry: Registry, image: str
) -> None:
    class Interrupting(Silent):
        def advance(self, done: float, total: float) -> None:
            if done > total / 2:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        registry.push(engine, image, Interrupting())

    # Of what was taken back the registry keeps a sum of no bytes.
    held = "find /var/lib/registry -path '*/_uploads/*/data' -o -path '*/_manifests/*'"
    assert inside(engine, registry, held) == ""
    pushed = registry.push(engine, image, Silent())
    assert pushed.config_digest == engine.image(image).image_id


def test_a_registry_whose_disk_is_full_says_so(engine: DockerEngine, image: str) -> None:
    name = f"{NAME}-small"
    small = {"type": "tmpfs", "device": "tmpfs", "o": "size=4m"}
    engine.client.create_volume(name, driver_opts=small, labels={LABEL: "true"})
    with (
        known.registry(engine, image, name=name) as full,
        pytest.raises(DiskFullError) as caught,
    ):
        full.push(engine, image, Silent())
    assert caught.value.remedy


def test_what_was_pushed_survives_its_container(
    engine: DockerEngine, registry: Registry, image: str
) -> None:
    pushed = registry.push(engine, image, Silent())
    registry.container.remove()

    anew = Registry.ensure(engine, image, Silent(), name=NAME)

    assert anew.container.id != registry.container.id
    assert anew.manifest(pushed.repository, pushed.tag) == pushed
    anew.close()


def test_a_stopped_registry_is_started(
    engine: DockerEngine, registry: Registry, image: str
) -> None:
    registry.container.stop()

    again = Registry.ensure(engine, image, Silent(), name=NAME)

    assert httpx.get(f"http://{again.host}/v2/").is_success
    again.close()


def test_an_image_without_a_name_is_pushed_and_stays(
    engine: DockerEngine, registry: Registry, unnamed: str
) -> None:
    pushed = registry.push(engine, unnamed, Silent())

    assert pushed.config_digest == unnamed
    assert engine.image(unnamed).image_id == unnamed


def test_an_image_that_the_engine_lacks_is_said_so(
    engine: DockerEngine, registry: Registry
) -> None:
    with pytest.raises(ImageNotFoundError):
        registry.push(engine, "inference-lab/nothing:amd64", Silent())


def test_a_registry_that_went_away_is_a_registry_error(
    engine: DockerEngine, registry: Registry, image: str
) -> None:
    registry.container.kill()

    with pytest.raises(RegistryError) as caught:
        registry.push(engine, image, Silent())

    assert caught.value.remedy


def test_a_foreign_container_of_that_name_is_not_touched(engine: DockerEngine, image: str) -> None:
    name = f"{NAME}-foreign"
    theirs = engine.client.create_container(image, name=name, labels={LABEL: "false"})["Id"]
    try:
        with pytest.raises(EngineError, match="cannot be made") as caught:
            Registry.ensure(engine, image, Silent(), name=name)
        assert name in caught.value.remedy
        assert engine.client.inspect_container(theirs)["Id"] == theirs
    finally:
        engine.client.remove_container(theirs, v=True)
        engine.client.remove_volume(name)
