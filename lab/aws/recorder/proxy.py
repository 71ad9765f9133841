"""A server on 127.0.0.1 that passes a program's calls on, and keeps what was asked and answered.

To AWS a call is signed anew, since the signature covers the address. That must not make a door to
the user's account of the port: only a call that is signed with the same key is passed on.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer, ParserError

from lab import tls
from lab.aws.recorder.pairs import Answered, Asked, Pair, kept_body, kept_headers, masked
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.eventstream import CONTENT_TYPE
from lab.endpoint.protocol.sigv4 import SERVICE, Signed, Verifier
from lab.errors import without_numbers

RUNTIME_PATH: Final = "/endpoints/"
_TARGET: Final = "SageMaker."
_OPERATIONS: Final = {
    "invocations": "InvokeEndpoint",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "expect"}
)
_RESIGNED: Final = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})
_READ_S: Final = 500.0  # a stream may take 480
_CONNECT_S: Final = 10.0
_STOP_S: Final = 0.05
_LAST_S: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Where calls are passed on to."""

    control: str
    """The address of ``sagemaker``."""
    runtime: str
    """The address of ``sagemaker-runtime``."""
    region: str = "us-east-1"
    credentials: Credentials | None = None
    """To sign with anew; None passes a signature on as it came."""


class Recorder:
    """Passes calls on until it is closed. ``keep`` gets each pair as it ends, one at a time."""

    def __init__(
        self, upstream: Upstream, keep: Callable[[Pair], None], *, port: int, payloads: bool
    ) -> None:
        """``port`` 0 takes a free one. Raises ``OSError`` when the port is taken."""
        self.upstream = upstream
        self.payloads = payloads
        self._keep = keep
        self._moved = threading.Condition()
        self._under_way = 0
        self._numbers = itertools.count(1)
        self._http = httpx.Client(
            timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
            verify=tls.context(),
            trust_env=upstream.credentials is not None,  # a proxy on the way to AWS, none at home
            limits=httpx.Limits(max_connections=None),
        )
        recorder = self

        class Handler(_Handler):
            passing = recorder

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.kept = 0
        self.broken_off = 0
        """Calls that were under way when it was closed."""

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def serve(self) -> None:
        """Until ``close`` is called by another thread, or the program is interrupted."""
        self._server.serve_forever(poll_interval=_STOP_S)

    def close(self) -> None:
        """Calls under way have a moment to end; their pairs are kept."""
        self._server.shutdown()
        with self._moved:
            self._moved.wait_for(lambda: self._under_way == 0, timeout=_LAST_S)
            self.broken_off = self._under_way
        self._server.server_close()
        self._http.close()

    @contextmanager
    def running(self) -> Iterator[int]:
        """In the background; its port."""
        thread = threading.Thread(target=self.serve, daemon=True, name="recorder")
        thread.start()
        try:
            yield self.port
        finally:
            self.close()
            thread.join()

    @contextmanager
    def call(self) -> Iterator[int]:
        """One call, under its number."""
        with self._moved:
            self._under_way += 1
            number = next(self._numbers)
        try:
            yield number
        finally:
            with self._moved:
                self._under_way -= 1
                self._moved.notify_all()

    def keep(self, pair: Pair) -> None:
        with self._moved:
            self._keep(pair)
            self.kept += 1

    def refusal(self, asked: Signed) -> ApiError | None:
        """Why a call is not passed on: it is not signed with the key that AWS would see."""
        credentials = self.upstream.credentials
        if credentials is None:
            return None
        frozen = credentials.get_frozen_credentials()
        verifier = Verifier({frozen.access_key: frozen.secret_key}, region=self.upstream.region)
        try:
            verifier.admit(asked, now=time.time())
        except ApiError as error:
            return error
        return None

    @contextmanager
    def passed_on(self, asked: Signed) -> Iterator[httpx.Response]:
        """The other side's answer, its body still to be read. Raises ``httpx.HTTPError``."""
        runtime = asked.path.startswith(RUNTIME_PATH)
        base = self.upstream.runtime if runtime else self.upstream.control
        url = base.rstrip("/") + asked.path + (f"?{asked.query}" if asked.query else "")
        headers = {name: value for name, value in asked.headers.items() if name not in _HOP_BY_HOP}
        if self.upstream.credentials is not None:
            headers = signed(
                asked.method,
                url,
                headers,
                asked.body,
                credentials=self.upstream.credentials,
                region=self.upstream.region,
            )
        request = httpx.Request(asked.method, url, headers=headers, content=asked.body)
        answer = self._http.send(request, stream=True)
        try:
            yield answer
        finally:
            answer.close()


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
) -> dict[str, str]:
    """The headers, with a signature in place of the one that may be there."""
    bare = {name: value for name, value in headers.items() if name.lower() not in _RESIGNED}
    request = AWSRequest(method=method, url=url, data=body, headers=bare)
    SigV4Auth(credentials, SERVICE, region).add_auth(request)
    return dict(request.headers.items())


class _Handler(BaseHTTPRequestHandler):
    passing: Recorder
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """The pairs are the log."""

    def _pass(self) -> None:
        with self.passing.call() as number:
            self._pass_one(number)

    def _pass_one(self, number: int) -> None:
        begun, at = time.monotonic(), datetime.now(UTC)
        try:
            asked = self._asked()
        except (OSError, ValueError):
            self.close_connection = True
            with suppress(OSError):
                self._say(400, "ValidationException", "The recorder could not read this request.")
            return
        answered: Answered | None = None
        error: str | None = None
        try:
            refusal = self.passing.refusal(asked)
            if refusal is not None:
                self._say(refusal.status, refusal.code, refusal.message or "")
                return
            with self.passing.passed_on(asked) as answer:
                answered = self._passed_back(answer, asked)
        except httpx.HTTPError as problem:
            error = f"{type(problem).__name__}: {without_numbers(str(problem))}"
            if answered is None:
                with suppress(OSError):
                    self._say(
                        503,
                        "ServiceUnavailable",
                        f"The recorder could not reach {self.passing.upstream.control}: {error}",
                    )
        except OSError:
            self.close_connection = True  # the program has gone
            error = "The program went away before the answer's end."
        self.passing.keep(
            Pair(
                number=number,
                at=f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
                took_s=round(time.monotonic() - begun, 6),
                asked=self._kept(asked),
                answered=answered,
                error=error,
            )
        )

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815 - the library's names

    def _asked(self) -> Signed:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        if length > len(body):
            raise ValueError("it broke off")
        path, _, query = self.path.partition("?")
        return Signed(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _chunks(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return b""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _passed_back(self, answer: httpx.Response, asked: Signed) -> Answered:
        """Send it as it comes, and say what it was."""
        self.send_response_only(answer.status_code, answer.reason_phrase)
        length = answer.headers.get("content-length")
        bodiless = self.command == "HEAD" or answer.status_code in {204, 304}
        headers = [(name.decode(), value.decode("latin-1")) for name, value in answer.headers.raw]
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        chunked = length is None and not bodiless
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        parts: list[bytes] = []
        whole = True
        try:
            for part in answer.iter_raw():
                parts.append(part)
                self._send(part, chunked=chunked)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
        except httpx.HTTPError:
            self.close_connection = True  # the program is to see that it broke off, too
            whole = False
        body = b"".join(parts)
        payload = asked.path.startswith(RUNTIME_PATH) and answer.status_code < 400
        return Answered(
            status=answer.status_code,
            headers=kept_headers(headers, payloads=self.passing.payloads),
            body=kept_body(body, members=not payload, payloads=self.passing.payloads),
            events=events(answer.headers.get("content-type", ""), body),
            whole=whole,
        )

    def _send(self, part: bytes, *, chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)

    def _kept(self, asked: Signed) -> Asked:
        payloads = self.passing.payloads
        return Asked(
            method=asked.method,
            path=masked(asked.path),
            operation=operation(asked.path, asked.headers),
            headers=kept_headers(asked.headers.items(), payloads=payloads),
            body=kept_body(
                asked.body, members=not asked.path.startswith(RUNTIME_PATH), payloads=payloads
            ),
        )

    def _say(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("x-amzn-ErrorType", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def operation(path: str, headers: Mapping[str, str]) -> str:
    """Which of AWS's operations a request is; its path where it is none that is known."""
    target = headers.get("x-amz-target", "")
    if target.startswith(_TARGET):
        return target.removeprefix(_TARGET)
    return _OPERATIONS.get(path.rpartition("/")[2], path)


def events(kind: str, body: bytes) -> list[str]:
    """The types of an event stream's messages in turn, repeated ones once."""
    if kind != CONTENT_TYPE:
        return []
    buffer = EventStreamBuffer()
    found: list[str] = []
    try:
        buffer.add_data(body)
        for message in buffer:
            headers: Mapping[str, Any] = message.headers
            kind = str(headers.get(":event-type") or headers.get(":exception-type") or "?")
            if found[-1:] != [kind]:
                found.append(kind)
    except ParserError as error:
        found.append(f"broken: {error}")
    return found
