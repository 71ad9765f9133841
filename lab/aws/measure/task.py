"""What a measurement is asked to be and what it measures, written down so that it can go on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from lab import __version__
from lab.aws.access.session import AwsSession
from lab.aws.answers import AnswerPayload
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.record import AwsRun, MeasuredSubject, Protocol, Rates, SentPayload
from lab.aws.model import TAG_MODEL, TAG_VARIANT, AwsError, DeploymentNames, PushTarget, ServingKind
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.endpoint.client import EmulatorClient
from lab.endpoint.instances import platform_of
from lab.endpoint.plans import routing_of
from lab.errors import UsageError
from lab.host import host_facts
from lab.spec import Platform

_MACHINES: Final[Mapping[Platform, Sequence[str]]] = {
    Platform.AMD64: ("x86_64", "amd64"),
    Platform.ARM64: ("aarch64", "arm64"),
}
"""What the kernels call a platform's machines."""


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How much to measure; the defaults are the study's."""

    protocols: Sequence[Protocol] = (Protocol.WARM, Protocol.COLD)
    warm_n: int = 25
    warm_pause_s: float = 5.0
    cold_n: int = 10
    cold_idle_s: float = 900.0
    max_usd: float = 1.0
    metrics_wait_s: float = 600.0
    """How long to wait for CloudWatch at the end."""

    def __post_init__(self) -> None:
        if min(self.warm_n, self.cold_n) < 1 or not self.protocols:
            raise UsageError("There is nothing to measure.", remedy="Ask for a request at least.")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is measured, with what, how much of it, and at which prices."""

    subject: MeasuredSubject
    payload: AnswerPayload
    rates: Rates
    options: MeasureOptions


def options_of(folder: MeasureFolder) -> MeasureOptions:
    """What a measurement was asked to be, so that it can go on as it began."""
    kept = dict(folder.run().options)
    kept["protocols"] = tuple(Protocol(one) for one in kept["protocols"])
    return MeasureOptions(**kept)


def expected_s(subject: MeasuredSubject, options: MeasureOptions) -> float:
    """About how long the measurement will take: its pauses."""
    pauses = 0.0
    if Protocol.WARM in options.protocols:
        pauses += options.warm_n * options.warm_pause_s
    if Protocol.COLD in options.protocols and subject.kind is ServingKind.SERVERLESS:
        pauses += options.cold_n * options.cold_idle_s
    return pauses


def new_run(task: Task, began: datetime) -> AwsRun:
    """``aws.json`` of a measurement that begins."""
    client = host_facts()
    subject = task.subject
    # The lab's endpoints run on this machine, or beside it on one like it.
    foreign = client["machine"] not in _MACHINES[subject.platform]
    return AwsRun(
        id=f"{began:%Y%m%dT%H%M%SZ}-aws-measure",
        started_at=began.isoformat(timespec="seconds"),
        lab_version=__version__,
        git_commit=client["git_commit"],
        git_dirty=client["git_dirty"],
        subject=subject,
        options=_plain(asdict(task.options)),
        rates=task.rates,
        payload=_sent(task.payload),
        client=client,
        emulated=subject.target is PushTarget.LOCAL and foreign,
    )


def _plain(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**options, "protocols": [str(one) for one in options["protocols"]]}


def _sent(payload: AnswerPayload) -> SentPayload:
    return SentPayload(
        name=payload.name,
        content_type=payload.content_type,
        bytes=len(payload.body),
        sha256=hashlib.sha256(payload.body).hexdigest(),
    )


def refuse_another(run: AwsRun, task: Task) -> None:
    """Raise ``UsageError`` unless ``run`` measured the same: of two things it is one of neither."""
    subject, payload = task.subject, task.payload
    if run.subject != subject:
        raise UsageError(
            f"{run.id} measured {run.subject}, and the endpoint is now {subject}, or its image "
            "is another.",
            remedy="Measure it anew, without --resume.",
        )
    if run.payload != _sent(payload):
        raise UsageError(
            f"{run.id} sent {run.payload.name}, not {payload.name} as it is now.",
            remedy="Give the same --payload, or measure anew, without --resume.",
        )


def on_aws(aws: AwsSession, names: DeploymentNames) -> MeasuredSubject:
    """By its stack. Raises ``AwsError`` when there is none of ours, or nothing is deployed."""
    state = CloudFormationStack(aws, names).look()
    if state is None or not state.serves:
        raise _nothing(names)
    said = state.parameters
    serverless = said["Hosting"] == ServingKind.SERVERLESS.value
    instances = 1 if serverless else int(said["InstanceCount"])
    return MeasuredSubject(
        endpoint=names.endpoint,
        variant=state.tags.get(TAG_VARIANT, ""),
        model=state.tags.get(TAG_MODEL, ""),
        kind=ServingKind(said["Hosting"]),
        target=PushTarget.AWS,
        region=aws.region,
        platform=platform_of(None if serverless else said["InstanceType"]),
        memory_mb=int(said["MemorySizeInMB"]) if serverless else None,
        instance_type=None if serverless else said["InstanceType"],
        instances=instances,
        routing=routing_of({}) if instances > 1 else None,  # the stack's template asks for none
        image_digest=said["ImageUri"].partition("@")[2] or None,
    )


def on_emulator(client: EmulatorClient, names: DeploymentNames) -> MeasuredSubject:
    """By its configuration and tags. Raises ``AwsError`` when it is not there or not a push's."""
    endpoint = client.find("describe_endpoint", EndpointName=names.endpoint)
    if endpoint is None:
        raise _nothing(names)
    rows = client.call("list_tags", ResourceArn=endpoint["EndpointArn"])["Tags"]
    tags = {one["Key"]: one["Value"] for one in rows}
    if TAG_VARIANT not in tags:
        raise _nothing(names)
    config = client.call(
        "describe_endpoint_config", EndpointConfigName=endpoint["EndpointConfigName"]
    )
    hosted = config["ProductionVariants"][0]
    serverless = hosted.get("ServerlessConfig")
    instances = int(hosted.get("InitialInstanceCount") or 1)
    return MeasuredSubject(
        endpoint=names.endpoint,
        variant=tags[TAG_VARIANT],
        model=tags.get(TAG_MODEL, ""),
        kind=ServingKind.REAL_TIME if serverless is None else ServingKind.SERVERLESS,
        target=PushTarget.LOCAL,
        region=client.addresses.region,
        platform=platform_of(hosted.get("InstanceType")),
        memory_mb=None if serverless is None else int(serverless["MemorySizeInMB"]),
        instance_type=hosted.get("InstanceType"),
        instances=instances,
        routing=routing_of(hosted) if instances > 1 else None,
    )


def _nothing(names: DeploymentNames) -> AwsError:
    return AwsError(
        f"No push left an endpoint {names.endpoint} there.", remedy="Push one: `lab push aws`."
    )
