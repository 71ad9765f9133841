"""Calls of AWS's other services at the emulator's address: who they are for, and what to do here.

A program whose `AWS_ENDPOINT_URL` names the emulator for everything speaks to it as to any service
of AWS's. It gets an error that names the service and its stand-in, in the protocol that it speaks,
so that its client shows the sentence. STS and IAM are answered in part: see ``identity``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

from face.answers import (
    Headers,
    Receive,
    Scope,
    Send,
    Speech,
    request_id,
    send_whole,
    spoken_error,
)
from face.identity import Identity
from face.requests import Disconnected, TooLarge, body_of, headers_of
from lab.endpoint.clock import Clock
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.sigv4 import SERVICE, Signed, Verifier, parse
from lab.endpoint.settings import EmulatorSettings
from lab.services import SERVICES

CODE: Final = "NotEmulated"
"""Of every refusal here. It is the lab's own: AWS has none of this name."""

_FORM: Final = "application/x-www-form-urlencoded"
_FORM_BYTES: Final = 1 << 20
_JSON: Final = "application/x-amz-json-1."
_CBOR: Final = "rpc-v2-cbor"
_TARGET: Final = "SageMaker."
_SCOPE_PARTS: Final = 4
_SCALE: Final = "change a variant's instances with UpdateEndpointWeightsAndCapacities"
_ENGINE: Final = "images are taken from the container engine and from the lab's registry"
_PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/FeatureGroup/": "SageMaker Feature Store",
        "/BatchGetRecord": "SageMaker Feature Store",
        "/human-loops": "Amazon Augmented AI",
        "/BatchPutMetrics": "SageMaker Metrics",
        "/BatchGetMetrics": "SageMaker Metrics",
        "/GetDeviceRegistration": "SageMaker Edge Manager",
        "/SendHeartbeat": "SageMaker Edge Manager",
        "/GetDeployments": "SageMaker Edge Manager",
    }
)
"""How services begin that sign as ``sagemaker`` too."""
_SERVICES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "application-autoscaling": (
            "Application Auto Scaling",
            f"No policy is kept or followed: {_SCALE}; serverless variants scale by themselves.",
        ),
        "autoscaling": ("EC2 Auto Scaling", f"There are no EC2 instances: {_SCALE}."),
        "monitoring": (
            "CloudWatch",
            "Endpoints' metrics are in Prometheus at {prometheus}, and its alerts are the alarms.",
        ),
        "logs": (
            "CloudWatch Logs",
            "Read a container's output with `lab endpoint logs NAME`.",
        ),
        "sns": (
            "SNS",
            "What an asynchronous endpoint would publish is in `lab endpoint logs NAME`.",
        ),
        "sqs": (
            "SQS",
            "Asynchronous requests wait in the emulator's own queue: wait for their output in S3.",
        ),
        "s3": (
            "S3",
            "Here S3 has an address of its own: set AWS_ENDPOINT_URL_S3={s3}.",
        ),
        "ecr": ("ECR", f"There is no ECR: {_ENGINE}."),
        "ecr-public": ("ECR Public", f"There is no ECR: {_ENGINE}."),
        "lambda": ("Lambda", "Call the endpoint from your function's code as a plain program."),
        "kms": ("KMS", "Nothing is encrypted here: leave KmsKeyId out."),
        "ec2": ("EC2", "There are no VPCs or instances here: leave VpcConfig out."),
        "iam": ("IAM", "Every role may do all: GetRole and SimulatePrincipalPolicy are answered."),
        "sts": (
            "STS",
            "GetCallerIdentity, AssumeRole and GetSessionToken are answered; any keys do here.",
        ),
        "cloudformation": (
            "CloudFormation",
            "Make model, endpoint configuration and endpoint by SageMaker's own calls.",
        ),
        "secretsmanager": ("Secrets Manager", "Give a container its secrets in Environment."),
        "ssm": ("Systems Manager", "Give a container its parameters in Environment."),
        "events": ("EventBridge", "No events are sent: ask DescribeEndpoint."),
        "servicequotas": ("Service Quotas", "The emulator's limits are in its README."),
    }
)
"""By the name in a signature: what the service is called, and what to use instead."""
_BY_TARGET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AnyScaleFrontendService": "application-autoscaling",
        "GraniteServiceVersion20100801": "monitoring",
        "Logs_20140328": "logs",
        "AmazonEC2ContainerRegistry_V20150921": "ecr",
        "TrentService": "kms",
        "AmazonSQS": "sqs",
        "AmazonSSM": "ssm",
        "AWSEvents": "events",
        "secretsmanager": "secretsmanager",
    }
)
"""For calls without a signature: what stands before the operation in ``X-Amz-Target``."""
_BY_VERSION: Final[Mapping[str, str]] = MappingProxyType(
    {
        "2011-06-15": "sts",
        "2010-05-08": "iam",
        "2010-03-31": "sns",
        "2012-11-05": "sqs",
        "2010-08-01": "monitoring",
        "2010-05-15": "cloudformation",
        "2011-01-01": "autoscaling",
        "2016-11-15": "ec2",
    }
)
"""The same for callers of a query: the version of the API that they speak."""
_IN_A_QUERY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "IncompleteSignatureException": "IncompleteSignature",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "InvalidSignatureException": "SignatureDoesNotMatch",
    }
)
"""What services that are called by a query call what is wrong with a signature."""
_REST_XML: Final = frozenset({"s3", "s3express", "s3-outposts", "route53", "cloudfront"})


class Neighbours:
    """An ASGI application for what ``meant`` recognises."""

    def __init__(self, settings: EmulatorSettings, clock: Clock, *, s3: str | None = None) -> None:
        """``s3`` is its address as programs on this machine reach it; None: the lab's own."""
        self._settings = settings
        self._clock = clock
        self._identity = Identity(settings, clock)
        self._addresses = {
            "s3": s3 or SERVICES["s3"].address(),
            "prometheus": SERVICES["prometheus"].address(),
        }

    def meant(self, scope: Scope) -> bool:
        """Whether a request is for a service other than SageMaker, as far as its head tells."""
        headers = headers_of(scope)
        signed_as = _signed_as(headers, scope["query_string"].decode("latin-1"))
        if signed_as is not None and signed_as != SERVICE:
            return True
        target = headers.get("x-amz-target", "")
        if signed_as == SERVICE:
            return not target and scope["path"].startswith(tuple(_PATHS))
        if target:
            return target.partition(".")[0] in _BY_TARGET
        form = headers.get("content-type", "").startswith(_FORM) and scope["path"] == "/"
        return form or "smithy-protocol" in headers or b"Action=" in scope["query_string"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers, number = headers_of(scope), request_id()
        speech, service, body = Speech.REST_JSON, "", b""
        try:
            body = await _body(receive, headers)
            query = scope["query_string"].decode("latin-1")
            form = _form(headers, query, body)
            service = _service(headers, query, form, scope["path"])
            speech = _speech(headers, service, form)
            answer = self._answer(scope, headers, body, service, form)
        except Disconnected:
            return
        except ApiError as error:
            await _refuse(send, error, speech, number, head=scope["method"] == "HEAD")
            return
        except TooLarge:
            large = ApiError(
                "RequestEntityTooLargeException",
                "Request is too large.",
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
            await _refuse(send, large, Speech.QUERY, number, head=False)
            return
        kind: Headers = [
            (b"content-type", b"text/xml"),
            (b"x-amzn-requestid", number.encode()),
        ]
        await send_whole(send, HTTPStatus.OK, kind, answer(number))

    def _answer(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        body: bytes,
        service: str,
        form: Mapping[str, str],
    ) -> Any:
        operation = self._identity.operation(service, form.get("Action", ""))
        if operation is None:
            raise self._refusal(service, scope["path"])
        keys, authorization = self._settings.access_keys, headers.get("authorization")
        signed = Signed(
            method=scope["method"],
            path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            body=body,
        )
        # Both are global: whatever region a caller signs for is right.
        region = parse(authorization).region if authorization else self._settings.region
        try:
            Verifier(keys, region=region, service=service).admit(signed, now=self._clock.time())
        except ApiError as error:
            error.code = _IN_A_QUERY.get(error.code, error.code)
            raise
        by = parse(authorization).key_id if authorization else ""
        return operation(form, by)

    def _refusal(self, service: str, path: str) -> ApiError:
        if service == SERVICE:
            name = next(name for start, name in _PATHS.items() if path.startswith(start))
            said = f"The lab does not emulate {name}: of SageMaker it emulates hosting."
        elif service in _SERVICES:
            name, instead = _SERVICES[service]
            partly = self._identity.knows(service)
            said = (
                f"The lab does not emulate {'this operation of ' if partly else ''}{name}. "
                f"{instead.format(**self._addresses)}"
            )
        else:
            named = f"AWS's service {service!r}" if service else "the service that is asked for"
            said = (
                f"The lab does not emulate {named}: at this address are SageMaker's hosting, its "
                "runtime, and of STS and IAM what names the caller and a role."
            )
        return ApiError(CODE, said, status=HTTPStatus.NOT_IMPLEMENTED)


async def _refuse(send: Send, error: ApiError, speech: Speech, number: str, *, head: bool) -> None:
    headers, body = spoken_error(error, speech, number)
    await send_whole(send, error.status, headers, b"" if head else body)


async def _body(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """A query's form; of other bodies nothing is needed, nor asked for where a client waits."""
    if "expect" in headers:
        return b""
    try:
        return await body_of(receive, limit=_FORM_BYTES)
    except TooLarge:
        if headers.get("content-type", "").startswith(_FORM):
            raise
        return b""


def _signed_as(headers: Mapping[str, str], query: str) -> str | None:
    """The service in a signature's scope, of whichever version; None without a signature."""
    credential = ""
    _, _, rest = headers.get("authorization", "").partition("Credential=")
    if rest:
        credential = rest.partition(",")[0].strip()
    elif "X-Amz-Credential" in query:
        credential = parse_qs(query).get("X-Amz-Credential", [""])[0]
    elif "AWSAccessKeyId=" in query or headers.get("authorization", "").startswith("AWS "):
        return "s3"  # the only one that was ever signed for so and still is: version 2
    parts = credential.split("/")
    # Version 4A names no region.
    return parts[-2] if len(parts) >= _SCOPE_PARTS and parts[-1] == "aws4_request" else None


def _form(headers: Mapping[str, str], query: str, body: bytes) -> Mapping[str, str]:
    text = query
    if headers.get("content-type", "").startswith(_FORM):
        text = f"{query}&{body.decode('utf-8', errors='replace')}"
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _service(headers: Mapping[str, str], query: str, form: Mapping[str, str], path: str) -> str:
    signed_as = _signed_as(headers, query)
    if signed_as is not None:
        return signed_as
    target = headers.get("x-amz-target", "").partition(".")[0]
    if "smithy-protocol" in headers:
        target = path.removeprefix("/service/").partition("/")[0]
    return _BY_TARGET.get(target) or _BY_VERSION.get(form.get("Version", ""), "")


def _speech(headers: Mapping[str, str], service: str, form: Mapping[str, str]) -> Speech:
    kind = headers.get("content-type", "")
    if headers.get("smithy-protocol") == _CBOR:
        return Speech.CBOR
    if kind.startswith(_JSON):
        return Speech.JSON_1_0 if kind.startswith(f"{_JSON}0") else Speech.JSON_1_1
    if "Action" in form:
        return Speech.EC2 if service == "ec2" else Speech.QUERY
    return Speech.REST_XML if service in _REST_XML else Speech.REST_JSON
