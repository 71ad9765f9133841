"""Requests to try on a model of which nothing is known."""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

_SIDE: Final = 224


def png(side: int) -> bytes:
    """A grey square: small, and what most image models take."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x7f" * 3 * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


CANDIDATES: Final[Sequence[tuple[bytes, str]]] = (
    (b'{"instances": [[0.0]]}', "application/json"),
    (b"{}", "application/json"),
    (b'{"inputs": "hello"}', "application/json"),
    (png(_SIDE), "image/png"),
    (b"0,0,0,0\n", "text/csv"),
    (b"hello", "text/plain"),
)
"""Bodies with their types, the likeliest first."""
