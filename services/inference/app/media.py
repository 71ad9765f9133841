"""Which type a request's body has, and which its answer shall have."""

from .errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def media_type(header: str, taken: "Sequence[str]") -> str:
    """The type that a ``Content-Type`` header names; raises ``RequestError`` 415."""
    name = header.partition(";")[0].strip().lower()
    if name in taken:
        return name
    said = f"Content-Type {name[:100]!r} is not taken" if name else "There is no Content-Type"
    raise RequestError(415, f"{said}: send {', '.join(taken)}.")


def answer_type(accept: str, given: "Sequence[str]") -> str:
    """The best of ``given`` by an ``Accept`` header; raises ``RequestError`` 406 if none is."""
    ranges: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name:
            ranges[name] = _quality(parameters)
    if not ranges:
        return given[0]
    best, best_quality = "", 0.0
    for name in given:
        wide = name.partition("/")[0] + "/*"
        quality = ranges.get(name, ranges.get(wide, ranges.get("*/*", 0.0)))
        if quality > best_quality:
            best, best_quality = name, quality
    if not best:
        raise RequestError(406, f"Accept {accept[:100]!r} asks for none of {', '.join(given)}.")
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
