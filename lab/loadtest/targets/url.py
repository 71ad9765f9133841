"""A URL: whatever answers there."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from lab import tls, wire
from lab.errors import UsageError, without_numbers
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload, WireRoute

_CALLS = 64


@dataclass(frozen=True, kw_only=True)
class UrlTarget:
    """Plain HTTP goes over the wire; TLS from threads."""

    record: TargetRecord
    route: WireRoute | CallRoute

    def pool(self) -> None:
        """Nobody sees it from outside."""

    def cause(self) -> None:
        """Nor this."""


@contextmanager
def url_target(url: str, *, timeout_s: float) -> Iterator[UrlTarget]:
    """Without a path, ``/invocations`` is asked. Raises ``UsageError`` for what is no address."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url} is no URL.", remedy="Write http://HOST:PORT/PATH.")
    path = parts.path if parts.path not in {"", "/"} else "/invocations"
    asked = f"{path}?{parts.query}" if parts.query else path
    record = TargetRecord(kind=TargetKind.URL, name=f"{parts.scheme}://{parts.netloc}{path}")
    if parts.scheme == "http":
        yield UrlTarget(record=record, route=_wire(parts.hostname, parts.port or 80, asked))
        return
    limits = httpx.Limits(max_connections=_CALLS, max_keepalive_connections=_CALLS)
    with httpx.Client(timeout=timeout_s, limits=limits, verify=tls.context()) as client:
        full = f"https://{parts.netloc}{asked}"
        yield UrlTarget(record=record, route=CallRoute(call=_call(client, full), clients=_CALLS))


def _wire(host: str, port: int, path: str) -> WireRoute:
    try:
        *_, (_, _, _, _, address) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        said = without_numbers(str(error))
        raise UsageError(f"{host} is not known here: {said}.", remedy="Correct it.") from error
    named = f"{host}:{port}"
    return WireRoute(
        address=(str(address[0]), port),
        prepare=lambda payload: wire.request(
            "POST",
            path,
            host=named,
            body=payload.body,
            headers={"Content-Type": payload.content_type},
        ),
    )


def _call(client: httpx.Client, url: str) -> Callable[[LoadPayload], CallAnswer]:
    def call(payload: LoadPayload) -> CallAnswer:
        headers = {"Content-Type": payload.content_type}
        try:
            answer = client.post(url, content=payload.body, headers=headers)
        except (httpx.HTTPError, ssl.SSLError) as error:
            return CallAnswer(status=0, error=without_numbers(str(error)) or type(error).__name__)
        return CallAnswer(
            status=answer.status_code, received_bytes=len(answer.content), body=answer.content
        )

    return call
