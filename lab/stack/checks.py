"""What ``lab up`` wants of a machine beyond what the benches want."""

import os
from collections.abc import Mapping, Sequence

import httpx

from lab import tls
from lab.engine.doctor.findings import CheckResult, DoctorCheck, degraded, ok
from lab.engine.install.locate import search
from lab.errors import LabError
from lab.services import SERVICES, Service
from lab.stack import ports
from lab.stack.compose import socket_of

_SHORT_S = 1.0


def checks() -> Sequence[DoctorCheck]:
    """The checks of this module."""
    return [
        DoctorCheck(name="make up: ports", look=stack_ports),
        DoctorCheck(name="make up: engine", look=reachable_engine),
    ]


def stack_ports(env: Mapping[str, str] = os.environ) -> CheckResult:
    """Whether the stack's ports are free, or held by the stack itself."""
    held, faults = [], []
    for service in SERVICES.values():
        port = service.port(env)
        if not ports.taken(port):
            continue
        if _is_ours(service, env):
            held.append(f"{service.name} {port}")
        else:
            who = ports.holder(port)
            faults.append(f"{port} of {service.name}{f' by {who}' if who else ''}")
    if faults:
        variables = ", ".join(service.variable for service in SERVICES.values())
        return degraded(f"taken: {', '.join(faults)}", f"Choose others with {variables}.")
    free = ", ".join(str(service.port(env)) for service in SERVICES.values())
    return ok(f"runs: {', '.join(held)}" if held else f"{free} are free")


def reachable_engine() -> CheckResult:
    """Whether the emulator can share the engine's socket and a folder with it."""
    found = search().found
    if found is None:
        return ok("none answers yet: `lab up` starts one, or the services as processes")
    try:
        return ok(f"shares {socket_of(found.address)} with the emulator")
    except LabError as error:
        return degraded(error.what, error.remedy)


def _is_ours(service: Service, env: Mapping[str, str]) -> bool:
    """Whether what listens there answers as the service would: to tell a person, no more."""
    try:
        return httpx.get(
            f"{service.url(env)}{service.ready}",
            timeout=_SHORT_S,
            verify=tls.context(),
            trust_env=False,
        ).is_success
    except httpx.HTTPError:
        return False
