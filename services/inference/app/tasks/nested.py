"""Between nested lists, as JSON has them, and a tensor's bytes, without NumPy.

Numbers that JSON has no literals for are written as protocol buffers write them in JSON: the
strings "NaN", "Infinity" and "-Infinity". They are read in that form, and as Python's ``json``
writes them.
"""

import struct
from itertools import chain
from math import inf, isfinite, nan, prod

CODES = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i",
    "uint32": "I", "int64": "q", "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip
"""In the words of ``struct``. With "=" before it checks ranges, and 'e' is known to all Pythons."""

_DIGITS = {"float16": ".5g", "float32": ".9g", "float64": ""}
"""Enough to get the same number back."""
_STRINGS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
_WHOLE, _FLOAT = {int}, {int, float}
_NAMES = {bool: "a boolean", type(None): "null", str: "a string", dict: "an object", list: "a list"}


def flat(value: object, rank: int) -> tuple[tuple[int, ...], list[object]]:
    """Shape and elements, row by row, of lists that are nested ``rank`` deep at most.

    Raises ``ValueError`` that says where lists of one level differ in length.
    """
    level: list[object] = [value]
    shape: tuple[int, ...] = ()
    while len(shape) < rank and level and set(map(type, level)) == {list}:
        sizes = list(map(len, level))  # type: ignore[arg-type]
        if len(set(sizes)) > 1:
            odd = next(at for at, size in enumerate(sizes) if size != sizes[0])
            raise ValueError(
                f"{place(odd, shape)} has {sizes[odd]} elements, those before it {sizes[0]}"
            )
        level = list(chain.from_iterable(level))  # type: ignore[arg-type]
        shape = (*shape, sizes[0])
    return shape, level


def place(index: int, shape: tuple[int, ...]) -> str:
    """Where the element is that is the ``index``-th row by row, like ``[0][3]``."""
    places = []
    for size in reversed(shape):
        index, at = divmod(index, size)
        places.append(f"[{at}]")
    return "".join(reversed(places)) or "the value"


def pack(elements: "list[object]", dtype: str, shape: tuple[int, ...]) -> bytes:
    """The bytes of numbers (booleans, for ``bool``); raises ``ValueError`` that names the wrong."""
    kinds = set(map(type, elements))
    floating = dtype.startswith("float")
    if floating and str in kinds:
        elements = [_STRINGS.get(one, one) if type(one) is str else one for one in elements]
        kinds = set(map(type, elements))
    allowed = {bool} if dtype == "bool" else _FLOAT if floating else _WHOLE
    if kinds <= allowed:
        try:
            return struct.pack(f"={len(elements)}{CODES[dtype]}", *elements)
        except (struct.error, OverflowError):
            pass
    for at, one in enumerate(elements):
        if type(one) not in allowed:
            raise ValueError(f"{place(at, shape)} is {_NAMES.get(type(one)) or str(one)[:40]}")
        try:
            struct.pack(f"={CODES[dtype]}", one)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{place(at, shape)} is {str(one)[:40]}, out of range") from error
    raise AssertionError("one of them cannot be packed")


def unpack(data: bytes, dtype: str) -> "list[float]":
    """The numbers of a tensor, row by row."""
    width = struct.calcsize(f"={CODES[dtype]}")
    return list(struct.unpack(f"={len(data) // width}{CODES[dtype]}", data))


def short(numbers: "list[float]", dtype: str) -> "list[float]":
    """Floats with no more digits than tell them from each other."""
    digits = _DIGITS.get(dtype)
    return [float(format(one, digits)) for one in numbers] if digits else numbers


def lists(numbers: "list[float]", dtype: str, shape: tuple[int, ...]) -> object:
    """A tensor's numbers as nested lists, ready for JSON."""
    level: list[object] = list(short(numbers, dtype))
    if not all(map(isfinite, numbers)):
        level = [
            one if isfinite(number) else _name(number)
            for one, number in zip(level, numbers, strict=True)
        ]
    for depth in range(len(shape) - 1, 0, -1):
        size = shape[depth]
        level = [level[at * size : (at + 1) * size] for at in range(prod(shape[:depth]))]
    return level if shape else level[0]


def _name(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
