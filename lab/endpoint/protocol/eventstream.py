"""``application/vnd.amazon.eventstream``: the frames that a streamed answer comes in.

The layout is in AWS's own words in botocore's ``eventstream.py``: two lengths, a checksum of both,
headers, payload, and a checksum of all before it; numbers are big-endian.
"""

import json
import random
import struct
import zlib
from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"

_STRING: Final = 7
_LARGEST_PART: Final = 65536
_SMALLEST_CUT: Final = 1


@unique
class StreamCode(StrEnum):
    """``ErrorCode`` of a ``ModelStreamError``."""

    TIME_EXCEEDED = "ModelInvocationTimeExceeded"
    BROKEN = "StreamBroken"


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. All headers are strings."""
    block = b"".join(_header(name, value) for name, value in headers.items())
    total = 4 + 4 + 4 + len(block) + len(payload) + 4
    prelude = struct.pack(">II", total, len(block))
    begun = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def payload_part(data: bytes) -> bytes:
    """A ``PayloadPart``: some of the model's bytes."""
    return frame(
        {
            ":message-type": "event",
            ":event-type": "PayloadPart",
            ":content-type": "application/octet-stream",
        },
        data,
    )


def model_stream_error(message: str, code: StreamCode) -> bytes:
    """The model broke off; nothing follows."""
    return _exception("ModelStreamError", {"Message": message, "ErrorCode": code.value})


def internal_stream_failure(message: str) -> bytes:
    """The platform broke off; nothing follows."""
    return _exception("InternalStreamFailure", {"Message": message})


class Rechunker:
    """Cuts a stream anew, at random, so that no client learns to rely on where the model cut.

    On AWS parts are not aligned with what the model sent: a part may hold half an event, or one
    and a half. Some of each chunk is held back for the next one; ``flush`` gives it up.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._held = b""

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Parts to send now; their order and content are the stream's."""
        rest = self._held + data
        parts = []
        while len(rest) > _SMALLEST_CUT:
            cut = self._rng.randint(_SMALLEST_CUT, min(len(rest), _LARGEST_PART))
            parts.append(rest[:cut])
            rest = rest[cut:]
            if self._rng.random() < 0.5:
                break
        # What is held back must stay small however large the chunk was.
        while len(rest) > _LARGEST_PART:
            parts.append(rest[:_LARGEST_PART])
            rest = rest[_LARGEST_PART:]
        self._held = rest
        return parts

    def flush(self) -> list[bytes]:
        held, self._held = self._held, b""
        return [held] if held else []


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text


def _exception(kind: str, body: Mapping[str, str]) -> bytes:
    return frame(
        {
            ":message-type": "exception",
            ":exception-type": kind,
            ":content-type": "application/json",
        },
        json.dumps(body).encode(),
    )
