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
    default_port: int
    ready: str
    """A path that answers once it is ready."""
    what: str

    @property
    def variable(self) -> str:
        """Of the environment: its port on 127.0.0.1."""
        return f"LAB_{self.name.upper()}_PORT"

    def port(self, env: Mapping[str, str] = os.environ) -> int:
        """Where it is published. Raises ``UsageError`` for what is no port."""
        value = env.get(self.variable)
        if not value:
            return self.default_port
        if not value.isdecimal() or int(value) not in _PORTS:
            raise UsageError(
                f"{self.variable}={value} is not a port number.",
                remedy="Set it to a number up to 65535.",
            )
        return int(value)

    def url(self, env: Mapping[str, str] = os.environ) -> str:
        """Its address for programs on this machine. Raises ``UsageError`` as ``port`` does."""
        return f"http://{LOOPBACK}:{self.port(env)}"

    def address(self, env: Mapping[str, str] = os.environ) -> str:
        """The same for those who may find nobody there: a port that is none is found so later."""
        return f"http://{LOOPBACK}:{env.get(self.variable) or self.default_port}"


SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {
        name: Service(name=name, default_port=port, ready=ready, what=what)
        for name, port, ready, what in (
            ("endpoint", 8800, "/_lab/health", "SageMaker and its runtime"),
            ("s3", 9000, "/healthz", "S3, on disk"),
            ("registry", 5050, "/v2/", "images and archives for cold hosts"),
            ("prometheus", 9090, "/-/ready", "metrics"),
            ("pushgateway", 9091, "/-/ready", "figures of short-lived programs"),
            ("grafana", 3000, "/api/health", "dashboards"),
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
