"""What the emulator is given: archives in S3, and two endpoints for each model.

Everything is made only when it is absent or would be different, so that a second time changes
nothing and a time after an interruption makes what is missing. Models and configurations cannot be
changed once they are made; their names end in a digest of what they say.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lab.artifacts.store import Archive, Payload
from lab.endpoint.client import EmulatorClient
from lab.endpoint.records import Status
from lab.errors import EndpointError
from lab.progress import Progress, Step

KINDS: Final = ("realtime", "serverless")
SERVERLESS_MB: Final = 2048
MAX_CONCURRENCY: Final = 5

_PREFIX: Final = "inference-lab"
_VARIANT: Final = "AllTraffic"
_POLL_S: Final = 0.25
_WAIT_S: Final = 600.0
_GONE: Final = "gone"
_TAGS: Final = [{"Key": "inference-lab:seed", "Value": "lab up"}]


@dataclass(frozen=True, kw_only=True)
class SeededModel:
    """A model as it is to be served. ``image_id`` tells a rebuilt image from the one before;
    ``instance_type`` has the processor that the image is for.
    """

    archive: Archive
    payload: Payload
    image: str
    image_id: str
    variant: str
    instance_type: str


@dataclass(frozen=True, kw_only=True)
class SeededEndpoint:
    """An endpoint as ``lab up`` leaves it."""

    name: str
    kind: str
    model: str
    status: str
    answers: bool = True
    """As far as it was asked."""
    reason: str | None = None
    note: str | None = None


def upload(
    archives: Sequence[Archive], bucket: str, client: EmulatorClient, progress: Progress
) -> None:
    """Have the bucket and every archive in S3."""
    client.ensure_bucket(bucket)
    # SeaweedFS reads nothing for some seconds after it was killed; what is written waits for it.
    client.s3("put_object", Bucket=bucket, Key=f"{_PREFIX}/awake", Body=b"x")
    for one in archives:
        with progress.step(f"Archive of {one.model} in S3"):
            client.upload(one.path, bucket, key_of(one))


def key_of(archive: Archive) -> str:
    """Its key, named by its content: another archive never replaces it."""
    return f"{_PREFIX}/{archive.model}/{archive.runtime}/{archive.sha256[:12]}/model.tar.gz"


def endpoints(
    served: Sequence[SeededModel],
    bucket: str,
    role: str,
    client: EmulatorClient,
    progress: Progress,
) -> Sequence[SeededEndpoint]:
    """Have an endpoint of each kind for each model, and wait until those that were new answer."""
    changed = {}
    for one in served:
        model = _model(one, bucket, role, client)
        for kind in KINDS:
            name = f"{one.archive.model}-{kind}"
            config = _config(name, kind, model, one.instance_type, client)
            changed[name] = (_endpoint(name, kind, config, client, progress), one, kind)
    waiting = [name for name, (state, _, _) in changed.items() if state == "changed"]
    if waiting:
        with progress.step(f"Starting {', '.join(waiting)}") as step:
            _settled(waiting, client, step, note=progress.note)
    rows = []
    for name, (state, one, kind) in changed.items():
        seen = _described(name, one.archive.model, kind, client)
        if state == "changed" and seen.status == Status.IN_SERVICE:
            with progress.step(f"The first answer of {name}"):
                seen = _asked(seen, one, client)
        rows.append(seen)
    return rows


def untouched(models: Sequence[str], client: EmulatorClient) -> Sequence[SeededEndpoint]:
    """The endpoints of models that were not asked for, as they are."""
    return [
        replace(seen, note=seen.note or f"as it was; `--model {model}` brings it up to date")
        for model in models
        for kind in KINDS
        if (seen := _described(f"{model}-{kind}", model, kind, client)).status != _GONE
    ]


def _model(one: SeededModel, bucket: str, role: str, client: EmulatorClient) -> str:
    body = {
        "PrimaryContainer": {
            "Image": one.image,
            "ModelDataUrl": f"s3://{bucket}/{key_of(one.archive)}",
        },
        "ExecutionRoleArn": role,
    }
    name = _named(f"{one.archive.model}-{one.variant}", {**body, "id": one.image_id})
    if client.find("describe_model", ModelName=name) is None:
        client.call("create_model", ModelName=name, Tags=_TAGS, **body)
    return name


def _config(
    endpoint: str, kind: str, model: str, instance_type: str, client: EmulatorClient
) -> str:
    variant: dict[str, Any] = {"VariantName": _VARIANT, "ModelName": model}
    if kind == "serverless":
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": SERVERLESS_MB,
            "MaxConcurrency": MAX_CONCURRENCY,
        }
    else:
        variant |= {"InstanceType": instance_type, "InitialInstanceCount": 1}
    body = {"ProductionVariants": [variant]}
    name = _named(endpoint, body)
    if client.find("describe_endpoint_config", EndpointConfigName=name) is None:
        client.call("create_endpoint_config", EndpointConfigName=name, Tags=_TAGS, **body)
    return name


def _endpoint(name: str, kind: str, config: str, client: EmulatorClient, progress: Progress) -> str:
    """Make or update it: ``changed``, ``same``, or ``kept`` when a user has made it their own."""
    seen = client.find("describe_endpoint", EndpointName=name)
    why = None if seen is None else _why_anew(name, config, seen, client)
    if why is not None:
        progress.note(f"{name} {why}: making it anew.")
        client.call("delete_endpoint", EndpointName=name)
    under_way = why is not None or (
        seen is not None and seen["EndpointStatus"] != Status.IN_SERVICE
    )
    if under_way:  # an earlier command was interrupted, or we have just deleted it
        _settled([name], client, None)
        seen = client.find("describe_endpoint", EndpointName=name)
    if seen is None:
        client.call("create_endpoint", EndpointName=name, EndpointConfigName=config, Tags=_TAGS)
        return "changed"
    if seen["EndpointConfigName"] == config:
        # After a restart of the emulator its containers are on their way.
        starting = kind == "realtime" and not client.servers(name)
        return "changed" if under_way or starting else "same"
    if not re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8}}", seen["EndpointConfigName"]):
        return "kept"
    client.call("update_endpoint", EndpointName=name, EndpointConfigName=config)
    return "changed"


def _why_anew(
    name: str, config: str, seen: Mapping[str, Any], client: EmulatorClient
) -> str | None:
    """Why an update would not do: AWS makes none of these."""
    if seen["EndpointStatus"] == Status.FAILED:
        return "had failed"
    mine = re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8}}", seen["EndpointConfigName"])
    if mine and seen["EndpointConfigName"] != config:
        there = client.find(
            "describe_endpoint_config", EndpointConfigName=seen["EndpointConfigName"]
        )
        if there is None and seen["EndpointStatus"] == Status.IN_SERVICE:
            return "has lost its configuration"
    return None


def _settled(
    names: Sequence[str],
    client: EmulatorClient,
    step: Step | None,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Until none of them is on its way. Raises ``EndpointError`` after ten minutes.

    ``note`` is told once of each that has to be started again.
    """
    deadline = time.monotonic() + _WAIT_S
    told: set[str] = set()
    left = list(names)
    while True:
        seen = {name: client.find("describe_endpoint", EndpointName=name) for name in left}
        statuses = {name: row["EndpointStatus"] for name, row in seen.items() if row}
        for name, row in seen.items():
            if row and name not in told and (said := client.troubles(row)):
                told.add(name)
                note(f"{name}: {said[0]}")
        left = [name for name, status in statuses.items() if Status(status).under_way]
        if not left:
            return
        if step is not None:
            step.detail(", ".join(f"{name} is {statuses[name]}" for name in left))
        if time.monotonic() > deadline:
            raise EndpointError(
                f"{left[0]} is still {statuses[left[0]]} after {_WAIT_S:g} s.",
                remedy=f"See `lab endpoint describe {left[0]}` and `lab endpoint logs {left[0]}`.",
            )
        time.sleep(_POLL_S)


def _described(name: str, model: str, kind: str, client: EmulatorClient) -> SeededEndpoint:
    seen = client.find("describe_endpoint", EndpointName=name) or {}
    mine = str(seen.get("EndpointConfigName", "")).startswith(f"{name}-")
    return SeededEndpoint(
        name=name,
        kind=kind,
        model=model,
        status=str(seen.get("EndpointStatus", _GONE)),
        reason=seen.get("FailureReason"),
        note=None if mine else f"serves {seen.get('EndpointConfigName')}, which is yours",
    )


def _asked(seen: SeededEndpoint, one: SeededModel, client: EmulatorClient) -> SeededEndpoint:
    try:
        client.invoke(seen.name, one.payload.path.read_bytes(), one.payload.content_type)
    except EndpointError as error:
        return replace(seen, answers=False, reason=f"It does not answer: {error.what}")
    return seen


def _named(name: str, body: Mapping[str, Any]) -> str:
    said = json.dumps(body, sort_keys=True).encode()
    return f"{name}-{hashlib.sha256(said).hexdigest()[:8]}"
