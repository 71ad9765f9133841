"""NumPy's file format without NumPy: enough to read and write arrays of plain numbers.

Only plain numbers in C order are read, so nothing in a file can run code or make this program
reserve more memory than the file itself takes.
"""

import re
import sys
from array import array
from math import prod

from .errors import RequestError

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 4096
_LEAST = 12
_VERSIONS = (1, 2, 3)
_KINDS = {
    "bool": "b1", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4",
    "uint32": "u4", "int64": "i8", "uint64": "u8", "float16": "f2", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
"""What a file calls each type of number."""
_TYPES = {kind: dtype for dtype, kind in _KINDS.items()}
_ITEM = {
    "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i", "u8": "Q", "i8": "q", "f4": "f",
    "f8": "d",
}  # fmt: skip
"""Numbers that pixels may come as, in the words of ``array``."""
_WORDS = {2: "H", 4: "I", 8: "Q"}
_DESCR = re.compile(r"'descr':\s*'([<>|=])([a-z][0-9]{1,2})'")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([0-9 ,]*)\)")


def read(body: bytes) -> tuple[tuple[int, ...], bytes]:
    """Shape and pixels (uint8) of an array file; raises ``RequestError`` 400.

    Numbers of other types than uint8 are rounded, and refused outside 0 to 255.
    """
    shape, dtype, data = read_any(body)
    if dtype == "uint8":
        return shape, data
    code = _ITEM.get(_KINDS[dtype])
    if code is None:
        raise RequestError(400, f"Arrays of {dtype} are not taken: use uint8 or float32.")
    numbers = array(code)
    numbers.frombytes(data)
    return shape, to_bytes(numbers)


def read_any(body: bytes) -> tuple[tuple[int, ...], str, bytes]:
    """Shape, type and numbers (in this machine's byte order) of an array file.

    Raises ``RequestError`` 400.
    """
    shape, kind, swapped, start = _header(body)
    data = body[start:]
    width = int(kind[1:])
    if prod(shape) * width != len(data):
        raise RequestError(
            400,
            f"The array's header promises {prod(shape) * width} bytes of data, {len(data)} came.",
        )
    if swapped and width > 1:
        words = array(_WORDS[width])
        words.frombytes(data)
        words.byteswap()
        data = words.tobytes()
    return shape, _TYPES[kind], data


def to_bytes(numbers: "array[int] | array[float] | list[object]") -> bytes:
    """Numbers from 0 to 255 as bytes, rounded; raises ``RequestError`` 400 for any other."""
    try:
        return bytes(map(round, numbers))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(400, "Pixels must be numbers from 0 to 255.") from error


def write(data: bytes, *shape: int, dtype: str = "float32") -> bytes:
    """An array file of ``data``, which is in this machine's byte order."""
    kind = _KINDS[dtype]
    order = "|" if kind[1] == "1" else "<" if sys.byteorder == "little" else ">"
    text = f"{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    # The data begins at a multiple of 64, after magic (6), version (2) and length (2).
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return _MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


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
    if kind not in _TYPES:
        raise RequestError(400, f"Arrays of type {kind} are not taken: use {', '.join(_KINDS)}.")
    if order[1] == "True":
        raise RequestError(
            400, "The array is in Fortran order: save numpy.ascontiguousarray of it."
        )
    sizes = tuple(int(size) for size in shape[1].split(",") if size.strip())
    native = "<" if sys.byteorder == "little" else ">"
    return sizes, kind, mark in "<>" and mark != native, start + length
