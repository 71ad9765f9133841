"""A push without an engine: the image is carried to moto's ECR as a manifest, all else is real."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts.store import Archive
from lab.aws.access.session import AwsSession, open_session
from lab.aws.model import (
    Deployment,
    DeploymentNames,
    Order,
    PreflightCheck,
    PreflightState,
    Removal,
    ServingKind,
)
from lab.aws.push import workflow
from lab.aws.push.ecr import Pushed
from lab.aws.push.preflight import refuse_failed
from lab.aws.push.workflow import LocalArtifacts, PushPlan, ToAws
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.progress import Progress, Silent
from lab.spec import Platform, Runtime

ENDPOINT = "one"
FULL = f"inference-lab-{ENDPOINT}"

ORDER = Order(
    endpoint=ENDPOINT,
    variant="onnx-slim",
    model="retinopathy-mobilenet",
    kind=ServingKind.SERVERLESS,
    memory_mb=2048,
)
REAL_TIME = replace(
    ORDER, kind=ServingKind.REAL_TIME, memory_mb=None, instance_type="ml.m5.large", max_instances=2
)


class Carrier:
    """In the place of `lab.aws.push.ecr`: a manifest for each image id, put and found as in ECR."""

    def find(self, aws: AwsSession, engine: object, ref: str, *, repository: str) -> Pushed | None:
        found = aws.find("ecr", "describe_repositories", repositoryNames=[repository])
        if found is None:
            return None
        uri = found["repositories"][0]["repositoryUri"]
        held = aws.call(
            "ecr", "batch_get_image", repositoryName=repository, imageIds=[{"imageTag": ref}]
        )
        for image in held["images"]:
            digest = image["imageId"]["imageDigest"]
            return Pushed(
                image=f"{uri}@{digest}", digest=digest, compressed_bytes=9_000_000, sent=False
            )
        return None

    def push(
        self, aws: AwsSession, engine: object, ref: str, *, repository: str, progress: Progress
    ) -> Pushed:
        there = self.find(aws, engine, ref, repository=repository)
        if there is None:
            aws.call(
                "ecr",
                "put_image",
                repositoryName=repository,
                imageManifest=_manifest(ref),
                imageTag=ref,
            )
            there = self.find(aws, engine, ref, repository=repository)
        assert there is not None
        return there


def _manifest(ref: str) -> str:
    digest = hashlib.sha256(ref.encode()).hexdigest()
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1}
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {**config, "digest": f"sha256:{digest}"},
            "layers": [],
        }
    )


def goods(folder: Path, *, image: str = "first", size: int = 50_000) -> LocalArtifacts:
    """An image of that name, and an archive of so many bytes."""
    path = folder / f"model-{image}.tar.gz"
    content = hashlib.sha256(image.encode()).digest() * (size // 32 + 1)
    path.write_bytes(content[:size])
    return LocalArtifacts(
        image=image,
        image_id="sha256:" + hashlib.sha256(image.encode()).hexdigest(),
        platform=Platform.AMD64,
        unpacked_bytes=50_000_000,
        archive=Archive(
            model=ORDER.model,
            runtime=Runtime.ONNX,
            path=path,
            sha256=hashlib.sha256(content[:size]).hexdigest(),
            bytes=size,
        ),
    )


@dataclass
class Pusher:
    """What the command line does, without asking."""

    goods: LocalArtifacts
    order: Order = ORDER
    progress: Silent = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.progress = Silent()

    def look(self, order: Order | None = None) -> tuple[Sequence[PreflightCheck], PushPlan]:
        """A dry run."""
        order = order or self.order
        with open_session(read_only=True) as aws:
            to = self._to(aws, order)
            checks = to.checks(order, contract=_fit, dry_run=True, progress=self.progress)
            refuse_failed(checks)
            return checks, workflow.plan(order, self.goods, to)

    def push(
        self, order: Order | None = None, *, goods: LocalArtifacts | None = None
    ) -> Deployment:
        """Look, plan, make."""
        order = order or self.order
        self.goods = goods or self.goods
        with open_session(read_only=True) as aws:
            to = self._to(aws, order)
            refuse_failed(to.checks(order, contract=_fit, dry_run=False, progress=self.progress))
            if workflow.plan(order, self.goods, to).changes:
                aws.allow_writing()
            return workflow.apply(order, to, self.progress)

    def destroy(self) -> Removal:
        """Take it away."""
        with open_session() as aws:
            return self._to(aws, self.order).deployer.destroy(self.progress)

    def _to(self, aws: AwsSession, order: Order) -> ToAws:
        names = DeploymentNames.of(order.endpoint, account=aws.account, region=aws.region)
        stack = CloudFormationStack(aws, names, poll_s=0.0, wait_s=600.0)
        engine: Any = None
        return ToAws(aws=aws, engine=engine, local=self.goods, deployer=stack)


def _fit() -> Sequence[PreflightCheck]:
    return (PreflightCheck(name="contract", state=PreflightState.OK, detail="as the test says"),)


def carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let images be carried instead of pushed."""
    ours: Any = Carrier()
    monkeypatch.setattr(workflow, "ecr", ours)
