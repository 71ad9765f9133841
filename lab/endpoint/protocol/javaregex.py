r"""Java's regular expressions, in which AWS writes its patterns, as Python's.

Python's ``re`` lacks ``\p{...}`` and ``\z``, and means more by ``\d``, ``\w``, ``\s`` and ``$``.
"""

import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Callable
from typing import Final

_POSIX: Final = {
    "ASCII": r"\x00-\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
    "Graph": r"\x21-\x7e",
    "Print": r"\x20-\x7e",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "Space": r"\x20\t\n\x0b\f\r",
}
# One token: an escape, a class's opening or end, or any other character.
_TOKEN: Final = re.compile(r"\\p\{(\w+)\}|\\u([0-9a-fA-F]{4})|\\.|\[\^?|.", re.DOTALL)
_NOT_A_LINE_END: Final = "[^\n\r\u0085\u2028\u2029]"
_HIGH: Final = 0xD800
_AFTER: Final = 0xE000


@functools.cache
def matcher(pattern: str) -> Callable[[str], bool] | None:
    """Whether all of a string matches, as ``String.matches``; None for what has no translation."""
    try:
        compiled = re.compile(_translated(pattern), re.ASCII)
    except (re.error, KeyError, OverflowError, RecursionError):
        return None
    return lambda value: compiled.fullmatch(value) is not None


def _translated(pattern: str) -> str:
    parts: list[str] = []
    inside = False
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token.group(1) is not None:
            members = _POSIX.get(token.group(1)) or _category(token.group(1))
            text = members if inside else f"[{members}]"
        elif token.group(2) is not None and _HIGH <= int(token.group(2), 16) < _AFTER:
            # Java spells the characters above U+FFFF as two halves.
            raise KeyError(text)
        elif text == r"\z":
            text = r"\Z"
        elif inside:
            inside = text != "]"
            text = r"\[" if text == "[" else text
        elif text in {"[", "[^"}:
            inside = True
        elif text == ".":
            text = _NOT_A_LINE_END
        parts.append(text)
    return "".join(parts)


def _category(name: str) -> str:
    """The members of a general category such as ``L`` or ``Nd``, as ranges for a class."""
    ranges = [(first, last) for category, first, last in _categories() if category.startswith(name)]
    if not ranges:
        raise KeyError(name)
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@functools.cache
def _categories() -> list[tuple[str, int, int]]:
    every = map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))
    found = []
    first = 0
    for category, points in itertools.groupby(every):
        after = first + sum(1 for _ in points)
        found.append((category, first, after - 1))
        first = after
    return found
