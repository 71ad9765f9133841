"""The local registry, on the real engine and with a volume of its own."""

import io
import secrets
import tarfile
from collections.abc import Callable, Iterator

import httpx
import pytest

from lab.engine.docker import DockerEngine
from lab.engine.manifests import DOCKER_MANIFEST
from lab.engine.registry import Registry
from lab.errors import EngineError, ImageNotFoundError, RegistryError
from lab.progress import Silent
from lab.spec import LABEL
from tests.docker import known
from tests.timing import quickest

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
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 1000
        tar.addfile(info, io.BytesIO(secrets.token_bytes(1000)))
    said = engine.client.import_image_from_data(out.getvalue(), changes=[f"LABEL {LABEL}=true"])
    image_id = said.split('"status":"')[1].split('"')[0]
    yield image_id
    engine.client.remove_image(image_id, force=True)


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
    engine: DockerEngine, registry: Registry, image: str
) -> None:
    before = names(engine)
    pushed = registry.push(engine, image, Silent())

    assert quickest(lambda: registry.push(engine, image, Silent())) < 0.5
    assert registry.push(engine, image, Silent()) == pushed
    assert pushed.media_type == DOCKER_MANIFEST
    assert pushed.config_digest == engine.image(image).image_id
    assert 0 < pushed.compressed_bytes < engine.image(image).unpacked_bytes
    assert not {name for name in names(engine) - before if registry.host in name}


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
