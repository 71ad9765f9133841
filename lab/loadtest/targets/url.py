"""A URL: whatever answers there."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from lab import tls, wire
from lab.errors import UsageError, without_numbers
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload, WireRoute

_CALLS: Final = 64
_CONNECT_S: Final = 5.0
_WRITE: Final = "Write http://HOST:PORT/PATH."


@dataclass(frozen=True, kw_only=True)
class UrlTarget:
    """Plain HTTP goes over the wire; TLS from threads."""

    record: TargetRecord
    route: WireRoute | CallRoute

    def pool(self) -> None:
        """Nobody sees it from outside."""

    def containers(self) -> None:
        """It may be served by a program of this machine."""

    def cause(self) -> None:
        """Nor this."""


@contextmanager
def url_target(url: str, *, timeout_s: float) -> Iterator[UrlTarget]:
    """Without a path, ``/invocations`` is asked. Raises ``UsageError`` for what is no address, and
    where nobody listens.
    """
    parts, port = _parsed(url)
    path = parts.path if parts.path not in {"", "/"} else "/invocations"
    asked = f"{path}?{parts.query}" if parts.query else path
    record = TargetRecord(kind=TargetKind.URL, name=f"{parts.scheme}://{parts.netloc}{path}")
    address = reached(str(parts.hostname), port)
    if parts.scheme == "http":
        yield UrlTarget(record=record, route=_wire(address, parts.netloc, asked))
        return
    limits = httpx.Limits(max_connections=_CALLS, max_keepalive_connections=_CALLS)
    with httpx.Client(timeout=timeout_s, limits=limits, verify=tls.context()) as client:
        full = f"https://{parts.netloc}{asked}"
        yield UrlTarget(record=record, route=CallRoute(call=_call(client, full), clients=_CALLS))


def reached(host: str, port: int) -> tuple[str, int]:
    """The first address of a host at which somebody listens.

    Raises ``UsageError`` for a name that is not known, and where nobody listens.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        said = without_numbers(str(error))
        raise UsageError(f"{host} is not known here: {said}.", remedy="Correct it.") from error
    said = ""
    for *_, address in found:
        try:
            wire.connect((str(address[0]), port), timeout_s=_CONNECT_S).close()
        except OSError as error:
            said = without_numbers(str(error))
        else:
            return str(address[0]), port
    raise UsageError(
        f"Nobody listens at {host}, port {port}: {said}.", remedy="Start it, or correct the port."
    )


def _parsed(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UsageError(f"{url} is no URL: {error}.", remedy=_WRITE) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url} is no URL.", remedy=_WRITE)
    if parts.username is not None:
        raise UsageError(
            "The URL holds a user's name, which would stay in the run folder.",
            remedy=f"Leave it out: {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}.",
        )
    return parts, port


def _wire(address: tuple[str, int], named: str, path: str) -> WireRoute:
    return WireRoute(
        address=address,
        prepare=lambda payload: wire.request(
            "POST",
            path,
            host=named,
            body=payload.body,
            headers={"Content-Type": payload.content_type, "Accept": "*/*"},
        ),
    )


def _call(client: httpx.Client, url: str) -> Callable[[LoadPayload], CallAnswer]:
    def call(payload: LoadPayload) -> CallAnswer:
        headers = {"Content-Type": payload.content_type}
        try:
            answer = client.post(url, content=payload.body, headers=headers)
        except (httpx.HTTPError, ssl.SSLError) as error:
            return CallAnswer(status=0, error=without_numbers(str(error)) or type(error).__name__)
        code = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        return CallAnswer(
            status=answer.status_code,
            received_bytes=len(answer.content),
            error="" if answer.is_success else code,
            body=answer.content,
        )

    return call
