"""Tags: what they may be, and the operations on them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lab.endpoint.control.context import ControlContext
from lab.endpoint.control.paging import offset_page
from lab.endpoint.protocol.errors import validation_exception

MOST: Final = 50
_RESERVED: Final = "aws:"
_PAGE: Final = 50


def tags_of(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """From a request's list. Raises ``ApiError`` for keys that are reserved or come twice."""
    found: dict[str, str] = {}
    for tag in tags:
        key = tag["Key"]
        if key.lower().startswith(_RESERVED):
            raise validation_exception(
                "aws: prefixed tag key names are not allowed for external use."
            )
        if key in found:
            raise validation_exception(f"Duplicate tag key: {key}.")
        found[key] = tag["Value"]
    return found


class Tagging:
    """``AddTags``, ``ListTags`` and ``DeleteTags``."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def add(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add, or give new values to, tags of one resource."""
        arn = self._existing(asked["ResourceArn"])
        with self._context.store.transaction():
            tags = {**self._context.store.tags(arn), **tags_of(asked["Tags"])}
            if len(tags) > MOST:
                raise validation_exception(
                    f"A resource can have at most {MOST} tags; it would have {len(tags)}."
                )
            self._context.store.set_tags(arn, tags)
        return {"Tags": _as_list(tags)}

    def list(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        tags = _as_list(self._context.store.tags(self._existing(asked["ResourceArn"])))
        return offset_page("Tags", tags, asked, default=_PAGE)

    def delete(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take tags away; keys that it has not are ignored."""
        arn = self._existing(asked["ResourceArn"])
        with self._context.store.transaction():
            tags = self._context.store.tags(arn)
            kept = {key: value for key, value in tags.items() if key not in asked["TagKeys"]}
            self._context.store.set_tags(arn, kept)
        return {}

    def _existing(self, arn: str) -> str:
        match self._context.names.parse(arn):
            case "endpoint", name:
                row: object = self._context.store.endpoint(name)
            case ("model" | "config") as kind, name:
                row = self._context.store.resource(kind, name)
            case _:
                row = None
        if row is None:
            raise validation_exception("Resource does not exist.")
        return arn


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
