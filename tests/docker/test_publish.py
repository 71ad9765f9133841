"""One name for two platforms, in a real registry, pulled by the real engine."""

import io
import secrets
import tarfile
from collections.abc import Callable, Iterator

import httpx
import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.errors import RegistryError
from lab.images.publish import Published, join
from lab.images.variants import image_ref
from lab.process import run
from lab.progress import Silent
from lab.spec import LABEL, Platform
from tests.docker import known

pytestmark = pytest.mark.docker

NAME = f"inference-lab-registry-test-{secrets.token_hex(4)}"
VARIANT = f"test-{secrets.token_hex(4)}"
DOCKER = "application/vnd.docker."
LIST = f"{DOCKER}distribution.manifest.list.v2+json"
MANIFEST = f"{DOCKER}distribution.manifest.v2+json"
OCI = "application/vnd.oci.image."


@pytest.fixture(scope="module")
def registry(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[Registry]:
    with known.registry(engine, built("registry"), name=NAME) as found:
        yield found


@pytest.fixture(scope="module")
def images(
    engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Platform, str]]:
    """The id of an image for each platform: a file is all there is in it."""
    folder = tmp_path_factory.mktemp("images")
    made = {}
    for platform in Platform:
        archive = folder / f"{platform.arch}.tar"
        with tarfile.open(archive, mode="w") as tar:
            info = tarfile.TarInfo("file")
            info.size = 1000
            tar.addfile(info, io.BytesIO(secrets.token_bytes(1000)))
        ref = image_ref(VARIANT, platform)
        run(
            [
                *("docker", "import", "--platform", platform),
                f"--change=LABEL {LABEL}=true",
                archive,
                ref,
            ],
            env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": ""},
        )
        made[platform] = engine.image(ref).image_id
    yield made
    for platform in Platform:
        engine.client.remove_image(image_ref(VARIANT, platform), force=True)


@pytest.fixture(scope="module")
def published(engine: DockerEngine, registry: Registry, images: dict[Platform, str]) -> Published:
    (one,) = join(engine, registry, [VARIANT], list(Platform), Silent())
    return one


@pytest.fixture
def http(registry: Registry) -> Iterator[httpx.Client]:
    url = f"http://{registry.host}/v2/inference-lab/{VARIANT}"
    accept = {"Accept": f"{LIST}, {MANIFEST}, {OCI}index.v1+json, {OCI}manifest.v1+json"}
    with httpx.Client(base_url=url, headers=accept, trust_env=False) as client:
        yield client


def test_the_common_name_is_a_manifest_list_of_both_platforms_and_nothing_else(
    published: Published, http: httpx.Client
) -> None:
    answer = http.get("/manifests/latest").raise_for_status()
    assert answer.headers["Content-Type"] == LIST
    assert answer.headers["Docker-Content-Digest"] == published.digest
    parts = answer.json()["manifests"]
    assert [(one["platform"]["os"], one["platform"]["architecture"]) for one in parts] == [
        ("linux", "amd64"),
        ("linux", "arm64"),
    ]
    assert {one["mediaType"] for one in parts} == {MANIFEST}


@pytest.mark.parametrize("of", Platform)
def test_each_platforms_own_tag_is_a_docker_schema_2_image_through_and_through(
    published: Published, http: httpx.Client, images: dict[Platform, str], of: Platform
) -> None:
    answer = http.get(f"/manifests/{of.arch}").raise_for_status()
    manifest = answer.json()
    assert answer.headers["Content-Type"] == manifest["mediaType"] == MANIFEST
    assert manifest["config"]["mediaType"] == f"{DOCKER}container.image.v1+json"
    assert {one["mediaType"] for one in manifest["layers"]} == {
        f"{DOCKER}image.rootfs.diff.tar.gzip"
    }
    assert manifest["config"]["digest"] == images[of]
    config = http.get(f"/blobs/{manifest['config']['digest']}").raise_for_status().json()
    assert config["architecture"] == of.arch


@pytest.mark.parametrize("of", Platform)
def test_each_platform_can_be_pulled_by_itself(
    engine: DockerEngine,
    registry: Registry,
    published: Published,
    images: dict[Platform, str],
    of: Platform,
) -> None:
    ref = f"{registry.host}/{published.name}"
    engine.pull(ref, platform=of)
    try:
        pulled = engine.image(ref)
    finally:
        engine.client.remove_image(ref, noprune=True)
    assert pulled.platform is of
    assert pulled.image_id == images[of]
    # Pulling by the common name leaves the images' own names where they were.
    assert engine.image(image_ref(VARIANT, of)).image_id == images[of]


def test_joining_again_changes_nothing(
    engine: DockerEngine, registry: Registry, published: Published
) -> None:
    progress = Silent()
    assert join(engine, registry, [VARIANT], list(Platform), progress) == [published]
    assert progress.steps == []


def test_an_oci_manifest_of_the_same_image_is_not_joined(
    engine: DockerEngine, registry: Registry, published: Published, http: httpx.Client
) -> None:
    """As BuildKit pushes it: the engine sees its image in the registry and sends nothing."""
    document = http.get("/manifests/arm64").raise_for_status().json()
    oci = {
        **document,
        "mediaType": f"{OCI}manifest.v1+json",
        "config": {**document["config"], "mediaType": f"{OCI}config.v1+json"},
        "layers": [{**one, "mediaType": f"{OCI}layer.v1.tar+gzip"} for one in document["layers"]],
    }
    http.put(
        "/manifests/arm64", json=oci, headers={"Content-Type": oci["mediaType"]}
    ).raise_for_status()
    with pytest.raises(RegistryError, match=r"vnd\.oci\.image\.manifest") as caught:
        join(engine, registry, [VARIANT], list(Platform), Silent())
    assert "--provenance=false" in caught.value.remedy
    assert http.get("/manifests/latest").headers["Docker-Content-Digest"] == published.digest
