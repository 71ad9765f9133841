"""Numbers on the page: looked up in the summary by a pointer that the page carries along."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from lab.report.words import (
    NOTHING,
    count_bytes,
    percent,
    rate,
    ratio_pair,
    seconds,
    seconds_pair,
    times,
)

_ONE: Final[Mapping[str, Callable[[Any], str]]] = {
    "seconds": seconds,
    "bytes": count_bytes,
    "times": times,
    "percent": percent,
    "count": str,
    "rate": rate,
}
_TWO: Final[Mapping[str, Callable[[Any], str]]] = {
    "seconds": seconds_pair,
    "times": ratio_pair,
}


def lookup(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901, without escapes). Raises ``LookupError``."""
    for part in pointer.strip("/").split("/"):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


class Figures:
    """Prints values of one summary, given as the JSON document that is its file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def number(self, pointer: str, form: str) -> Markup:
        """A number in words, with its pointer and its exact value."""
        value = lookup(self._document, pointer)
        if value is None:
            return Markup('<span class="none">{}</span>').format(NOTHING)
        return Markup('<data data-path="{}" value="{}">{}</data>').format(
            pointer, repr(value), _ONE[form](value)
        )

    def pair(self, pointer: str, form: str) -> Markup:
        """An interval in words, likewise; nothing at all when there is none."""
        value = lookup(self._document, pointer)
        if value is None:
            return Markup()
        low, high = value
        return Markup('<data data-path="{}" value="{},{}">{}</data>').format(
            pointer, repr(low), repr(high), _TWO[form]((low, high))
        )
