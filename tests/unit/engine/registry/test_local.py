"""The registry's interface, against a server of a few lines that answers as one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.engine.registry.distribution import Distribution
from lab.engine.registry.local import place_of
from lab.engine.registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, ListEntry
from lab.errors import RegistryError
from lab.spec import Platform
from tests.unit.engine.fakeregistry import FakeRegistry, digest_of, listening

LAYERS = [{"digest": "sha256:a", "size": 100}, {"digest": "sha256:b", "size": 20}]
IMAGE = {"mediaType": DOCKER_MANIFEST, "config": {"digest": "sha256:c"}, "layers": LAYERS}
EMPTY_TWICE = {**IMAGE, "layers": [*LAYERS, {"digest": "sha256:b", "size": 20}]}
LIST = {
    "mediaType": DOCKER_LIST,
    "manifests": [
        {
            "digest": f"sha256:{arch[:3]}",
            "size": 400,
            "mediaType": DOCKER_MANIFEST,
            "platform": {"architecture": arch, "os": system},
        }
        for arch, system in (("arm64", "linux"), ("amd64", "linux"), ("unknown", "unknown"))
    ],
}
MANIFESTS: dict[str, Any] = {
    "/v2/lab/onnx/manifests/amd64": IMAGE,
    "/v2/lab/twice/manifests/amd64": EMPTY_TWICE,
    "/v2/lab/many/manifests/1": LIST,
    "/v2/lab/many/manifests/sha256:amd": IMAGE,
    "/v2/lab/onnx/blobs/sha256:c": {"os": "linux", "architecture": "arm64"},
}


@pytest.fixture
def answering() -> type[FakeRegistry]:
    return FakeRegistry.fresh(documents=dict(MANIFESTS))


@pytest.fixture
def registry(answering: type[FakeRegistry]) -> Iterator[Distribution]:
    with listening(answering) as host:
        asked = Distribution(host)
        yield asked
        asked.close()


def test_the_compressed_size_is_the_sum_of_the_layers(registry: Distribution) -> None:
    manifest = registry.manifest("lab/onnx", "amd64")

    assert manifest is not None
    assert manifest.compressed_bytes == 120
    assert (manifest.digest, manifest.config_digest) == (
        digest_of(json.dumps(IMAGE).encode()),
        "sha256:c",
    )
    assert manifest.media_type == DOCKER_MANIFEST


def test_a_layer_that_occurs_twice_is_downloaded_once(registry: Distribution) -> None:
    manifest = registry.manifest("lab/twice", "amd64")

    assert manifest is not None
    assert (len(manifest.layers), manifest.compressed_bytes) == (3, 120)


def test_an_image_that_is_not_there_is_none(registry: Distribution) -> None:
    assert registry.manifest("lab/onnx", "arm64") is None


def test_of_many_platforms_the_one_asked_for_counts(registry: Distribution) -> None:
    manifest = registry.manifest("lab/many", "1", arch="amd64")

    assert manifest is not None
    assert manifest.compressed_bytes == 120


def test_many_platforms_and_none_asked_for_is_an_error(registry: Distribution) -> None:
    with pytest.raises(RegistryError, match="for amd64, arm64, not for one platform"):
        registry.manifest("lab/many", "1")


def test_a_list_is_told_from_an_image_and_its_attestations_from_its_images(
    registry: Distribution,
) -> None:
    assert [(one.platform, one.digest) for one in registry.list_entries("lab/many", "1")] == [
        (Platform.ARM64, "sha256:arm"),
        (Platform.AMD64, "sha256:amd"),
    ]
    assert registry.list_entries("lab/onnx", "amd64") == ()
    assert registry.list_entries("lab/onnx", "nothing") == ()


def test_the_kind_of_what_a_tag_names_is_told_without_following_it(registry: Distribution) -> None:
    assert registry.media_type("lab/many", "1") == DOCKER_LIST
    assert registry.media_type("lab/onnx", "amd64") == DOCKER_MANIFEST
    assert registry.media_type("lab/onnx", "nothing") is None


def test_a_list_is_put_under_its_tag_as_a_list(
    registry: Distribution, answering: type[FakeRegistry]
) -> None:
    entry = ListEntry(platform=Platform.AMD64, digest="sha256:amd", manifest_bytes=400)
    digest = registry.put_list("lab/onnx", "latest", [entry])

    media_type, content = answering.written["/v2/lab/onnx/manifests/latest"]
    assert media_type == DOCKER_LIST
    assert digest == digest_of(content)
    assert json.loads(content)["manifests"][0]["digest"] == "sha256:amd"


def test_a_registry_that_keeps_something_else_than_was_put_is_not_believed(
    registry: Distribution,
) -> None:
    with pytest.raises(
        RegistryError, match="made something else of the manifest of lab/altered:latest"
    ):
        registry.put_list("lab/altered", "latest", [])


def test_an_image_states_its_own_platform(registry: Distribution) -> None:
    assert registry.config("lab/onnx", "sha256:c")["architecture"] == "arm64"


def test_what_the_registry_says_reaches_the_user(registry: Distribution) -> None:
    with pytest.raises(RegistryError, match=r"answered 500 to GET /v2/broken.*on fire") as caught:
        registry.manifest("broken", "1")

    assert caught.value.remedy


def test_a_file_is_uploaded_once(
    registry: Distribution, answering: type[FakeRegistry], tmp_path: Path
) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"weights" * 400_000)

    first = registry.put_blob("lab/models", path)
    second = registry.put_blob("lab/models", path)

    assert first == second == digest_of(path.read_bytes())
    assert answering.blobs == {("lab/models", first): path.read_bytes()}
    assert answering.uploads == 1


def test_a_registry_that_is_gone_is_a_registry_error(tmp_path: Path) -> None:
    gone = Distribution("127.0.0.1:1")
    (tmp_path / "a").write_bytes(b"a")

    assert not gone.answers()
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 does not answer"):
        gone.manifest("lab/onnx", "amd64")
    with pytest.raises(RegistryError, match="does not answer"):
        gone.put_blob("lab/models", tmp_path / "a")
    gone.close()


@pytest.mark.parametrize(
    ("ref", "place"),
    [
        ("inference-lab/onnx-slim:amd64", ("inference-lab/onnx-slim", "amd64")),
        ("nginx", ("nginx", "latest")),
        ("127.0.0.1:5000/Team/app:1.2", ("127.0.0.1-5000/team/app", "1.2")),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:v1",
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app", "v1"),
        ),
        ("sha256:" + "ab" * 32, ("inference-lab/by-id", "ab" * 32)),
        ("app@sha256:" + "ab" * 32, ("app", "sha256-" + "ab" * 32)),
    ],
)
def test_every_image_has_a_place_in_the_local_registry(ref: str, place: tuple[str, str]) -> None:
    assert place_of(ref) == place
