"""What the endpoint bench measures on: endpoints of its own in a running emulator."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lab import wire
from lab.artifacts import archive
from lab.endpoint.client import EmulatorClient
from lab.endpoint.instances import LARGE
from lab.endpoint.records import Status
from lab.engine.api import ContainerSpec, Engine, Mount
from lab.errors import ContainerFailedError, EndpointError
from lab.spec import LABEL_OWNER, LABEL_ROLE, SERVERLESS_USER, EngineKind, Tier
from lab.start.serving import serving

CONCURRENCY: Final = 2
SMALL: Final = b'{"small": true}'

_VARIANT: Final = "AllTraffic"
_POLL_S: Final = 0.25
_READY_S: Final = 300.0
_TIMEOUT_S: Final = 70.0
_PROBE_S: Final = 0.01
_COUNTER: Final = 'lab_inference_requests_total{status="200"}'

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
    instance = {"InstanceType": LARGE[engine.facts().platform], "InitialInstanceCount": 1}
    limits = {"MemorySizeInMB": subject.memory_mb, "MaxConcurrency": CONCURRENCY}
    container = {"Image": subject.image, "ModelDataUrl": subject.model_data}
    with ExitStack() as stack:
        small = _endpoint(client, stack, "floor", {"Image": floor}, instance)
        real = _endpoint(client, stack, "real", container, instance)
        cold = _endpoint(client, stack, "cold", container, {"ServerlessConfig": limits})
        for name in (small, real, cold):
            described = _settled(client, name)
            if described["EndpointStatus"] != Status.IN_SERVICE:
                raise EndpointError(
                    f"{name} is {described['EndpointStatus']}: "
                    f"{described.get('FailureReason', 'it says no reason')}"
                )
        yield Stage(
            small=_targets(client, "small", small, SMALL, "application/json"),
            real=_targets(client, "real", real, subject.payload, subject.content_type),
            cold=_targets(client, "cold", cold, subject.payload, subject.content_type),
            concurrency=CONCURRENCY,
            scale_to_zero=lambda: client.scale_to_zero(cold),
            direct_start=lambda: _start(subject, engine),
            answered_by_containers=lambda: _answered(client, cold),
        )


def _endpoint(
    client: EmulatorClient,
    stack: ExitStack,
    what: str,
    container: Mapping[str, str],
    how: Mapping[str, Any],
) -> str:
    """An endpoint with its configuration and model; the stack deletes them, and waits for it."""
    name = f"bench-{os.getpid()}-{what}"

    def remove(operation: str, **parameters: Any) -> None:
        with suppress(EndpointError):
            client.call(operation, **parameters)
            if operation == "delete_endpoint":
                _settled(client, name)

    stack.callback(remove, "delete_model", ModelName=name)
    client.call(
        "create_model",
        ModelName=name,
        PrimaryContainer=container,
        ExecutionRoleArn=f"arn:aws:iam::{client.addresses.account}:role/inference-lab",
    )
    stack.callback(remove, "delete_endpoint_config", EndpointConfigName=name)
    variant = {"VariantName": _VARIANT, "ModelName": name, **how}
    client.call("create_endpoint_config", EndpointConfigName=name, ProductionVariants=[variant])
    stack.callback(remove, "delete_endpoint", EndpointName=name)
    client.call("create_endpoint", EndpointName=name, EndpointConfigName=name)
    return name


def _settled(client: EmulatorClient, name: str) -> Mapping[str, Any]:
    deadline = time.monotonic() + _READY_S
    passing = {Status.CREATING, Status.DELETING, Status.UPDATING}
    while time.monotonic() < deadline:
        described = client.find("describe_endpoint", EndpointName=name)
        if described is None:
            return {"EndpointStatus": "gone"}
        if described["EndpointStatus"] not in passing:
            return described
        time.sleep(_POLL_S)
    raise EndpointError(f"{name} did not settle within {_READY_S:g} s.")


def _targets(
    client: EmulatorClient, what: str, endpoint: str, body: bytes, content_type: str
) -> CallTargets:
    servers = client.servers(endpoint)
    if not servers:
        raise EndpointError(f"{endpoint} has no container, though it is in service.")
    address = _address(servers[0])
    headers = {"Content-Type": content_type}
    return CallTargets(
        what=what,
        direct=(
            address,
            wire.request("POST", "/invocations", host=address[0], body=body, headers=headers),
        ),
        emulator=lambda: client.signed(endpoint, body, headers),
        boto3=lambda: client.invoke(endpoint, body, content_type),
    )


def _start(subject: BenchSubject, engine: Engine) -> float:
    """As ``lab coldstart`` does it, under a serverless container's conditions."""
    processes = engine.kind is EngineKind.PROCESS
    tier, facts = Tier(memory_mb=subject.memory_mb), engine.facts()
    headers = {"Content-Type": subject.content_type}
    invocation = wire.request(
        "POST", "/invocations", host="localhost", body=subject.payload, headers=headers
    )
    begin = time.perf_counter()
    with archive.unpacked(subject.archive) as model:
        scratch = model.parent / "tmp"
        scratch.mkdir()
        scratch.chmod(0o1777)
        tmp = Mount(source=str(scratch), target="/tmp", read_only=False)  # noqa: S108
        spec = ContainerSpec(
            image=subject.image,
            model_dir=PurePosixPath(model),
            mounts=() if processes else (tmp,),
            labels={LABEL_ROLE: "endpoint-bench", LABEL_OWNER: f"endpoint-bench-{os.getpid()}"},
            publish=None,
            memory_bytes=tier.memory_bytes,
            cpus=None if tier.cpus is None else min(tier.cpus, float(facts.cpus)),
            user=None if processes else SERVERLESS_USER,
        )
        with (
            serving(engine, spec, within_s=_TIMEOUT_S, interval_s=_PROBE_S) as served,
            wire.connect(served.address, timeout_s=_TIMEOUT_S) as connection,
        ):
            answer = wire.exchange(connection, invocation)
            took = time.perf_counter() - begin
    if answer.status != 200:
        raise ContainerFailedError(f"A start by hand answered {answer.status} to its payload.")
    return took


def _answered(client: EmulatorClient, endpoint: str) -> int | None:
    """The sum of the containers' own counters; None if one has none."""
    total = 0
    for server in client.servers(endpoint):
        address = _address(server)
        try:
            with wire.connect(address, timeout_s=5) as connection:
                asked = wire.request("GET", "/metrics", host=address[0])
                page = wire.exchange(connection, asked).body.decode()
        except OSError:
            return None
        lines = [line for line in page.splitlines() if line.startswith(_COUNTER)]
        if not lines:
            return None
        total += int(float(lines[0].split()[-1]))
    return total


def _address(server: Mapping[str, Any]) -> Address:
    host, _, port = str(server["address"]).rpartition(":")
    return host, int(port)
