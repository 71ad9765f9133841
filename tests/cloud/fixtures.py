"""An AWS on this machine, and an environment in which boto3's own chain finds it."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader

from lab.aws.access.session import AwsSession, open_session
from lab.aws.model import DeploymentNames
from lab.aws.stack.cloudformation import CloudFormationStack
from tests.cloud.world import World, moto, world
from tests.unit.aws.orders import ENDPOINT


@pytest.fixture(scope="session", autouse=True)
def _models_read_once() -> Iterator[None]:
    """Every session of boto3's reads its models of AWS anew: half a second for each push."""
    reading = JSONFileLoader.load_file
    with pytest.MonkeyPatch.context() as patch:
        kept = functools.cache(lambda path: reading(JSONFileLoader(), path))
        patch.setattr(JSONFileLoader, "load_file", lambda self, path: kept(path))
        yield


@pytest.fixture(scope="session", name="upstream")
def _upstream() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture(name="world")
def _world(tmp_path: Path, upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    home = tmp_path / "aws"
    home.mkdir()
    with world(home, upstream) as found:
        found.use(monkeypatch)
        yield found


@pytest.fixture(name="aws")
def _aws(world: World) -> Iterator[AwsSession]:
    with open_session() as aws:
        yield aws


@pytest.fixture(name="names")
def _names(world: World) -> DeploymentNames:
    return DeploymentNames.of(ENDPOINT, account=world.account, region=world.region)


@pytest.fixture(name="stack")
def _stack(aws: AwsSession, names: DeploymentNames) -> CloudFormationStack:
    return CloudFormationStack(aws, names, poll_s=0)
