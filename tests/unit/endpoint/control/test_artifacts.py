"""What CreateModel finds of images and model data, and what it says when it does not."""

import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from lab.endpoint.control import artifacts as module
from lab.endpoint.control.artifacts import FoundArtifacts
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.engine.api import ImageFacts
from lab.engine.registry.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from lab.errors import EngineError, ImageNotFoundError, RegistryError
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.engine.fake import FakeEngine

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/tea:7"
DIGEST = f"sha256:{'a' * 64}"
REGISTRY = "127.0.0.1:5000"
ROLE = "arn:aws:iam::123456789012:role/r"


class Shelf(FakeEngine):
    """Has some images; its registries have others, with the media types of their manifests."""

    def __init__(self, *refs: str, held: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.refs = set(refs)
        self.held = held or {}
        self.asked: list[str] = []
        self.gate = threading.Event()
        """Cleared, a registry answers nothing."""
        self.gate.set()

    def image(self, ref: str) -> ImageFacts:
        if ref not in self.refs:
            raise ImageNotFoundError(f"no {ref}")
        return super().image(ref)

    def media_type(self, ref: str) -> str:
        self.asked.append(ref)
        self.gate.wait()
        if ref not in self.held:
            raise RegistryError(f"{ref} is unknown")
        return self.held[ref]


class Objects(S3Objects):
    """Says what it is told to."""

    def __init__(self, code: str | None) -> None:
        super().__init__(endpoint_url=None)
        self._code = code

    def size(self, uri: str) -> int:
        if self._code is not None:
            raise ObjectError(self._code, f"S3 said {self._code}.")
        return len(uri)

    def first(self, uri: str) -> None:
        self.size(uri)


def found(engine: FakeEngine, code: str | None = None, objects: Any = None) -> FoundArtifacts:
    return FoundArtifacts(
        engine=engine,
        objects=objects or Objects(code),
        registry=REGISTRY,
        region="us-east-1",
    )


def refusal(call: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(ApiError) as caught:
        call(*args, **more)
    assert caught.value.code == "ValidationException"
    return str(caught.value.message)


@fidelity(
    "CreateModel",
    "An image may be named by the `ResolvedImage` that DescribeEndpoint shows, also where only "
    "the engine has it.",
    OURS,
    "AWS's are of ECR, which knows each by its digest: "
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeployedImage.html",
)
@pytest.mark.parametrize(
    ("image", "shelf", "asked"),
    [
        ("tiny:1", Shelf("tiny:1"), []),
        (f"tiny@{DIGEST}", Shelf(DIGEST), []),
        (ECR, Shelf(ECR), []),
        (ECR, Shelf("team/tea:7"), []),
        (ECR, Shelf(held={f"{REGISTRY}/team/tea:7": DOCKER_MANIFEST}), [f"{REGISTRY}/team/tea:7"]),
        (ECR, Shelf(held={ECR: DOCKER_MANIFEST}), [f"{REGISTRY}/team/tea:7", ECR]),
        ("tiny:1", Shelf(held={f"{REGISTRY}/tiny:1": OCI_INDEX}), [f"{REGISTRY}/tiny:1"]),
        ("tiny:1", Shelf(held={"tiny:1": OCI_INDEX}), [f"{REGISTRY}/tiny:1", "tiny:1"]),
    ],
)
def test_an_image_is_looked_for_here_then_in_the_local_registry_then_elsewhere(
    image: str, shelf: Shelf, asked: list[str]
) -> None:
    found(shelf).check_image(image)
    assert shelf.asked == asked


def test_an_image_that_is_nowhere_is_refused_with_all_that_was_asked() -> None:
    said = refusal(found(Shelf()).check_image, ECR)
    assert said == (
        f"Requested image {ECR} not found. The lab's engine does not have it. Nor has it "
        f"team/tea:7. No registry gave it: {REGISTRY}/team/tea:7: {REGISTRY}/team/tea:7 is "
        f"unknown; {ECR}: {ECR} is unknown. Build or tag it as team/tea:7, or push it to the local "
        "registry."
    )


@fidelity(
    "CreateModel",
    "A registry that says nothing within 10 s does not have the image: CreateModel never waits "
    "for a download.",
    OURS,
    "ECR is always there; other registries need not be",
)
def test_a_registry_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    shelf = Shelf(held={ECR: DOCKER_MANIFEST})
    shelf.gate.clear()
    try:
        said = refusal(found(shelf).check_image, ECR)
    finally:
        shelf.gate.set()
    assert said.startswith(f"Requested image {ECR} not found. ")
    assert "did not answer within" in said


def test_an_engine_that_fails_is_not_called_a_missing_image() -> None:
    class Broken(Shelf):
        def image(self, ref: str) -> ImageFacts:
            raise EngineError(f"The engine does not answer for {ref}.")

    said = refusal(found(Broken()).check_image, "tiny")
    assert said == "The lab could not look for image tiny. The engine does not answer for tiny."


def test_an_engine_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    gate = threading.Event()

    class Hung(Shelf):
        def image(self, ref: str) -> ImageFacts:
            gate.wait()
            return super().image(ref)

    try:
        said = refusal(found(Hung("tiny")).check_image, "tiny")
    finally:
        gate.set()
    assert said == (
        "The lab could not look for image tiny. The engine did not answer within 0.01 s. See "
        "`lab doctor`."
    )


@fidelity(
    "CreateModel",
    "An ECR image with an OCI manifest or index is refused: `Unsupported manifest media type ... "
    "for image ... Ensure that valid manifest media type is used for specified image.` Here that "
    "is seen of what a registry has; `lab contract check` tells of what only the engine has.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-feedback/issues/180",
)
@pytest.mark.parametrize("held_as", [OCI_INDEX, OCI_MANIFEST])
def test_an_oci_manifest_in_the_local_registry_is_refused(held_as: str) -> None:
    shelf = Shelf(held={f"{REGISTRY}/team/tea:7": held_as})
    assert refusal(found(shelf).check_image, ECR) == (
        f"Unsupported manifest media type {held_as} for image {ECR}. Ensure that valid manifest "
        "media type is used for specified image."
    )


@fidelity(
    "CreateModel",
    "Model data that S3 does not let be read is refused: `Could not access model data at "
    "s3://...`, with the hint at the role.",
    SEEN,
    "https://github.com/philschmid/llm-sagemaker-sample/issues/2",
)
@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("NoSuchKey", "Could not find model data at s3://b/m."),
        ("NoSuchBucket", "Could not find model data at s3://b/m."),
        (
            "AccessDenied",
            (
                "Could not access model data at s3://b/m. Please ensure that the role "
                f'"{ROLE}" exists and that its trust relationship policy allows the action '
                '"sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". Also ensure '
                'that the role has "s3:GetObject" permissions and that the object is located in '
                "us-east-1. If your Model uses multiple models or uncompressed models, please "
                'ensure that the role has "s3:ListBucket" permission.'
            ),
        ),
        ("PermanentRedirect", "Could not access model data at s3://b/m. Please ensure"),
        ("SlowDown", "The lab could not look for the model data at s3://b/m. S3 said SlowDown."),
    ],
)
def test_what_s3_says_is_said_in_awss_words(code: str, message: str, *, prefix: bool) -> None:
    asked = found(Shelf(), code).check_data
    assert refusal(asked, "s3://b/m", prefix=prefix, role=ROLE).startswith(message)
    found(Shelf()).check_data("s3://b/m", prefix=prefix, role=ROLE)


@fidelity(
    "CreateModel",
    "While S3 cannot be reached no model with data in it is made, and that is said.",
    OURS,
    "AWS's own S3 is always there",
)
@pytest.mark.parametrize("prefix", [False, True])
def test_an_s3_that_does_not_answer_is_named(*, prefix: bool) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        objects = S3Objects(endpoint_url=address, read_s=1)
        asked = found(Shelf(), objects=objects).check_data
        said = refusal(asked, "s3://b/m", prefix=prefix, role=ROLE)
    assert said.startswith("The lab could not reach S3 to look for the model data at s3://b/m.")
    assert address in said


@fidelity(
    "CreateModel",
    "A URL that is not S3's is refused.",
    DOCUMENTED,
    "botocore: ContainerDefinition.ModelDataUrl",
)
def test_an_address_that_is_not_of_s3_is_refused() -> None:
    objects = S3Objects(endpoint_url="http://127.0.0.1:9")
    asked = found(Shelf(), objects=objects).check_data
    said = refusal(asked, "https://example.com/m.tar.gz", prefix=False, role=ROLE)
    assert "is not an S3 URI" in said
