"""Lists as the control plane gives them: filtered, sorted, a page at a time."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from lab.endpoint.protocol.errors import validation_exception
from lab.endpoint.records import EndpointRecord, Resource

DEFAULT_RESULTS: Final = 10
_PAGING: Final = frozenset({"NextToken", "MaxResults"})


Row = TypeVar("Row", bound=Resource | EndpointRecord)
SortKey = tuple[Any, str]


def page(
    rows: Iterable[Row],
    asked: Mapping[str, Any],
    *,
    member: str,
    summary: Callable[[Row], Mapping[str, Any]],
    sort_by: Mapping[str, Callable[[Row], Any]] | None = None,
    filters: Mapping[str, Callable[[Row, Any], bool]] | None = None,
) -> Mapping[str, Any]:
    """The answer: this page's summaries as ``member``, and the next one's token if there is one.

    Newest first unless ``SortBy`` and ``SortOrder`` say otherwise. The token names the last row
    of the page, so that what is made or deleted between two pages shifts nothing.
    """
    keep = {**_FILTERS, **(filters or {})}
    kept = [
        row
        for row in rows
        if all(keep[name](row, value) for name, value in asked.items() if name in keep)
    ]
    value = {**_SORTS, **(sort_by or {})}[asked.get("SortBy", "CreationTime")]
    descending = asked.get("SortOrder", "Descending") == "Descending"

    def key(row: Row) -> SortKey:
        return value(row), row.name

    kept.sort(key=key, reverse=descending)
    if (token := asked.get("NextToken")) is not None:
        last = _last(token, member, asked)
        kept = [row for row in kept if (key(row) < last if descending else key(row) > last)]
    found = kept[: asked.get("MaxResults", DEFAULT_RESULTS)]
    more = _sealed([_query(member, asked), *key(found[-1])]) if len(kept) > len(found) else None
    return _answer(member, [summary(row) for row in found], more)


def offset_page(
    member: str, rows: Sequence[Mapping[str, str]], asked: Mapping[str, Any], *, default: int
) -> Mapping[str, Any]:
    """The same for a list that has an order of its own."""
    start = 0
    if (token := asked.get("NextToken")) is not None:
        match _opened(token):
            case [str(query), int(start)] if query == _query(member, asked) and start >= 0:
                pass
            case _:
                raise _invalid()
    end = start + asked.get("MaxResults", default)
    more = _sealed([_query(member, asked), end]) if end < len(rows) else None
    return _answer(member, rows[start:end], more)


def _answer(member: str, page: Sequence[Mapping[str, Any]], token: str | None) -> Mapping[str, Any]:
    return {member: page} | ({} if token is None else {"NextToken": token})


_SORTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "Name": lambda row: row.name,
    "CreationTime": lambda row: row.created_at,
}
_FILTERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "NameContains": lambda row, part: part.lower() in row.name.lower(),
    "CreationTimeBefore": lambda row, at: row.created_at < at,
    "CreationTimeAfter": lambda row, at: row.created_at >= at,
}


def _query(member: str, asked: Mapping[str, Any]) -> str:
    """What a token is good for: this operation, with these filters and this order."""
    kept = {k: v for k, v in asked.items() if k not in _PAGING}
    return json.dumps([member, kept], sort_keys=True)


def _sealed(content: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _opened(token: str) -> Any:
    try:
        return json.loads(base64.b64decode(token.encode(), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid() from None


def _last(token: str, member: str, asked: Mapping[str, Any]) -> SortKey:
    by_time = asked.get("SortBy", "CreationTime") == "CreationTime"
    match _opened(token):
        case [str(query), float() | int() | str() as value, str(name)] if query == _query(
            member, asked
        ):
            if isinstance(value, str) is not by_time and not isinstance(value, bool):
                return value, name
    raise _invalid()


def _invalid() -> Exception:
    return validation_exception(
        "Invalid NextToken: use the token of the previous page of the same operation, with the "
        "same filters and order."
    )
