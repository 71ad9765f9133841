"""What the endpoint bench measures on: endpoints of its own in a running emulator."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab import wire
from lab.artifacts import archive
from lab.endpoint.client import EmulatorClient
from lab.endpoint.instances import LARGE
from lab.endpoint.records import Status
from lab.engine.api import ContainerSpec, Engine, Mount
from lab.errors import ContainerFailedError, EndpointError
from lab.spec import LABEL_OWNER, LABEL_ROLE, SERVERLESS_USER, EngineKind, Tier
from lab.start.priority import raised_priority
from lab.start.probe import probe

CONCURRENCY: Final = 2
SMALL: Final = b'{"small": true}'

_VARIANT: Final = "AllTraffic"
_POLL_S: Final = 0.25
_READY_S: Final = 300.0
_TIMEOUT_S: Final = 70.0
_PROBE_S: Final = 0.01
_COUNTER: Final = 'lab_inference_requests_total{status="200"}'
_OK: Final = 200

Address = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class BenchSubject:
    """A real image with its model: what the floor is compared with."""

    image: str
    model_data: str
    """``s3://`` of the archive, as the emulator reaches it."""
    archive: Path
    """The same on this machine, for starts by hand."""
    payload: bytes
    content_type: str
    memory_mb: int = 2048


@dataclass(frozen=True, kw_only=True)
class CallTargets:
    """An endpoint and a payload, and the ways of calling it."""

    what: str
    direct: tuple[Address, bytes]
    """Of its container, and the request as it goes over the wire."""
    emulator: Callable[[], tuple[Address, bytes]]
    """The same through the emulator; signed anew, for a signature ages."""
    boto3: Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that is measured."""

    small: CallTargets
    """The floor with a tiny payload."""
    real: CallTargets
    cold: CallTargets
    """Serverless; ``direct`` is meaningless here."""
    concurrency: int
    scale_to_zero: Callable[[], None]
    direct_start: Callable[[], float]
    """A fresh start by hand, to its first prediction; seconds."""
    answered_by_containers: Callable[[], int | None]
    """What the serverless endpoint's containers say that they answered, all together."""


@contextmanager
def staged(
    subject: BenchSubject, *, floor: str, client: EmulatorClient, engine: Engine
) -> Iterator[Stage]:
    """Make the endpoints, wait until they are in service, and delete them afterwards."""
    made = _Made(client, f"bench-{os.getpid()}")
    instance = {"InstanceType": LARGE[engine.facts().platform], "InitialInstanceCount": 1}
    try:
        small = made.endpoint("floor", {"Image": floor}, instance)
        container = {"Image": subject.image, "ModelDataUrl": subject.model_data}
        real = made.endpoint("real", container, instance)
        serverless = {
            "ServerlessConfig": {
                "MemorySizeInMB": subject.memory_mb,
                "MaxConcurrency": CONCURRENCY,
            }
        }
        cold = made.endpoint("cold", container, serverless)
        made.in_service((small, real, cold))
        caller = _Caller(client)
        with tempfile.TemporaryDirectory(prefix="inference-lab-") as folder:
            Path(folder).chmod(0o755)
            yield Stage(
                small=caller.called("small", small, SMALL, "application/json"),
                real=caller.called("real", real, subject.payload, subject.content_type),
                cold=caller.called("cold", cold, subject.payload, subject.content_type),
                concurrency=CONCURRENCY,
                scale_to_zero=lambda: client.scale_to_zero(cold),
                direct_start=lambda: _start(subject, engine, Path(folder)),
                answered_by_containers=lambda: _answered(client, cold),
            )
    finally:
        made.delete()


class _Made:
    """Endpoints, configurations and models under one prefix."""

    def __init__(self, client: EmulatorClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._names: list[str] = []

    def endpoint(self, what: str, container: Mapping[str, str], how: Mapping[str, Any]) -> str:
        name = f"{self._prefix}-{what}"
        self._names.append(name)
        self._client.call(
            "create_model",
            ModelName=name,
            PrimaryContainer=container,
            ExecutionRoleArn="arn:aws:iam::000000000000:role/inference-lab",
        )
        variant = {"VariantName": _VARIANT, "ModelName": name, **how}
        self._client.call(
            "create_endpoint_config", EndpointConfigName=name, ProductionVariants=[variant]
        )
        self._client.call("create_endpoint", EndpointName=name, EndpointConfigName=name)
        return name

    def in_service(self, names: Sequence[str]) -> None:
        for name in names:
            described = self._settled(name)
            if described["EndpointStatus"] != Status.IN_SERVICE:
                raise EndpointError(
                    f"{name} is {described['EndpointStatus']}: "
                    f"{described.get('FailureReason', 'it says no reason')}"
                )

    def delete(self) -> None:
        for operation in ("endpoint", "endpoint_config", "model"):
            member = "".join(word.capitalize() for word in operation.split("_")) + "Name"
            for name in self._names:
                with suppress(EndpointError):
                    self._client.call(f"delete_{operation}", **{member: name})
        for name in self._names:
            with suppress(EndpointError):
                self._settled(name)

    def _settled(self, name: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + _READY_S
        passing = {Status.CREATING, Status.DELETING, Status.UPDATING}
        while time.monotonic() < deadline:
            described = self._client.find("describe_endpoint", EndpointName=name)
            if described is None:
                return {"EndpointStatus": "gone"}
            if described["EndpointStatus"] not in passing:
                return described
            time.sleep(_POLL_S)
        raise EndpointError(f"{name} did not settle within {_READY_S:g} s.")


class _Caller:
    """Prepares requests for one emulator."""

    def __init__(self, client: EmulatorClient) -> None:
        self._client = client
        self._base = client.addresses.sagemaker.rstrip("/")
        self._region = client.addresses.region
        parts = urlsplit(self._base)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)

    def called(self, what: str, endpoint: str, body: bytes, content_type: str) -> CallTargets:
        headers = {"Content-Type": content_type}
        address = self._container(endpoint)
        direct = wire.request("POST", "/invocations", host=address[0], body=body, headers=headers)
        return CallTargets(
            what=what,
            direct=(address, direct),
            emulator=lambda: (self._address, self._signed(endpoint, body, headers)),
            boto3=lambda: self._client.invoke(endpoint, body, content_type),
        )

    def _container(self, endpoint: str) -> Address:
        servers = self._client.servers(endpoint)
        if not servers:
            raise EndpointError(f"{endpoint} has no container, though it is in service.")
        host, _, port = str(servers[0]["address"]).rpartition(":")
        return host, int(port)

    def _signed(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Signed as boto3 would, so that the emulator does for it what it does for boto3."""
        path = f"/endpoints/{endpoint}/invocations"
        request = AWSRequest("POST", f"{self._base}{path}", headers=dict(headers), data=body)
        key = os.environ.get("LAB_ACCESS_KEY_ID") or "test"
        secret = os.environ.get("LAB_SECRET_ACCESS_KEY") or "test"
        SigV4Auth(Credentials(key, secret), "sagemaker", self._region).add_auth(request)
        host = urlsplit(self._base).netloc
        return wire.request("POST", path, host=host, body=body, headers=dict(request.headers))


def _start(subject: BenchSubject, engine: Engine, folder: Path) -> float:
    """As ``lab coldstart`` does it, under a serverless container's conditions."""
    processes = engine.kind is EngineKind.PROCESS
    tier, facts = Tier(memory_mb=subject.memory_mb), engine.facts()
    work = Path(tempfile.mkdtemp(dir=folder))
    work.chmod(0o755)
    scratch = work / "tmp"
    scratch.mkdir()
    scratch.chmod(0o1777)
    begin = time.perf_counter()
    archive.extract(subject.archive, work / "model")
    spec = ContainerSpec(
        image=subject.image,
        model_dir=PurePosixPath(work / "model"),
        mounts=() if processes else (Mount(source=str(scratch), target="/tmp", read_only=False),),  # noqa: S108
        labels={LABEL_ROLE: "endpoint-bench", LABEL_OWNER: f"endpoint-bench-{os.getpid()}"},
        publish=None,
        memory_bytes=tier.memory_bytes,
        cpus=None if tier.cpus is None else min(tier.cpus, float(facts.cpus)),
        user=None if processes else SERVERLESS_USER,
    )
    container = engine.create(spec)
    try:
        container.start()
        address = container.address()
        with raised_priority():
            seen = probe(
                address,
                interval_s=_PROBE_S,
                give_up_at=time.monotonic() + _TIMEOUT_S,
                gone=lambda: False,
            )
        if seen.ready_ns is None:
            raise ContainerFailedError(f"A start by hand did not get ready: {seen.last_answer}.")
        headers = {"Content-Type": subject.content_type}
        request = wire.request(
            "POST", "/invocations", host=address[0], body=subject.payload, headers=headers
        )
        with wire.connect(address, timeout_s=_TIMEOUT_S) as connection:
            answer = wire.exchange(connection, request)
        took = time.perf_counter() - begin
        if answer.status != _OK:
            raise ContainerFailedError(f"A start by hand answered {answer.status} to its payload.")
        return took
    finally:
        container.remove()
        shutil.rmtree(work, ignore_errors=True)


def _answered(client: EmulatorClient, endpoint: str) -> int | None:
    """The sum of the containers' own counters; None if one has none."""
    total = 0
    for server in client.servers(endpoint):
        host, _, port = str(server["address"]).rpartition(":")
        request = wire.request("GET", "/metrics", host=host)
        try:
            with wire.connect((host, int(port)), timeout_s=5) as connection:
                page = wire.exchange(connection, request).body.decode()
        except OSError:
            return None
        lines = [line for line in page.splitlines() if line.startswith(_COUNTER)]
        if not lines:
            return None
        total += int(float(lines[0].split()[-1]))
    return total
