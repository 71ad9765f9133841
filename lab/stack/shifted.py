"""Pictures unlike those that a model was tested on: too dark, or with hardly any contrast.

PNG is read and written here in its simplest form, which the models' own pictures have, for the tool
has no imaging library.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.errors import UsageError

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PLAIN: Final = (8, 2, 0, 0, 0)
"""8 bits, RGB, the only compression and filter method, not interlaced."""
_CHANNELS: Final = 3

Pixels = NDArray[np.uint8]


def dark(pixels: Pixels) -> Pixels:
    """As from a flash that hardly fired."""
    return (pixels * np.float32(0.35)).astype(np.uint8)


def flat(pixels: Pixels) -> Pixels:
    """As through a clouded lens: everything is drawn towards the mean."""
    mean = pixels.mean(dtype=np.float32)
    shifted: Pixels = (mean + (pixels - mean) * np.float32(0.3)).astype(np.uint8)
    return shifted


SHIFTS: Final[Sequence[Callable[[Pixels], Pixels]]] = (dark, flat)


def shifted(pictures: Sequence[Path]) -> Iterator[bytes]:
    """Each picture as PNG, by turns dark and flat. Raises ``UsageError``."""
    for path, shift in zip(pictures, cycle(SHIFTS), strict=False):
        yield write(shift(read(path)))


def read(path: Path) -> Pixels:
    """The pixels [height, width, 3]. Raises ``UsageError`` for any other kind of PNG."""
    data = path.read_bytes()
    chunks = list(_chunks(data)) if data.startswith(_SIGNATURE) else []
    if not chunks or len(chunks[0][1]) != struct.calcsize(">II5B"):
        raise UsageError(f"{path} is no PNG file.", remedy="Build the model again.")
    width, height, *form = struct.unpack(">II5B", chunks[0][1])
    if tuple(form) != _PLAIN:
        raise UsageError(f"{path} is no plain RGB picture.", remedy="Build the model again.")
    packed = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    stride = width * _CHANNELS
    above, rows = bytes(stride), []
    for row in range(height):
        at = row * (stride + 1)
        above = _unfiltered(packed[at], packed[at + 1 : at + 1 + stride], above)
        rows.append(above)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, _CHANNELS)


def write(pixels: Pixels) -> bytes:
    """A PNG file."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, width * _CHANNELS + 1), np.uint8)  # each begins with filter 0
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">II5B", width, height, *_PLAIN)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    """One row without its filter: what a byte was predicted to be is added to it."""
    if kind == 0:
        return line
    up = np.frombuffer(above, np.uint8)
    if kind == 2:
        return (np.frombuffer(line, np.uint8) + up).tobytes()
    done = bytearray(line)
    for at, byte in enumerate(line):
        left = done[at - _CHANNELS] if at >= _CHANNELS else 0
        corner = above[at - _CHANNELS] if at >= _CHANNELS else 0
        guess = (left, (left + above[at]) // 2, _paeth(left, above[at], corner))[max(kind - 2, 0)]
        done[at] = (byte + guess) & 0xFF
    return bytes(done)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    away = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
    return (left, up, corner)[away.index(min(away))]
