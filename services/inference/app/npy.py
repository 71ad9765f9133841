"""NumPy's file format without NumPy: enough to read images and to write probabilities.

Only plain numbers in C order are read, so nothing in a file can run code or make this program
reserve more memory than the file itself takes.
"""

import re
import sys
from array import array

from .errors import RequestError

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 4096
_LEAST = 12
_VERSIONS = (1, 2, 3)
_ITEM = {
    "u1": "B", "i1": "b", "b1": "",
    "u2": "H", "i2": "h", "u4": "I", "i4": "i", "u8": "Q", "i8": "q",
    "f4": "f", "f8": "d",
}  # fmt: skip
_DESCR = re.compile(r"'descr':\s*'([<>|=])([a-z][0-9]{1,2})'")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([0-9 ,]*)\)")


def read(body: bytes) -> tuple[tuple[int, ...], bytes]:
    """Shape and pixels (uint8) of an array file; raises ``RequestError`` 400.

    Numbers of other types than uint8 are rounded, and refused outside 0 to 255.
    """
    shape, kind, swapped, start = _header(body)
    data = memoryview(body)[start:]
    count = 1
    for size in shape:
        count *= size
    width = int(kind[1:])
    if count * width != len(data):
        raise RequestError(
            400, f"The array's header promises {count * width} bytes of data, {len(data)} came."
        )
    if kind == "u1":
        return shape, bytes(data)
    numbers = array(_ITEM[kind])
    numbers.frombytes(data)
    if swapped:
        numbers.byteswap()
    return shape, to_bytes(numbers)


def to_bytes(numbers: "array[int] | array[float] | list[object]") -> bytes:
    """Numbers from 0 to 255 as bytes, rounded; raises ``RequestError`` 400 for any other."""
    try:
        return bytes(map(round, numbers))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(400, "Pixels must be numbers from 0 to 255.") from error


def write(probabilities: bytes, rows: int, columns: int) -> bytes:
    """An array file of float32 (this machine's byte order), [rows, columns]."""
    order = "<" if sys.byteorder == "little" else ">"
    text = f"{{'descr': '{order}f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    # The data begins at a multiple of 64, after magic (6), version (2) and length (2).
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return _MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + probabilities


def _header(body: bytes) -> tuple[tuple[int, ...], str, bool, int]:
    """Shape, type without byte order, whether to swap bytes, and where the data begins."""
    if not body.startswith(_MAGIC) or len(body) < _LEAST:
        raise RequestError(400, "The body is not an array file (numpy.save writes one).")
    wide = body[6] != 1  # version 2 and later have a header length of 4 bytes
    start = 12 if wide else 10
    length = int.from_bytes(body[8:start], "little")
    if body[6] not in _VERSIONS or length > _MAX_HEADER or start + length > len(body):
        raise RequestError(400, "The array file's header is damaged.")
    text = body[start : start + length].decode("latin-1")
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if descr is None or order is None or shape is None:
        raise RequestError(400, "The array must hold plain numbers, with a shape.")
    mark, kind = descr.groups()
    if not _ITEM.get(kind):
        raise RequestError(400, f"Arrays of type {kind} are not taken: use uint8 or float32.")
    if order[1] == "True":
        raise RequestError(
            400, "The array is in Fortran order: save numpy.ascontiguousarray of it."
        )
    sizes = tuple(int(size) for size in shape[1].split(",") if size.strip())
    native = "<" if sys.byteorder == "little" else ">"
    return sizes, kind, mark in "<>" and mark != native, start + length
