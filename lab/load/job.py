"""What a sender is told to do, as the file that starts it; and what it says while it does it.

Only the standard library: the sender is a process of its own that imports next to nothing.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

COLUMNS: Final = (
    "number",
    "sitting",
    "intended_s",
    "sent_s",
    "first_byte_s",
    "done_s",
    "status",
    "cold",
    "payload",
    "sent_bytes",
    "received_bytes",
    "error",
)
"""Of ``requests.csv``; seconds from the beginning of the schedule.

``status`` is 0 where no answer came, and the model's own in a ``ModelError``; ``cold`` is empty
where nothing tells, ``error`` AWS's code or what went wrong. In a closed loop ``intended_s`` is
``sent_s``.
"""

THROTTLED: Final = "ThrottlingException"
"""AWS's code, in ``error``, of what was turned away above the limit of concurrency."""
THROTTLED_STATUS: Final = 429
MODEL_ERROR: Final = "ModelError"
"""AWS's code of an answer that holds what the model itself answered, or that it did not."""


def model_status(status: int, original: object) -> int:
    """The status of a ``ModelError``: ``OriginalStatusCode``, 0 where the model gave no answer.

    The error's own where the model answered well, and the platform would not pass that on.
    """
    return original if isinstance(original, int) and not 200 <= original < 300 else status


def model_status_of(status: int, body: bytes) -> int:
    """The same from the error as it came over the wire."""
    try:
        return model_status(status, json.loads(body)["OriginalStatusCode"])
    except (ValueError, KeyError, TypeError):
        return status


CHOICES: Final = 4096


def choices(weights: Sequence[float], seed: int) -> Sequence[int]:
    """Which payload each request carries, by its number modulo ``CHOICES``."""
    return random.Random(seed).choices(range(len(weights)), weights=weights, k=CHOICES)


def row(  # noqa: PLR0913 - its columns
    number: int,
    sitting: int,
    *,
    intended_s: float,
    sent_s: float,
    done_s: float,
    first_byte_s: float = 0.0,
    status: int = 0,
    cold: bool | None = None,
    payload: int = 0,
    sent_bytes: int = 0,
    received_bytes: int = 0,
    error: str = "",
) -> str:
    """A line of ``requests.csv``."""
    first = f"{first_byte_s:.6f}" if first_byte_s else ""
    told = "" if cold is None else int(cold)
    words = " ".join(error.replace(",", ";").split())
    return (
        f"{number},{sitting},{intended_s:.6f},{sent_s:.6f},{first},{done_s:.6f},{status},{told},"
        f"{payload},{sent_bytes},{received_bytes},{words}\n"
    )


@dataclass(frozen=True, kw_only=True)
class ClosedPart:
    """A closed loop: ``clients`` that each send again ``pause_s`` after they are answered."""

    clients: int
    pause_s: float = 0.0
    requests: int | None = None
    """Of all clients together; None is until ``seconds`` are over."""
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class SenderJob:
    """Everything that a sender needs; paths are absolute."""

    host: str
    port: int
    prepared: Sequence[str]
    """Files that each hold a whole request as it goes over the wire. One that has changed is read
    again: a signature ages."""
    weights: Sequence[float]
    out: str
    """``requests.csv``, which is appended to."""
    instants: str | None = None
    """A file of doubles in the machine's order: seconds from the beginning. None is a closed loop,
    which ``closed`` describes."""
    closed: ClosedPart | None = None
    first: int = 0
    """The number of the first request to be sent: those before it were sent by earlier sittings."""
    sitting: int = 0
    seed: int = 0
    """Of which payload each request carries."""
    timeout_s: float = 60.0
    cold_header: str | None = None
    """Of an answer: for how many seconds it waited for a container that had to be started."""
    gone: str | None = None
    """A file that says, once it is there, what the target died of: what is left has then failed."""
    under_way: int = 4096
    """The most requests that may be under way at once."""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        closed = said.pop("closed")
        return cls(**said, closed=None if closed is None else ClosedPart(**closed))


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The first answer of a payload that was never answered well: 4xx."""

    payload: int
    status: int
    body: str
    """Its first characters."""


@dataclass(frozen=True, kw_only=True)
class SenderState:
    """A line that a sender prints: some times a second, and at its end."""

    began_at: float
    """Seconds since the epoch: the beginning of the schedule."""
    elapsed_s: float
    sent: int
    done: int
    throttled: int = 0
    failed: int = 0
    cold: int = 0
    overrun: int = 0
    """Requests that were not sent, because too many were under way."""
    cpu_s: float = 0.0
    """What the sender itself used."""
    priority: str = ""
    """Under which it ran: ``real time``, ``raised`` or ``normal``."""
    ended: str | None = None
    """Why it is over: ``done``, ``stopped``, ``refused``, ``behind`` or ``gone``."""
    refusal: Refusal | None = None

    def line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """None for a line that is something else: a warning of the interpreter's."""
        try:
            said = json.loads(line)
            refusal = said.pop("refusal")
        except (ValueError, KeyError, AttributeError, TypeError):
            return None
        known = {field.name for field in fields(cls)}
        if not said.keys() <= known:
            return None
        return cls(**said, refusal=None if refusal is None else Refusal(**refusal))
