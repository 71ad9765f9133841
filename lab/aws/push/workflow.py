"""A push from end to end: look, plan, make room, send, deploy, ask. The same for both targets.

Every step finds out what is there before it writes, so a push that was interrupted anywhere goes on
when it is run again, and one that has nothing to do writes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from lab.artifacts.store import Archive
from lab.aws.access.session import AwsSession
from lab.aws.answers import AnswerPayload
from lab.aws.emulator.target import LocalStack
from lab.aws.invoke import AwsEndpoint, Endpoint, LocalEndpoint
from lab.aws.model import (
    Action,
    Artifacts,
    Deployer,
    Deployment,
    DeploymentNames,
    Order,
    PlanItem,
    PreflightCheck,
    PreflightState,
    PushTarget,
)
from lab.aws.push import ecr, upload
from lab.aws.push.planning import changes
from lab.aws.push.preflight import preflight
from lab.aws.push.proof import Verified, local_answer, verify
from lab.aws.stack.template import is_release
from lab.endpoint.client import EmulatorClient
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.progress import Progress
from lab.spec import Platform
from lab.units import format_bytes

IMAGE: Final = "image"
ARCHIVE: Final = "model archive"

Contract = Callable[[], Sequence[PreflightCheck]]
"""Tries the image, and says what it is fit for."""

_PENDING: Final = "named once the image is there"


@dataclass(frozen=True, kw_only=True)
class LocalArtifacts:
    """What is pushed, as it lies on this machine."""

    image: str
    """The engine's name for it."""
    image_id: str
    platform: Platform
    unpacked_bytes: int
    archive: Archive


@dataclass(frozen=True, kw_only=True)
class RemoteArtifacts:
    """What of the local artifacts has arrived already. None for what has not."""

    image: str | None
    image_bytes: int | None
    """Compressed; None as long as no registry has it."""
    model_data: str | None


@dataclass(frozen=True, kw_only=True)
class PushPlan:
    """What a push would do."""

    items: Sequence[PlanItem]
    image_bytes: int
    """Compressed if a registry has it, else unpacked: the most it can be."""

    @property
    def changes(self) -> bool:
        """Whether anything is to be written at all."""
        return changes(self.items)


class Destination(Protocol):
    """Where image and archive go."""

    deployer: Deployer

    def checks(
        self, order: Order, *, contract: Contract, dry_run: bool, progress: Progress
    ) -> Sequence[PreflightCheck]:
        """The preflight. Only reads."""

    def arrived(self) -> RemoteArtifacts:
        """What has arrived. Only reads."""

    def send(self, progress: Progress) -> Artifacts:
        """Have image and archive there, known by their content."""

    def endpoint(self) -> Endpoint:
        """What can be asked once it is deployed."""


@dataclass(kw_only=True)
class ToAws:
    """To an account of AWS."""

    aws: AwsSession
    engine: DockerEngine
    local: LocalArtifacts
    deployer: Deployer

    def checks(
        self, order: Order, *, contract: Contract, dry_run: bool, progress: Progress
    ) -> Sequence[PreflightCheck]:
        """Who asks, and whether they may; see ``preflight``."""
        return preflight(
            self.aws,
            order,
            self.deployer.names,
            contract=contract,
            dry_run=dry_run,
            progress=progress,
        )

    def arrived(self) -> RemoteArtifacts:
        """By the digest in ECR and the checksum in S3."""
        local, names = self.local, self.deployer.names
        image = ecr.find(self.aws, self.engine, local.image, repository=names.repository)
        archive = local.archive
        found = upload.find(self.aws, archive.path, bucket=names.bucket, sha256=archive.sha256)
        return RemoteArtifacts(
            image=image.image if image else None,
            image_bytes=image.compressed_bytes if image else None,
            model_data=found.url if found else None,
        )

    def send(self, progress: Progress) -> Artifacts:
        """The image to ECR, the archive to S3."""
        local, names = self.local, self.deployer.names
        image = ecr.push(
            self.aws, self.engine, local.image, repository=names.repository, progress=progress
        )
        archive = upload.upload(
            self.aws,
            local.archive.path,
            bucket=names.bucket,
            sha256=local.archive.sha256,
            progress=progress,
        )
        return Artifacts(image=image.image, model_data=archive.url)

    def endpoint(self) -> Endpoint:
        return AwsEndpoint(self.aws, self.deployer.names.endpoint)


class ToEmulator:
    """To the lab's own emulator, which takes images from this machine's engine."""

    def __init__(
        self, client: EmulatorClient, local: LocalArtifacts, names: DeploymentNames
    ) -> None:
        self.deployer: Deployer = LocalStack(client, names, content=local.image_id)
        self._client = client
        self._local = local
        self._names = names
        self._key = upload.key_of(local.archive.sha256)

    def checks(
        self, order: Order, *, contract: Contract, dry_run: bool, progress: Progress
    ) -> Sequence[PreflightCheck]:
        """Nobody's permission is needed: only what the image itself is fit for."""
        del order, dry_run
        with progress.step("Looking before leaping"):
            where = self._client.addresses.sagemaker
            return (
                PreflightCheck("emulator", PreflightState.OK, f"answers at {where}"),
                *contract(),
            )

    def arrived(self) -> RemoteArtifacts:
        """The image is always here; the archive may be in the local S3."""
        found = self._client.s3("head_object", Bucket=self._names.bucket, Key=self._key)
        # Keys name the content by its sum, which makes the size enough.
        whole = found is not None and found["ContentLength"] == self._local.archive.bytes
        return RemoteArtifacts(
            image=self._local.image, image_bytes=None, model_data=self._url if whole else None
        )

    def send(self, progress: Progress) -> Artifacts:
        """Only the archive: the engine has the image."""
        with progress.step(f"Upload {self._local.archive.path.name}"):
            self._client.upload(self._local.archive.path, self._names.bucket, self._key)
        return Artifacts(image=self._local.image, model_data=self._url)

    def endpoint(self) -> Endpoint:
        return LocalEndpoint(self._client, self._names.endpoint)

    @property
    def _url(self) -> str:
        return f"s3://{self._names.bucket}/{self._key}"


def plan(order: Order, local: LocalArtifacts, to: Destination) -> PushPlan:
    """What of the order is to be made, changed or kept. Only reads; raises ``LabError``."""
    found = to.arrived()
    names = to.deployer.names
    url = f"s3://{names.bucket}/{upload.key_of(local.archive.sha256)}"
    artifacts = Artifacts(
        # Nobody knows the digest before it is pushed; what names it will be another in any case.
        image=found.image or f"{names.repository}@{local.image_id}",
        model_data=found.model_data or url,
    )
    rows = to.deployer.plan(order, artifacts)
    if found.image is None:
        rows = [
            replace(row, name=f"{names.endpoint}-…", detail=_joined(row.detail, _PENDING))
            if is_release(row.name, names)
            else row
            for row in rows
        ]
    size = local.unpacked_bytes if found.image_bytes is None else found.image_bytes
    word = "unpacked" if found.image_bytes is None else "compressed"
    sent = (
        PlanItem(
            kind=IMAGE,
            name=local.image,
            action=Action.CREATE if found.image is None else Action.KEEP,
            detail=f"{local.platform.value}, {format_bytes(size)} {word}",
        ),
        PlanItem(
            kind=ARCHIVE,
            name=local.archive.path.name,
            action=Action.CREATE if found.model_data is None else Action.KEEP,
            detail=f"{format_bytes(local.archive.bytes)}, sha256 {local.archive.sha256[:12]}",
        ),
    )
    return PushPlan(items=(*sent, *rows), image_bytes=size)


def _joined(*details: str) -> str:
    return "; ".join(one for one in details if one)


def apply(order: Order, to: Destination, progress: Progress) -> Deployment:
    """Carry it out: room for image and archive, these, and what serves them.

    Raises ``LabError`` with the cause. What is left then costs by the hour only if it served
    before; the same command goes on with it.
    """
    to.deployer.prepare(order, progress)
    return to.deployer.deploy(order, to.send(progress), progress)


def prove(
    engine: Engine,
    local: LocalArtifacts,
    to: Destination,
    *,
    payload: AnswerPayload,
    progress: Progress,
) -> Verified:
    """Ask the endpoint what the same container is asked on this machine, and compare."""
    expected = local_answer(
        engine,
        image=local.image,
        archive=local.archive.path,
        payload=payload,
        platform=local.platform,
        progress=progress,
    )
    return verify(to.endpoint(), payload=payload, expected=expected, progress=progress)


def undo(
    target: PushTarget, endpoint: str, *, region: str | None = None, profile: str | None = None
) -> str:
    """The command that takes it all away again, with what was said to push it."""
    said = {
        "--target": None if target is PushTarget.AWS else target.value,
        "--profile": profile,
        "--region": region,
    }
    flags = [f"{flag} {value}" for flag, value in said.items() if value]
    return " ".join(["lab push destroy", f"--endpoint {endpoint}", *flags])
