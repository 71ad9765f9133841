"""Manifest lists, and what may not be published: registry and engine answer from a script."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.local import Registry
from lab.engine.registry.manifests import (
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    LayerBlob,
    ListEntry,
    Manifest,
    list_document,
    parse_list,
)
from lab.errors import ImageNotFoundError, RegistryError
from lab.images.publish import Published, join, refuse_unfit
from lab.progress import Progress, Silent
from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker
from tests.unit.images.fakes import has_image, lacks_image

BOTH = (Platform.AMD64, Platform.ARM64)
REPOSITORY = "inference-lab/onnx"
MANIFEST = Manifest(
    repository=REPOSITORY,
    tag="arm64",
    digest="sha256:arm64",
    media_type=DOCKER_MANIFEST,
    config_digest="sha256:config-arm64",
    layers=(LayerBlob(digest="sha256:layer", compressed_bytes=100),),
    manifest_bytes=500,
)
AMD64 = ListEntry(platform=Platform.AMD64, digest="sha256:amd64", manifest_bytes=400)
ARM64 = ListEntry(platform=Platform.ARM64, digest="sha256:arm64", manifest_bytes=500, variant="v8")


class Shelf(Registry):
    """A registry that holds what is pushed to it."""

    def __init__(self, **held: Manifest) -> None:
        self.http: Held = Held(dict(held))
        self.held = self.http.held
        self.joined = self.http.joined
        self.states = self.http.states
        self.tags_hold = self.http.tags_hold
        self.pushed: list[Sequence[str]] = []

    def push_all(
        self,
        engine: DockerEngine,
        refs: Sequence[str],
        progress: Progress,
        *,
        arch: str | None = None,
    ) -> Mapping[str, Manifest]:
        self.pushed.append(refs)
        for ref in refs:
            tag = ref.rpartition(":")[2]
            self.held.setdefault(tag, _manifest(tag))
        return {}

    def manifest(self, repository: str, tag: str, *, arch: str | None = None) -> Manifest:
        return self.held[tag]


class Held(Distribution):
    """What is asked of it: it remembers lists."""

    def __init__(self, held: dict[str, Manifest]) -> None:
        self.held = held
        self.joined: list[tuple[str, str, Sequence[ListEntry]]] = []
        """Repository, tag and entries of each list that was put."""
        self.states: dict[str, str] = {}
        self.tags_hold: dict[str, str] = {}

    def media_type(self, repository: str, reference: str) -> str | None:
        if reference not in self.held:
            return None
        return self.tags_hold.get(reference, self.held[reference].media_type)

    def config(self, repository: str, digest: str) -> Mapping[str, Any]:
        (tag,) = [one.tag for one in self.held.values() if one.config_digest == digest]
        arch = self.states.get(tag, tag)
        return {"os": "linux", "architecture": arch}

    def list_entries(self, repository: str, tag: str) -> Sequence[ListEntry]:
        return self.joined[-1][2] if self.joined else ()

    def put_list(self, repository: str, tag: str, entries: Sequence[ListEntry]) -> str:
        self.joined.append((repository, tag, tuple(entries)))
        return "sha256:list"


def _manifest(arch: str) -> Manifest:
    return replace(MANIFEST, tag=arch, digest=f"sha256:{arch}", config_digest=f"sha256:c-{arch}")


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    for platform in BOTH:
        has_image(docker, f"{REPOSITORY}:{platform.arch}", platform=platform)
    made = DockerEngine(docker.address)
    yield made
    made.close()


def publish(engine: DockerEngine, shelf: Shelf, *platforms: Platform) -> Published:
    (published,) = join(engine, shelf, ["onnx"], platforms, Silent())
    return published


def test_both_platforms_are_pushed_and_joined_under_one_name(engine: DockerEngine) -> None:
    shelf = Shelf()
    published = publish(engine, shelf, *BOTH)
    assert shelf.pushed == [[f"{REPOSITORY}:amd64"], [f"{REPOSITORY}:arm64"]]
    ((repository, tag, entries),) = shelf.joined
    assert (repository, tag) == (REPOSITORY, "latest")
    assert [(one.platform, one.digest, one.manifest_bytes) for one in entries] == [
        (Platform.AMD64, "sha256:amd64", 500),
        (Platform.ARM64, "sha256:arm64", 500),
    ]
    assert published.name == "inference-lab/onnx:latest"
    assert [one.name for one in published.images] == [f"{REPOSITORY}:{one.arch}" for one in BOTH]


def test_a_platform_that_was_joined_before_stays_when_only_the_other_is_pushed(
    engine: DockerEngine,
) -> None:
    shelf = Shelf()
    publish(engine, shelf, *BOTH)
    published = publish(engine, shelf, Platform.AMD64)
    assert [one.platform for one in shelf.joined[-1][2]] == [*BOTH]
    assert [(one.platform, one.kept) for one in published.images] == [
        (Platform.AMD64, False),
        (Platform.ARM64, True),
    ]


def test_a_platform_that_the_registry_lost_leaves_the_list(engine: DockerEngine) -> None:
    shelf = Shelf()
    publish(engine, shelf, *BOTH)
    del shelf.held["arm64"]
    published = publish(engine, shelf, Platform.AMD64)
    assert [one.platform for one in shelf.joined[-1][2]] == [Platform.AMD64]
    assert [one.platform for one in published.images] == [Platform.AMD64]


def test_what_is_not_built_is_told_before_anything_is_pushed(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    lacks_image(docker, f"{REPOSITORY}:arm64")
    shelf = Shelf()
    with pytest.raises(ImageNotFoundError, match="onnx is not built for linux/arm64") as caught:
        publish(engine, shelf, *BOTH)
    assert "lab images build onnx --platform linux/arm64" in caught.value.remedy
    assert shelf.joined == []


def test_an_image_of_another_platform_than_its_name_tells_is_refused(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    has_image(docker, f"{REPOSITORY}:arm64", platform=Platform.AMD64)
    with pytest.raises(ImageNotFoundError, match="onnx:arm64 is an image for linux/amd64"):
        publish(engine, Shelf(), Platform.ARM64)


def test_an_image_that_states_another_platform_in_the_registry_is_not_joined(
    engine: DockerEngine,
) -> None:
    shelf = Shelf()
    shelf.states["arm64"] = "amd64"
    with pytest.raises(RegistryError, match="onnx:arm64 in the local registry is for linux/amd64"):
        publish(engine, shelf, *BOTH)
    assert shelf.joined == []


def test_an_index_with_an_attestation_is_not_joined(engine: DockerEngine) -> None:
    shelf = Shelf(arm64=_manifest("arm64"))
    shelf.tags_hold["arm64"] = OCI_INDEX
    with pytest.raises(RegistryError, match="index of manifests") as caught:
        publish(engine, shelf, Platform.ARM64)
    assert "--provenance=false" in caught.value.remedy
    assert shelf.joined == []


def test_a_docker_schema_2_image_is_fit() -> None:
    refuse_unfit(MANIFEST, held_as=DOCKER_MANIFEST)


@pytest.mark.parametrize(
    ("manifest", "held_as", "said"),
    [
        (
            replace(MANIFEST, media_type=OCI_MANIFEST),
            OCI_MANIFEST,
            "The manifest of inference-lab/onnx:arm64 is application/vnd.oci.image.manifest",
        ),
        (MANIFEST, DOCKER_LIST, "index of manifests"),
        (MANIFEST, OCI_INDEX, "index of manifests"),
        (replace(MANIFEST, media_type=OCI_MANIFEST), None, "The manifest of"),
        (
            replace(MANIFEST, config_media_type="application/vnd.oci.image.config.v1+json"),
            DOCKER_MANIFEST,
            "The configuration of inference-lab/onnx:arm64 is application/vnd.oci.image.config",
        ),
        (
            replace(
                MANIFEST,
                layers=(
                    LayerBlob(digest="a", compressed_bytes=1, media_type=DOCKER_LAYER),
                    LayerBlob(digest="b", compressed_bytes=1, media_type=f"{DOCKER_LAYER}+zstd"),
                ),
            ),
            DOCKER_MANIFEST,
            r"A layer of inference-lab/onnx:arm64 is .*zstd",
        ),
        (
            replace(MANIFEST, layers=(LayerBlob(digest="a", compressed_bytes=1, media_type=""),)),
            DOCKER_MANIFEST,
            "A layer of inference-lab/onnx:arm64 is of no stated type",
        ),
    ],
)
def test_everything_else_is_refused_with_what_it_is_and_what_to_do(
    manifest: Manifest, held_as: str | None, said: str
) -> None:
    with pytest.raises(RegistryError, match=said) as caught:
        refuse_unfit(manifest, held_as=held_as)
    assert caught.value.remedy


def test_a_list_is_the_document_that_dockers_specification_shows() -> None:
    document = json.loads(list_document([ARM64, AMD64]))
    assert document == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [
            {
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "size": 400,
                "digest": "sha256:amd64",
                "platform": {"architecture": "amd64", "os": "linux"},
            },
            {
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "size": 500,
                "digest": "sha256:arm64",
                "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
            },
        ],
    }


def test_a_list_does_not_depend_on_the_order_in_which_platforms_were_built() -> None:
    assert list_document([ARM64, AMD64]) == list_document([AMD64, ARM64])


def test_a_list_is_read_as_it_was_written_and_attestations_are_left_out() -> None:
    document = json.loads(list_document([AMD64, ARM64]))
    document["manifests"].append(
        {
            "mediaType": OCI_MANIFEST,
            "size": 9,
            "digest": "sha256:note",
            "platform": {"os": "unknown", "architecture": "unknown"},
        }
    )
    assert parse_list(document) == [AMD64, ARM64]
