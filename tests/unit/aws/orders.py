"""Orders and what they are about, for tests of deployments."""

from typing import Any

from lab.aws.access.session import AwsSession
from lab.aws.model import Artifacts, Deployer, DeploymentNames, Order, ServingKind
from lab.progress import Silent

ENDPOINT = "eyes"
DIGEST = "sha256:" + 64 * "a"


def serverless(**more: Any) -> Order:
    said = {"endpoint": ENDPOINT, "variant": "onnx-slim", "model": "retina", "memory_mb": 2048}
    return Order(**{**said, "kind": ServingKind.SERVERLESS, **more})


def real_time(**more: Any) -> Order:
    said = {"endpoint": ENDPOINT, "variant": "onnx", "model": "retina"}
    return Order(**{**said, "kind": ServingKind.REAL_TIME, "instance_type": "ml.m5.large", **more})


def names_in(aws: AwsSession, endpoint: str = ENDPOINT) -> DeploymentNames:
    return DeploymentNames.of(endpoint, account=aws.identity().account, region=aws.region)


def artifacts(names: DeploymentNames, *, image: str = DIGEST, model: str = "one") -> Artifacts:
    return Artifacts(
        image=f"registry/{names.repository}@{image}",
        model_data=f"s3://{names.bucket}/models/{model}/model.tar.gz",
    )


def pushed(
    place: Deployer, order: Order, what: Artifacts | None = None, progress: Silent | None = None
) -> bool:
    """Both steps; whether anything was changed."""
    told = progress or Silent()
    place.prepare(order, told)
    return place.deploy(order, what or artifacts(place.names), told).changed
