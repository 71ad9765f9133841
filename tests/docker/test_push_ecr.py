"""The image's way to ECR: a real push by the real engine to a registry that wants ECR's password.

ECR's own interface is moto's; a CNCF registry that only that password opens is in its place.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from lab.aws.access.session import AwsSession, open_session
from lab.aws.model import AwsError
from lab.aws.push import ecr
from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.manifests import DOCKER_MANIFEST
from lab.errors import ImageNotFoundError
from lab.progress import Silent
from lab.spec import FLOOR, LABEL_OWNER, LABEL_ROLE
from tests.cloud.world import World, moto, world
from tests.ports import free_port
from tests.timing import wait_until

REPOSITORY = "inference-lab/test"
# What moto gives out for its account: bcrypt of 123456789012-auth-token.
HTPASSWD = "AWS:$2b$04$abcdefghijklmnopqrstuu/cMn6kFoLFEf9ShbIPSVtJoiKQtizZG\n"
OCI = "application/vnd.oci.image.manifest.v1+json"

Env = Mapping[str, str]


@pytest.fixture(scope="module", name="registry")
def _registry(
    engine: DockerEngine, built: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """``127.0.0.1:PORT`` of a registry that refuses whoever has not ECR's password."""
    folder = tmp_path_factory.mktemp("registry")
    folder.chmod(0o755)
    (folder / "htpasswd").write_text(HTPASSWD, encoding="utf-8")
    port = free_port()
    container = engine.create(
        ContainerSpec(
            image=built("registry"),
            command=(),
            env={
                "REGISTRY_AUTH": "htpasswd",
                "REGISTRY_AUTH_HTPASSWD_REALM": "ecr",
                "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/tmp/registry",
                "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            },
            labels={LABEL_ROLE: "test", LABEL_OWNER: f"test-{secrets.token_hex(4)}"},
            mounts=(Mount(source=str(folder), target="/auth"),),
            port=5000,
            publish=port,
        )
    )
    try:
        container.start()
        address = f"127.0.0.1:{port}"
        wait_until(
            lambda: httpx.get(f"http://{address}/v2/", trust_env=False).status_code == 401,
            despite=httpx.HTTPError,
        )
        yield address
    finally:
        container.remove()


@pytest.fixture(name="cloud")
def _cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with moto() as upstream, world(tmp_path, upstream) as found:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in found.env.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture(name="aws")
def _aws(cloud: World) -> Iterator[AwsSession]:
    with open_session() as session:
        yield session


@pytest.fixture(name="made")
def _made(cloud: World) -> str:
    # A name of its own for each test, for the registry keeps what was pushed.
    name = f"{REPOSITORY}-{secrets.token_hex(4)}"
    cloud.client("ecr").create_repository(repositoryName=name)
    return name


@pytest.fixture(name="env")
def _env(registry: str) -> Env:
    return {ecr.REGISTRY: registry}


def names(engine: DockerEngine, repository: str) -> set[str]:
    """Under which the engine has images of that repository's."""
    every = (name for image in engine.client.images() for name in image["RepoTags"] or ())
    return {name for name in every if repository in name}


def manifest(registry: str, pushed: ecr.Pushed) -> httpx.Response:
    name, _, digest = pushed.image.removeprefix(f"{registry}/").partition("@")
    return httpx.get(
        f"http://{registry}/v2/{name}/manifests/{digest}",
        auth=("AWS", "123456789012-auth-token"),
        headers={"Accept": f"{DOCKER_MANIFEST}, {OCI}"},
        trust_env=False,
    )


def test_the_image_arrives_by_digest_as_docker_schema_2_of_one_platform(
    engine: DockerEngine,
    built: Callable[[str], str],
    aws: AwsSession,
    made: str,
    env: Env,
    registry: str,
) -> None:
    ref = built(FLOOR)
    pushed = ecr.push(aws, engine, ref, repository=made, progress=Silent(), env=env)
    assert pushed.sent
    assert pushed.image == f"{registry}/{made}@{pushed.digest}"
    held = manifest(registry, pushed)
    assert held.status_code == 200
    assert held.json()["mediaType"] == DOCKER_MANIFEST
    assert held.json()["config"]["digest"] == engine.image(ref).image_id
    assert pushed.compressed_bytes == sum(one["size"] for one in held.json()["layers"])


def test_what_is_there_is_found_and_not_sent_again(
    engine: DockerEngine, built: Callable[[str], str], aws: AwsSession, made: str, env: Env
) -> None:
    ref = built(FLOOR)
    assert ecr.find(aws, engine, ref, repository=made, env=env) is None
    first = ecr.push(aws, engine, ref, repository=made, progress=Silent(), env=env)
    silent = Silent()
    second = ecr.push(aws, engine, ref, repository=made, progress=silent, env=env)
    found = ecr.find(aws, engine, ref, repository=made, env=env)
    assert not second.sent
    assert silent.steps == []
    assert second.image == first.image
    assert found == second


def test_looking_only_reads_and_needs_no_repository(
    engine: DockerEngine, built: Callable[[str], str], aws: AwsSession, cloud: World, env: Env
) -> None:
    aws.read_only = True
    assert ecr.find(aws, engine, built(FLOOR), repository="inference-lab/none", env=env) is None
    assert cloud.faults.writes == []


def test_no_name_with_the_account_and_no_password_stays_behind(
    engine: DockerEngine,
    built: Callable[[str], str],
    aws: AwsSession,
    made: str,
    env: Env,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    ecr.push(aws, engine, built(FLOOR), repository=made, progress=Silent(), env=env)
    assert names(engine, made) == set()
    assert not (tmp_path / "docker").exists()


def test_a_wrong_password_is_told_without_it(
    engine: DockerEngine,
    built: Callable[[str], str],
    aws: AwsSession,
    cloud: World,
    made: str,
    env: Env,
) -> None:
    cloud.faults.answer(
        "ecr:GetAuthorizationToken",
        {"authorizationData": [{"authorizationToken": "QVdTOndyb25nLXBhc3N3b3Jk"}]},
    )
    with pytest.raises(AwsError) as caught:
        ecr.push(aws, engine, built(FLOOR), repository=made, progress=Silent(), env=env)
    assert "401" in str(caught.value)
    assert "wrong-password" not in str(caught.value)


def test_a_repository_that_is_not_there_is_told(
    engine: DockerEngine, built: Callable[[str], str], aws: AwsSession, env: Env
) -> None:
    with pytest.raises(AwsError, match="inference-lab/none is not there"):
        ecr.push(
            aws, engine, built(FLOOR), repository="inference-lab/none", progress=Silent(), env=env
        )


def test_an_image_that_is_not_built_is_told(
    engine: DockerEngine, aws: AwsSession, made: str, env: Env
) -> None:
    with pytest.raises(ImageNotFoundError):
        ecr.push(
            aws, engine, "inference-lab/none:amd64", repository=made, progress=Silent(), env=env
        )


def test_an_oci_manifest_under_the_tag_is_refused(
    engine: DockerEngine,
    built: Callable[[str], str],
    aws: AwsSession,
    made: str,
    env: Env,
    registry: str,
) -> None:
    ref = built(FLOOR)
    pushed = ecr.push(aws, engine, ref, repository=made, progress=Silent(), env=env)
    content = manifest(registry, pushed).json()
    content["mediaType"] = OCI
    content["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"
    for layer in content["layers"]:
        layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
    httpx.put(
        f"http://{registry}/v2/{made}/manifests/{ecr.tag_of(engine.image(ref).image_id)}",
        auth=("AWS", "123456789012-auth-token"),
        json=content,
        headers={"Content-Type": OCI},
        trust_env=False,
    ).raise_for_status()
    with pytest.raises(AwsError, match="Docker schema 2 only") as caught:
        ecr.push(aws, engine, ref, repository=made, progress=Silent(), env=env)
    assert "--provenance=false" in caught.value.remedy


def test_a_registry_that_is_away_is_told_and_can_be_tried_again(
    engine: DockerEngine, built: Callable[[str], str], aws: AwsSession, made: str
) -> None:
    away = {ecr.REGISTRY: f"127.0.0.1:{free_port()}"}
    with pytest.raises(AwsError, match="does not answer") as caught:
        ecr.push(aws, engine, built(FLOOR), repository=made, progress=Silent(), env=away)
    assert "again" in caught.value.remedy
