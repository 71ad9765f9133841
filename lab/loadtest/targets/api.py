"""What a runner asks of a target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lab.endpoint.runtime.headers import COLD
from lab.loadtest.record import TargetRecord

COLD_HEADER: Final = COLD
"""Of the emulator's answers: for how many seconds the request waited for a container that had to
be started; 0 where it did not."""


@dataclass(frozen=True, kw_only=True)
class LoadPayload:
    """A body and how often it is sent."""

    name: str
    body: bytes
    content_type: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class WireRoute:
    """A target that plain HTTP reaches."""

    address: tuple[str, int]
    prepare: Callable[[LoadPayload], bytes]
    """The whole request as it goes over the wire."""
    cold_header: str | None = None
    renew_s: float | None = None
    """After how many seconds requests must be prepared anew, since a signature ages."""


@dataclass(frozen=True, kw_only=True)
class CallAnswer:
    """What a call came to. ``status`` 0 is no answer; ``error`` AWS's code or the reason."""

    status: int
    received_bytes: int = 0
    cold: bool | None = None
    error: str = ""
    body: bytes = b""
    """Of a refusal, to be shown."""


@dataclass(frozen=True, kw_only=True)
class CallRoute:
    """A target that is called from threads: by the SDK, or over TLS."""

    call: Callable[[LoadPayload], CallAnswer]
    """From any thread; raises nothing that belongs to one request."""
    clients: int = 64
    """Threads: the most calls that are under way at once."""


class Target(Protocol):
    """Something that is ready to be loaded."""

    @property
    def record(self) -> TargetRecord:
        """What it is."""

    @property
    def route(self) -> WireRoute | CallRoute:
        """How it is reached."""

    def pool(self) -> tuple[int, int, int | None] | None:
        """Containers that serve, those that start, bytes of memory; None where it is not seen."""

    def containers(self) -> Sequence[str] | None:
        """The ids of those on this machine that serve; None where what serves cannot be told from
        other programs, of which then nothing is said.
        """

    def cause(self) -> str | None:
        """What it died of; None if it lives or nobody knows."""
