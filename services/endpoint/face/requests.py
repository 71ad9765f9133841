"""Reading requests from ASGI."""

from typing import Final

from face.answers import Receive, Scope

_DISCARD_TIMES: Final = 4
_OUTSIDE_LATIN: Final = "latin-1"


class Disconnected(Exception):  # noqa: N818 - an outcome
    """The client went away before its request was whole."""


class TooLarge(Exception):  # noqa: N818 - an outcome
    """The body is larger than any endpoint takes; ``size`` as far as it was counted."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def headers_of(scope: Scope) -> dict[str, str]:
    """Header names in lower case; a repeated one is a list."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode(_OUTSIDE_LATIN), raw_value.decode(_OUTSIDE_LATIN)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def body_of(receive: Receive, *, limit: int) -> bytes:
    """The whole body, with a length or chunked.

    Beyond ``limit`` nothing is kept, but some is read on, so that a client which is still sending
    gets to see the answer. Raises ``TooLarge`` or ``Disconnected``.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    first = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit:
            raise TooLarge(len(first))
        return bytes(first)
    parts, size = [first], len(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        elif size > limit * _DISCARD_TIMES:
            raise TooLarge(size)
        else:
            parts.clear()
        if not message.get("more_body", False):
            if size > limit:
                raise TooLarge(size)
            return b"".join(parts)
