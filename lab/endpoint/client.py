"""The emulator seen from outside: boto3 for what AWS has, plain HTTP for what only the lab has."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import boto3
import botocore.session
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from lab import tls, wire
from lab.awserrors import is_absent
from lab.endpoint.addresses import S3, SAGEMAKER, Addresses, checked
from lab.endpoint.live import STARTED_AGAIN
from lab.errors import EndpointError, UsageError, without_numbers

_CONNECT_S: Final = 3.0
_READ_S: Final = 70.0  # an invocation may take 60
_DUMMY: Final = "test"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an invocation was answered."""

    body: bytes
    content_type: str
    variant: str


class EmulatorClient:
    """Speaks to one emulator and its S3. Raises ``EndpointError`` with what was said.

    And ``UsageError`` for what is no address.
    """

    def __init__(self, addresses: Addresses, *, env: Mapping[str, str] = os.environ) -> None:
        checked(addresses.sagemaker, SAGEMAKER)
        self.addresses = addresses
        self._env = env
        self._made: dict[str, Any] = {}
        self._http = httpx.Client(
            base_url=addresses.sagemaker, timeout=_READ_S, verify=tls.context(), trust_env=False
        )

    def close(self) -> None:
        self._http.close()
        for client in self._made.values():
            client.close()

    # --- the control plane -----------------------------------------------------------------------

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """An operation of boto3's `sagemaker` client, by its Python name."""
        return self._call("sagemaker", operation, parameters)

    def find(self, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        """A `describe_...`: None for what is not there."""
        return self._find("sagemaker", operation, parameters)

    def every(self, operation: str, key: str, **parameters: Any) -> Sequence[Mapping[str, Any]]:
        """All pages of a listing: what is under ``key`` in each."""
        with _translated(operation):
            pages = self._client("sagemaker").get_paginator(operation).paginate(**parameters)
            return [row for page in pages for row in page[key]]

    def endpoints(self) -> Sequence[Mapping[str, Any]]:
        """Every endpoint's summary, by name."""
        found = self.every("list_endpoints", "Endpoints")
        return sorted(found, key=lambda row: str(row["EndpointName"]))

    @staticmethod
    def troubles(described: Mapping[str, Any]) -> Sequence[str]:
        """Of what ``describe_endpoint`` answers: why containers have to be started again."""
        pending = described.get("PendingDeploymentSummary") or {}
        variants = [
            *pending.get("ProductionVariants", ()),
            *pending.get("ShadowProductionVariants", ()),
        ]
        said = [str(one.get("StatusMessage", "")) for v in variants for one in v["VariantStatus"]]
        return [one for one in said if one.startswith(STARTED_AGAIN)]

    # --- the runtime -----------------------------------------------------------------------------

    def invoke(self, endpoint: str, body: bytes, content_type: str, **more: str) -> Reply:
        """InvokeEndpoint; ``more`` are its further parameters, such as ``TargetVariant``."""
        with _translated("invoke_endpoint"):
            answer = self._client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=content_type, **more
            )
            return Reply(
                body=answer["Body"].read(),
                content_type=answer.get("ContentType", ""),
                variant=answer.get("InvokedProductionVariant", ""),
            )

    def signed(
        self, endpoint: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[tuple[str, int], bytes]:
        """Where InvokeEndpoint is asked without TLS, and the request as it goes over the wire.

        Signed as boto3 would, so that the emulator does for it what it does for boto3; a signature
        is old after 5 minutes. Raises ``UsageError`` for an emulator behind TLS.
        """
        url = urlsplit(self.addresses.sagemaker.rstrip("/"))
        if url.scheme != "http" or url.hostname is None:
            raise UsageError(
                f"{self.addresses.sagemaker} is not reached by plain HTTP.",
                remedy=f"Set {SAGEMAKER} to the emulator itself, like http://127.0.0.1:8800.",
            )
        path = f"{url.path}/endpoints/{quote(endpoint)}/invocations"
        asked = AWSRequest("POST", f"http://{url.netloc}{path}", headers=dict(headers), data=body)
        keys = _keys("sagemaker", self._env)
        credentials = Credentials(
            keys["aws_access_key_id"],
            keys["aws_secret_access_key"],
            keys.get("aws_session_token"),
        )
        SigV4Auth(credentials, "sagemaker", self.addresses.region).add_auth(asked)
        whole = wire.request("POST", path, host=url.netloc, body=body, headers=dict(asked.headers))
        return (url.hostname, url.port or 80), whole

    # --- S3 --------------------------------------------------------------------------------------

    def s3(self, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        """An operation of boto3's `s3` client, by its Python name: None for what is not there."""
        return self._find("s3", operation, parameters)

    def ensure_bucket(self, bucket: str) -> bool:
        """Make it unless it is there; whether it was made."""
        if self.s3("head_bucket", Bucket=bucket) is not None:
            return False
        where = {"LocationConstraint": self.addresses.region}
        outside = self.addresses.region != "us-east-1"  # which must not be named
        more = {"CreateBucketConfiguration": where} if outside else {}
        self._call("s3", "create_bucket", {"Bucket": bucket, **more})
        return True

    def upload(self, path: Path, bucket: str, key: str) -> bool:
        """A file, unless an object of its size is there; whether it was sent.

        Keys that name the content by its sum make the size enough.
        """
        head = self.s3("head_object", Bucket=bucket, Key=key)
        if head is not None and head["ContentLength"] == path.stat().st_size:
            return False
        with path.open("rb") as file, _translated(f"put_object s3://{bucket}/{key}"):
            self._client("s3").put_object(Bucket=bucket, Key=key, Body=file)
        return True

    # --- what only the lab has -------------------------------------------------------------------

    def healthy(self) -> bool:
        try:
            return self._http.get("/_lab/health", timeout=_CONNECT_S).is_success
        except httpx.HTTPError:
            return False

    def logs(self, endpoint: str, *, lines: int, follow: bool) -> Iterator[str]:
        """The last lines of its containers, and with ``follow`` those to come."""
        asked = {"lines": str(lines), "follow": "true" if follow else "false"}
        path = _path(endpoint, "logs")
        # Nothing may come for hours.
        patience = httpx.Timeout(_READ_S, read=None) if follow else httpx.Timeout(_READ_S)
        with (
            self._asked(path),
            self._http.stream("GET", path, params=asked, timeout=patience) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise _refused(path, answer)
            yield from answer.iter_lines()

    def servers(self, endpoint: str) -> Sequence[Mapping[str, Any]]:
        path = _path(endpoint, "servers")
        rows: Sequence[Mapping[str, Any]] = self._private("GET", path).json()
        return rows

    def pool(self, endpoint: str) -> Mapping[str, int | None]:
        """``serving``, ``waiting`` (requests, for a container) and ``memory_bytes``."""
        found: Mapping[str, int | None] = self._private("GET", _path(endpoint, "pool")).json()
        return found

    def changes(self) -> Mapping[str, Sequence[str]]:
        """By endpoint, in words, what it was deployed with and its names mean no more."""
        found: Mapping[str, Sequence[str]] = self._private("GET", "/_lab/changes").json()
        return found

    def scale_to_zero(self, endpoint: str) -> None:
        """Drop its idle serverless containers, so that the next request is a cold start."""
        self._private("POST", _path(endpoint, "scale-to-zero"))

    def give_up(self, endpoint: str) -> None:
        """Wait no longer for containers of it that are not ready: it fails, or rolls back."""
        self._private("POST", _path(endpoint, "give-up"))

    def metrics(self) -> str:
        """CloudWatch's metrics as the emulator counts them, in Prometheus's format."""
        return self._private("GET", "/metrics").text

    def _private(self, method: str, path: str) -> httpx.Response:
        with self._asked(path):
            answer = self._http.request(method, path)
        if answer.is_error:
            raise _refused(path, answer)
        return answer

    @contextmanager
    def _asked(self, path: str) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise EndpointError(
                f"{self.addresses.sagemaker}{path} does not answer: {without_numbers(str(error))}.",
                remedy="Start the lab: `lab up`.",
            ) from error

    def _call(
        self, service: str, operation: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        with _translated(operation):
            answer: Mapping[str, Any] = getattr(self._client(service), operation)(**parameters)
        return answer

    def _find(
        self, service: str, operation: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        try:
            return self._call(service, operation, parameters)
        except EndpointError as error:
            if isinstance(error.__cause__, ClientError) and is_absent(error.__cause__):
                return None
            raise

    def _client(self, service: str) -> Any:
        if service not in self._made:
            with _translated(service):
                self._made[service] = self._make(service)
        return self._made[service]

    def _make(self, service: str) -> Any:
        if service == "s3":
            checked(self.addresses.s3, S3)
        # Without the user's profile: a look-alike needs none, and a missing one must not matter.
        bare = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        session = boto3.Session(botocore_session=bare, **_keys(service, self._env))
        return session.client(
            service,
            endpoint_url=self.addresses.s3 if service == "s3" else self.addresses.sagemaker,
            region_name=self.addresses.region,
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                # Traffic comes from many threads.
                max_pool_connections=64,
                # What is throttled here is to be seen, not hidden.
                retries={"mode": "standard", "total_max_attempts": 1},
                proxies={},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@contextmanager
def running() -> Iterator[EmulatorClient]:
    """The emulator of ``lab up``. Raises ``EndpointError`` when none was started here."""
    addresses = Addresses.find()
    if addresses is None:
        raise EndpointError("No emulator is known here.", remedy="Start the lab: `lab up`.")
    with closing(EmulatorClient(addresses)) as client:
        yield client


def _keys(service: str, env: Mapping[str, str]) -> Mapping[str, str]:
    """The key that the emulator checks, if it was given one; else the user's, else any."""
    emulator = ("LAB_ACCESS_KEY_ID", "LAB_SECRET_ACCESS_KEY")
    user = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for key, secret in (user,) if service == "s3" else (emulator, user):
        if env.get(key) and env.get(secret):
            found = {"aws_access_key_id": env[key], "aws_secret_access_key": env[secret]}
            token = env.get("AWS_SESSION_TOKEN") if key.startswith("AWS") else None
            return {**found, "aws_session_token": token} if token else found
    return {"aws_access_key_id": _DUMMY, "aws_secret_access_key": _DUMMY}


@contextmanager
def _translated(operation: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        what = f"{operation}: {details.get('Code')}: {details.get('Message')}"
        original = error.response.get("OriginalMessage")
        raise EndpointError(
            f"{what}\n{original}" if original else what,
            code=str(details.get("Code", "")),
            model_status=error.response.get("OriginalStatusCode"),
        ) from error
    except BotoCoreError as error:
        raise EndpointError(
            f"{operation}: {error}.".replace("..", "."), remedy="Start the lab: `lab up`."
        ) from error


def _path(endpoint: str, what: str) -> str:
    if "/" in endpoint:
        raise EndpointError(f"{endpoint!r} is no endpoint's name: that has letters, digits and -.")
    return f"/_lab/endpoints/{quote(endpoint)}/{what}"


def _refused(path: str, answer: httpx.Response) -> EndpointError:
    try:
        return EndpointError(str(answer.json()["message"]))
    except (ValueError, KeyError, TypeError):
        said = answer.text.strip() or "no reason"
        return EndpointError(f"{path}: {answer.status_code}: {said}")
