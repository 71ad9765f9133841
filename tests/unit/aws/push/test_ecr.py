"""What needs no registry: names, and what is told of a registry whose name holds the account."""

import pytest

from lab.aws.access.session import open_session
from lab.aws.model import AwsError
from lab.aws.push import ecr
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.manifests import DOCKER_MANIFEST, OCI_INDEX, Manifest
from lab.errors import DiskFullError, EngineError, RegistryError, UsageError
from tests.cloud.world import World

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
PLACE = ecr._Repository(host=HOST, name="inference-lab/x", user="AWS", password="hush")


def test_the_tag_is_made_of_the_image_and_valid_in_ecr() -> None:
    tag = ecr.tag_of("sha256:" + "0123456789abcdef" * 4)
    assert tag == "id-0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (f"denied: User: arn:aws:iam::123456789012:user/me is not authorized on {HOST}", "policy"),
        (f"The registry at {HOST} answered 403 to HEAD /v2/", "policy"),
        ("The manifest of test-427403b7 cannot be read.", "again"),
        (f"Get https://{HOST}/v2/: net/http: TLS handshake timeout", "again"),
    ],
)
def test_what_the_registry_says_is_told_without_the_account(said: str, remedy: str) -> None:
    with pytest.raises(AwsError) as caught, ecr._opened(PLACE):
        raise RegistryError(said, remedy="Something else.")
    assert "123456789012" not in str(caught.value)
    assert remedy in caught.value.remedy
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_engine_s_own_troubles_stay_the_engine_s() -> None:
    with pytest.raises(DiskFullError), ecr._opened(PLACE):
        raise DiskFullError("The disk is full.")


def test_an_engine_that_is_gone_is_told_as_the_push_s_failure() -> None:
    with pytest.raises(AwsError, match="no longer"), ecr._opened(PLACE):
        raise EngineError("The engine no longer answers.")


def test_the_registry_s_address_is_ecr_s_unless_another_takes_its_place(world: World) -> None:
    world.client("ecr").create_repository(repositoryName="inference-lab/x")
    with open_session() as aws:
        real = ecr._repository(aws, "inference-lab/x", {})
        other = ecr._repository(aws, "inference-lab/x", {ecr.REGISTRY: "127.0.0.1:5000"})
        none = ecr._repository(aws, "inference-lab/y", {})
    assert real is not None
    assert real.address == f"{HOST}/inference-lab/x"
    assert other is not None
    assert other.address == "127.0.0.1:5000/inference-lab/x"
    assert none is None


@pytest.mark.parametrize("host", ["http://127.0.0.1:5000", "127.0.0.1:5000/x", "a b"])
def test_what_is_no_host_cannot_take_ecr_s_place(world: World, host: str) -> None:
    world.client("ecr").create_repository(repositoryName="inference-lab/x")
    with open_session() as aws, pytest.raises(UsageError, match="LAB_ECR_REGISTRY"):
        ecr._repository(aws, "inference-lab/x", {ecr.REGISTRY: host})


class Held(Distribution):
    """A registry that has one manifest under every tag."""

    def __init__(self, media_type: str = DOCKER_MANIFEST) -> None:
        self.held_as = media_type

    def media_type(self, repository: str, tag: str) -> str | None:
        return self.held_as

    def manifest(self, repository: str, tag: str, *, arch: str | None = None) -> Manifest | None:
        return Manifest(
            repository=f"{HOST}/{repository}",
            tag=tag,
            digest="sha256:d",
            media_type=self.held_as,
            config_digest="sha256:c",
            layers=(),
        )


def test_an_image_that_somebody_else_pushed_under_the_tag_is_to_be_deleted() -> None:
    assert ecr._found(Held(), PLACE, "sha256:c", sent=False) is not None
    with pytest.raises(AwsError, match="another image") as caught, ecr._opened(PLACE):
        ecr._found(Held(), PLACE, "sha256:other", sent=False)
    assert "delete that tag" in caught.value.remedy
    assert "123456789012" not in str(caught.value)


def test_an_image_that_sagemaker_does_not_take_is_to_be_built_in_another_way() -> None:
    with pytest.raises(AwsError, match="schema 2 only") as caught, ecr._opened(PLACE):
        ecr._found(Held(OCI_INDEX), PLACE, "sha256:c", sent=True)
    assert "--provenance=false" in caught.value.remedy
    assert "123456789012" not in str(caught.value)
