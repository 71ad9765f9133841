"""An asynchronous invocation as it is asked for, remembered and reported on."""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lab.endpoint.live import LiveEndpoint
from lab.endpoint.protocol.errors import validation_error
from lab.endpoint.records import AsyncRecord
from lab.endpoint.runtime import limits
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.transport import ContainerAnswer

OPERATION: Final = "InvokeEndpointAsync"
INCLUDED_BYTES: Final = 128 * 1024
"""Of an answer that a notification includes."""
INLINE_BYTES: Final = 128_000
"""Of a body in the call itself (botocore: ``AsyncBodyBlob``)."""
DEFAULT_AT_ONCE: Final = 4
"""Requests at a time per container when ``MaxConcurrentInvocationsPerInstance`` is not given:
"SageMaker chooses an optimal value", and publishes none."""

TEST_NOTICE: Final[Mapping[str, Any]] = {
    "eventVersion": "1.0",
    "eventSource": "aws:sagemaker",
    "eventName": "TestNotification",
}
"""After an endpoint was made or changed, to every topic."""

_PREFIX = "x-amzn-sagemaker-"


_TTL_S: Final = 21600
_TIMEOUT_S: Final = 900
"""Unless they are given."""


def check(name: str, headers: Mapping[str, str], body: bytes) -> None:
    """Refuse what no endpoint would take. Header names in lower case. Raises ``ApiError``."""
    limits.check_names(OPERATION, name, headers)
    located = _PREFIX + "inputlocation" in headers
    if located == bool(body):
        both = "both were" if body else "neither was"
        raise validation_error(
            f"Exactly one of InputLocation and Body must be provided, and {both}."
        )
    if len(body) > INLINE_BYTES:
        raise validation_error(
            f"Body has {len(body)} bytes; the inline payload can be up to {INLINE_BYTES} bytes."
            " Upload it to Amazon S3 and pass its InputLocation."
        )


def record(
    live: LiveEndpoint,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    settings: EmulatorSettings,
) -> AsyncRecord:
    """What is remembered of a checked request."""

    def header(name: str) -> str | None:
        return headers.get(_PREFIX + name)

    unique = str(uuid.uuid4())
    output = as_mapping(as_mapping(live.asynchronous).get("OutputConfig"))
    # Where AWS puts results when the configuration does not say.
    root = output.get("S3OutputPath") or f"s3://sagemaker-{settings.region}-{settings.account}"
    extension = (header("s3outputpathextension") or "").strip("/")
    # The caller's inference id need not be unique, and results must not replace each other.
    name = header("filename") or f"{unique}.out"
    failures = output.get("S3FailurePath")
    return AsyncRecord(
        id=unique,
        endpoint=live.name,
        inference_id=header("inference-id") or unique,
        accepted_at=now,
        expires_at=now + int(header("requestttlseconds") or _TTL_S),
        request={
            "input": header("inputlocation"),
            "body": base64.b64encode(body).decode() if body else None,
            "output": "/".join(part for part in (root.rstrip("/"), extension, name) if part),
            "failure": f"{failures.rstrip('/')}/{unique}-error.out" if failures else None,
            "timeout_s": int(header("invocationtimeoutseconds") or _TIMEOUT_S),
            "content_type": header("content-type"),
            "accept": header("accept"),
            "custom_attributes": header("custom-attributes"),
        },
    )


def at_once(live: LiveEndpoint) -> int:
    """Requests that each of its containers gets at a time."""
    client = as_mapping(as_mapping(live.asynchronous).get("ClientConfig"))
    return int(client.get("MaxConcurrentInvocationsPerInstance") or DEFAULT_AT_ONCE)


def topics(asynchronous: Any) -> Sequence[str]:
    """All of an ``AsyncInferenceConfig``, each once."""
    found = _notifications(asynchronous)
    named = (found.get("SuccessTopic"), found.get("ErrorTopic"))
    return list(dict.fromkeys(one for one in named if one))


def unpublished(topic: str, message: Mapping[str, Any]) -> str:
    """The line of a log that stands for a notification: there is no SNS here."""
    said = json.dumps(message, separators=(",", ":"))
    return f"[platform] SNS is not emulated. To {topic} would go: {said}"


def topic(live: LiveEndpoint | None, *, failed: bool) -> str | None:
    """Where its endpoint wants a notification to go, if anywhere."""
    config = live.asynchronous if live else None
    return _notifications(config).get("ErrorTopic" if failed else "SuccessTopic")


def _notifications(asynchronous: Any) -> Mapping[str, Any]:
    output = as_mapping(as_mapping(asynchronous).get("OutputConfig"))
    return as_mapping(output.get("NotificationConfig"))


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _embedded(body: bytes) -> Mapping[str, str]:
    """Text as it is, anything else in base64. Ours: AWS publishes no form."""
    try:
        return {"content": body.decode(), "encoding": "UTF-8"}
    except UnicodeDecodeError:
        return {"content": base64.b64encode(body).decode(), "encoding": "BASE64"}


def includes_answer(live: LiveEndpoint | None, *, failed: bool) -> bool:
    """Whether its notification has the model's answer in it."""
    notifications = _notifications(live.asynchronous if live else None)
    wanted = "ERROR_NOTIFICATION_TOPIC" if failed else "SUCCESS_NOTIFICATION_TOPIC"
    return wanted in (notifications.get("IncludeInferenceResponseIn") or ())


def notice(
    row: AsyncRecord,
    *,
    region: str,
    now: float,
    answer: ContainerAnswer | None,
    included: bool,
    reason: str | None = None,
) -> Mapping[str, Any]:
    """The message of a notification: of a result, or of a failure with its ``reason``.

    What is not known is left out, as AWS does. ``included``: a small ``answer`` is in it.
    """
    said: dict[str, Any] = {}
    if answer is not None:
        said["contentType"] = answer.headers.get("content-type")
    if reason is None:
        said["outputLocation"] = row.request["output"]
    else:
        said["failureLocation"] = row.request["failure"]
    if included and answer is not None and len(answer.body) <= INCLUDED_BYTES:
        said["responseBody"] = _embedded(answer.body)
    # The prefix is in AWS's example of a notification, and nowhere else.
    failure = {} if reason is None else {"failureReason": f"ClientError: {reason}"}
    said = _present(said)
    return {
        "awsRegion": region,
        "eventTime": _stamp(now),
        "receivedTime": _stamp(row.accepted_at),
        "invocationStatus": "Completed" if reason is None else "Failed",
        **failure,
        "requestParameters": _present(
            {
                "accept": row.request["accept"],
                "contentType": row.request["content_type"],
                "endpointName": row.endpoint,
                "inputLocation": row.request["input"],
            }
        ),
        **({"responseParameters": said} if said else {}),
        "inferenceId": row.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A member of a configuration that may be absent."""
    return value if isinstance(value, Mapping) else {}


def _stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
