"""An endpoint of the emulator, over the wire and signed as an SDK would."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from lab.endpoint.client import EmulatorClient
from lab.endpoint.instances import Machine
from lab.endpoint.protocol.sigv4 import SKEW_S
from lab.errors import EndpointError, UsageError
from lab.host import memory_bytes, this_machine, usable_cpus
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.targets.api import COLD_HEADER, LoadPayload, WireRoute
from lab.loadtest.targets.sizes import Size
from lab.loadtest.targets.url import reached

RENEW_S: Final = SKEW_S / 3
"""A signature is old after 5 minutes: long before that requests are signed anew."""

_ANSWERING: Final = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack"})


@dataclass(frozen=True, kw_only=True)
class EndpointTarget:
    """What it does meanwhile is asked of the emulator itself."""

    record: TargetRecord
    route: WireRoute
    _client: EmulatorClient

    def pool(self) -> tuple[int, int, int | None]:
        """Containers that serve, requests that wait for one, and bytes of memory."""
        seen = self._client.pool(self.record.name)
        return seen["serving"] or 0, seen["waiting"] or 0, seen["memory_bytes"]

    def containers(self) -> None:
        """The emulator works for it, too, and is no container of the endpoint's."""

    def cause(self) -> str | None:
        """Why it is not in service, or its containers have to be started again and again."""
        try:
            seen = self._client.find("describe_endpoint", EndpointName=self.record.name)
        except EndpointError as error:
            return error.what
        if seen is None:
            return f"There is no endpoint {self.record.name} any more."
        if seen.get("FailureReason"):
            return str(seen["FailureReason"])
        return next(iter(self._client.troubles(seen)), None)


@contextmanager
def endpoint_target(client: EmulatorClient, name: str) -> Iterator[EndpointTarget]:
    """One that is in service. Raises ``UsageError`` naming those there are."""
    described = client.find("describe_endpoint", EndpointName=name)
    if described is None:
        known = ", ".join(str(row["EndpointName"]) for row in client.endpoints())
        raise UsageError(
            f"The emulator has no endpoint {name}.",
            remedy=f"Choose from {known}." if known else "Make one, or start the lab: `lab up`.",
        )
    refuse_what_does_not_answer(described)
    config = client.find(
        "describe_endpoint_config", EndpointConfigName=described["EndpointConfigName"]
    )
    record = record_of(described, config, kind=TargetKind.ENDPOINT)
    if record.size is not None:
        here = Machine(
            cpus=usable_cpus(), memory_bytes=memory_bytes()["MemTotal"], platform=this_machine()
        )
        given = Size.parse(record.size).capped(here)
        emulated = any(row["emulated"] for row in client.servers(name))
        record = record.model_copy(
            update={
                "cpus": given.compute.cpus,
                "notes": (*record.notes, *given.notes),
                "emulated": emulated,
            }
        )

    def prepare(payload: LoadPayload) -> bytes:
        return client.signed(name, payload.body, {"Content-Type": payload.content_type})[1]

    (host, port), _ = client.signed(name, b"", {})
    route = WireRoute(
        address=reached(host, port),
        prepare=prepare,
        cold_header=COLD_HEADER,
        renew_s=RENEW_S,
    )
    yield EndpointTarget(record=record, route=route, _client=client)


def refuse_what_does_not_answer(described: Mapping[str, Any]) -> None:
    """Raises ``EndpointError`` with the status, ``UsageError`` for an asynchronous endpoint."""
    name, status = described["EndpointName"], described["EndpointStatus"]
    if described.get("AsyncInferenceConfig"):
        raise UsageError(
            f"{name} answers asynchronously: nobody waits for its answers.",
            remedy="Load an endpoint that is real time or serverless.",
        )
    if status not in _ANSWERING:
        why = described.get("FailureReason")
        raise EndpointError(
            f"{name} is {status}{f': {why}' if why else ''}.",
            remedy="Wait until it is in service, or see what `lab endpoint logs` shows.",
        )


def record_of(
    described: Mapping[str, Any], config: Mapping[str, Any] | None, *, kind: TargetKind
) -> TargetRecord:
    """From what ``DescribeEndpoint`` and ``DescribeEndpointConfig`` answer, the latter if it is
    still there.
    """
    variants: Sequence[Mapping[str, Any]] = (config or {}).get("ProductionVariants", ())
    first = variants[0] if variants else {}
    serverless: Mapping[str, Any] = first.get("ServerlessConfig", {})
    size = _size(str(serverless.get("MemorySizeInMB") or first.get("InstanceType")))
    running: Sequence[Mapping[str, Any]] = described.get("ProductionVariants", ())
    deployed: Sequence[Mapping[str, str]] = (running[0] if running else {}).get(
        "DeployedImages", ()
    )
    image = deployed[0] if deployed else {}
    several = f"It has {len(variants)} variants; the size is that of the first."
    return TargetRecord(
        kind=kind,
        name=str(described["EndpointName"]),
        image=image.get("SpecifiedImage"),
        image_digest=image.get("ResolvedImage", "").partition("@")[2] or None,
        model=first.get("ModelName"),
        platform=size and size.platform,
        size=size and size.name,
        memory_mb=size and size.memory_mb,
        cpus=size and size.cpus,
        max_concurrency=serverless.get("MaxConcurrency"),
        serverless=bool(serverless),
        notes=(several,) if len(variants) > 1 else (),
    )


def _size(text: str) -> Size | None:
    """None for an instance type that is newer than the lab's table."""
    try:
        return Size.parse(text)
    except UsageError:
        return None
