"""The services of ``compose.yaml`` and where they are published: known to those who start them and
to those who only look for them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lab.errors import UsageError

PROJECT: Final = os.environ.get("LAB_PROJECT") or "inference-lab"
"""In front of every name that the stack and its registry have on an engine: with another one, and
other ports, a second lab runs beside the first."""

ISOLATED_NETWORK: Final = f"{PROJECT}-isolated"
"""Of containers that are to reach nobody."""

LOOPBACK: Final = "127.0.0.1"
_PORTS: Final = range(1, 65536)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of ``compose.yaml``."""

    name: str
    variable: str
    """Of the environment: its port on 127.0.0.1."""
    default_port: int
    ready: str
    """A path that answers once it is ready."""
    what: str

    def port(self, env: Mapping[str, str] = os.environ) -> int:
        """Where it is published. Raises ``UsageError`` for what is no port."""
        said = env.get(self.variable)
        if not said:
            return self.default_port
        if not said.isdecimal() or int(said) not in _PORTS:
            raise UsageError(
                f"{self.variable}={said} is no port.", remedy="Set it to a number up to 65535."
            )
        return int(said)

    def url(self, env: Mapping[str, str] = os.environ) -> str:
        """Its address for programs on this machine. Raises ``UsageError`` as ``port`` does."""
        return f"http://{LOOPBACK}:{self.port(env)}"

    def address(self, env: Mapping[str, str] = os.environ) -> str:
        """The same for those who may find nobody there: a port that is none is found so later."""
        return f"http://{LOOPBACK}:{env.get(self.variable) or self.default_port}"


SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {
        service.name: service
        for service in (
            Service(
                name="endpoint",
                variable="LAB_ENDPOINT_PORT",
                default_port=8800,
                ready="/_lab/health",
                what="SageMaker and its runtime",
            ),
            Service(
                name="s3",
                variable="LAB_S3_PORT",
                default_port=9000,
                ready="/moto-api/",
                what="S3; forgets when it stops",
            ),
            Service(
                name="registry",
                variable="LAB_REGISTRY_PORT",
                default_port=5050,
                ready="/v2/",
                what="images and archives for cold hosts",
            ),
            Service(
                name="prometheus",
                variable="LAB_PROMETHEUS_PORT",
                default_port=9090,
                ready="/-/ready",
                what="metrics",
            ),
            Service(
                name="pushgateway",
                variable="LAB_PUSHGATEWAY_PORT",
                default_port=9091,
                ready="/-/ready",
                what="figures of short-lived programs",
            ),
            Service(
                name="grafana",
                variable="LAB_GRAFANA_PORT",
                default_port=3000,
                ready="/api/health",
                what="dashboards",
            ),
        )
    }
)


@dataclass(frozen=True, kw_only=True)
class Started:
    """A service as ``lab up`` leaves it."""

    service: Service
    url: str | None
    """None when it does not run."""
    origin: str
    """What it was made from, or why it does not run."""
