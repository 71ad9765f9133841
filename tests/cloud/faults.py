"""A proxy between boto3 and moto that writes down every call, and spoils those it is told to."""

import http.client
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import botocore.session
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")
_QUERY = frozenset({"cloudformation", "iam", "sts"})
_SIGNED_AS = {"monitoring": "cloudwatch", "servicequotas": "service-quotas", "tagging": "tagging"}
_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "expect"})

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, as AWS names it."""

    service: str
    action: str
    """The operation of the API, e.g. ``PutObject``."""
    region: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.service}:{self.action}"

    @property
    def reads(self) -> bool:
        """Whether it cannot change anything."""
        return self.action.startswith(
            ("Get", "List", "Describe", "Head", "Simulate", "BatchGet", "Lookup", "Filter")
        ) or self.action in {"ValidateTemplate", "InvokeEndpoint"}


@dataclass(kw_only=True)
class _Rule:
    pattern: str
    spoil: Callable[["_Handler", Call], bool]
    """Whether it has answered."""
    skip: int = 0
    times: int | None = None
    late: bool = False
    """After the call was carried out."""


class Faults:
    """What is to go wrong. ``action`` is a name like ``s3:PutObject``; ``*`` stands for any."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    @property
    def names(self) -> Sequence[str]:
        return [call.name for call in self.calls]

    @property
    def writes(self) -> Sequence[str]:
        return [call.name for call in self.calls if not call.reads]

    def forget(self) -> None:
        """Nothing was called, and nothing goes wrong any more."""
        with self._lock:
            self.calls.clear()
            self._rules.clear()

    # --- what AWS says ---------------------------------------------------------------------------

    def refuse(
        self,
        action: str,
        code: str,
        message: str = "refused by the test",
        *,
        status: int = 400,
        times: int | None = None,
        after: int = 0,
    ) -> None:
        """Answer with an error ``times`` times (None: for ever), after the first ``after``."""

        def spoil(handler: "_Handler", call: Call) -> bool:
            handler.give(error(call, code, message, status))
            return True

        self._add(_Rule(pattern=action, spoil=spoil, skip=after, times=times))

    def deny(self, action: str, *, times: int | None = None) -> None:
        """As IAM does, with the caller's name and the account in the text."""
        service, operation = action.split(":", 1)
        who = "arn:aws:sts::123456789012:assumed-role/developer/someone"
        text = f"User: {who} is not authorized to perform: {service}:{operation} on resource: *"
        code = "AccessDeniedException" if service in _JSON else "AccessDenied"
        self.refuse(action, code, text, status=403, times=times)

    def expire(self, action: str = "*") -> None:
        """The session's token is too old."""
        text = "The security token included in the request is expired"
        self.refuse(action, "ExpiredToken", text, status=403)

    def throttle(self, action: str, *, times: int | None = None) -> None:
        """Too many requests a second."""
        self.refuse(action, "ThrottlingException", "Rate exceeded", times=times)

    def limit(self, action: str, *, code: str = "ResourceLimitExceeded") -> None:
        """A quota is reached."""
        text = (
            "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances, "
            "with current utilization of 0 Instances and a request delta of 1 Instances."
        )
        self.refuse(action, code, text)

    def answer(
        self,
        action: str,
        result: Mapping[str, Any] | Callable[[Call], Mapping[str, Any]],
        *,
        times: int | None = None,
    ) -> None:
        """Say this instead of asking moto: in the form of boto3's answer."""

        def spoil(handler: "_Handler", call: Call) -> bool:
            said = result(call) if callable(result) else result
            handler.give(success(call, said))
            return True

        self._add(_Rule(pattern=action, spoil=spoil, times=times))

    def raw(self, action: str, answer: Callable[[Call], Answer]) -> None:
        """Say these bytes instead of asking moto."""

        def spoil(handler: "_Handler", call: Call) -> bool:
            handler.give(answer(call))
            return True

        self._add(_Rule(pattern=action, spoil=spoil))

    # --- what networks and people do -------------------------------------------------------------

    def cut(
        self, action: str, *, after_bytes: int = 0, times: int | None = 1, after: int = 0
    ) -> None:
        """Drop the connection when so much of the request has come, before anything is done."""

        def spoil(handler: "_Handler", call: Call) -> bool:
            del call
            handler.drop()
            return True

        rule = _Rule(pattern=action, spoil=spoil, skip=after, times=times)
        rule.spoil.__dict__["after_bytes"] = after_bytes
        self._add(rule)

    def vanish(self, action: str, *, times: int | None = 1, after: int = 0) -> None:
        """Carry it out, then drop the connection instead of answering."""

        def spoil(handler: "_Handler", call: Call) -> bool:
            del call
            handler.drop()
            return True

        self._add(_Rule(pattern=action, spoil=spoil, skip=after, times=times, late=True))

    def before(self, action: str, do: Callable[[], object], *, nth: int = 1) -> None:
        """Do something when the nth such call comes, before it is carried out."""
        self._hook(action, do, nth=nth, late=False)

    def after(self, action: str, do: Callable[[], object], *, nth: int = 1) -> None:
        """Do something when the nth such call has been carried out, before it is answered."""
        self._hook(action, do, nth=nth, late=True)

    def _hook(self, action: str, do: Callable[[], object], *, nth: int, late: bool) -> None:
        def spoil(handler: "_Handler", call: Call) -> bool:
            del handler, call
            do()
            return False

        self._add(_Rule(pattern=action, spoil=spoil, skip=nth - 1, times=1, late=late))

    def _add(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def note(self, call: Call) -> None:
        """Write a call down."""
        with self._lock:
            self.calls.append(call)

    def due(self, call: Call, *, late: bool) -> Sequence[_Rule]:
        """The rules that apply to this call now; the newest first."""
        found = []
        with self._lock:
            for rule in reversed(self._rules):
                if rule.late is not late or not fnmatch(call.name, rule.pattern):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                elif rule.times is None or rule.times > 0:
                    rule.times = None if rule.times is None else rule.times - 1
                    found.append(rule)
        return found


class Proxy:
    """Stands before moto on a port of 127.0.0.1.

    ``instead`` answers whole services, or single operations (``iam:GetRole``), without moto.
    """

    def __init__(
        self, upstream: str, faults: Faults, instead: Mapping[str, Callable[[Call], Answer]]
    ) -> None:
        self.faults = faults
        self.instead = instead
        self.upstream = upstream.removeprefix("http://")
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Connections that clients keep open must not hold up the end of a test.
    block_on_close = False
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tried here; anything else is a fault of the proxy's."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Be quiet."""

    def give(self, answer: Answer) -> None:
        """Send an answer."""
        status, headers, body = answer
        self.send_response_only(status)
        for key, value in headers.items():
            if key.lower() not in _HOP | {"content-length"}:
                self.send_header(key, value)
        empty = self.command == "HEAD"
        length = headers.get("Content-Length") if empty else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if not empty:
            self.wfile.write(body)

    def drop(self) -> None:
        """Hang up without a word."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def _handle(self) -> None:
        proxy = self.server.proxy
        faults = proxy.faults
        head = classify(self.command, self.path, dict(self.headers.items()), b"")
        rules: Sequence[_Rule] | None = None
        if not head.action.startswith("?"):
            # The body is not needed to know what this is; a cut may come in the middle of it.
            rules = faults.due(head, late=False)
            for rule in rules:
                if (wanted := rule.spoil.__dict__.get("after_bytes")) is not None:
                    faults.note(head)
                    self._read_some(wanted)
                    self.drop()
                    return
        call = classify(self.command, self.path, dict(self.headers.items()), self._body())
        faults.note(call)
        for rule in faults.due(call, late=False) if rules is None else rules:
            if rule.spoil(self, call):
                return
        answer = self._answer(call)
        for rule in faults.due(call, late=True):
            if rule.spoil(self, call):
                return
        self.give(answer)

    def _answer(self, call: Call) -> Answer:
        proxy = self.server.proxy
        own = proxy.instead.get(call.name) or proxy.instead.get(call.service)
        if own is not None:
            return own(call)
        upstream = http.client.HTTPConnection(proxy.upstream, timeout=60)
        try:
            kept = {k: v for k, v in call.headers.items() if k.lower() not in _HOP}
            kept["Content-Length"] = str(len(call.body))
            upstream.request(call.method, call.path, body=call.body, headers=kept)
            answer = upstream.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            upstream.close()

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _read_some(self, count: int) -> None:
        self.rfile.read(min(count, int(self.headers.get("Content-Length") or 0)))


# --- which call it is, and how its service speaks ------------------------------------------------

_JSON = frozenset(
    {
        "application-autoscaling",
        "cloudwatch",
        "ecr",
        "logs",
        "sagemaker",
        "service-quotas",
        "tagging",
    }
)


def classify(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
    """A request as a call of AWS's; its action begins with ``?`` if the body is needed for it."""
    lower = {key.lower(): value for key, value in headers.items()}
    scope = _SCOPE.search(lower.get("authorization", ""))
    region, signed = scope.groups() if scope else ("", "unsigned")
    service = _SIGNED_AS.get(signed, signed)
    if target := lower.get("x-amz-target"):
        action = target.rsplit(".", 1)[-1]
        if target.startswith("AnyScaleFrontendService"):
            service = "application-autoscaling"
    elif service in _QUERY:
        action = (parse_qs(body.decode()).get("Action") or ["?"])[0]
    elif service == "s3":
        action = _s3(method, path, lower)
    elif service == "sagemaker":
        streamed = path.endswith("-response-stream")
        action = "InvokeEndpointWithResponseStream" if streamed else "InvokeEndpoint"
    else:
        action = f"?{method}"
    return Call(
        service=service,
        action=action,
        region=region,
        method=method,
        path=path,
        headers=headers,
        body=body,
    )


@cache
def _s3_operations() -> Sequence[tuple[str, frozenset[str], bool, str]]:
    """Method, required queries, whether there is a key, name: from boto3's own model of S3."""
    model = botocore.session.get_session().get_service_model("s3")
    found = []
    for name in model.operation_names:
        if model.operation_model(name).deprecated:
            continue
        operation = model.operation_model(name)
        route = urlsplit(operation.http["requestUri"])
        queries = {part for part in route.query.split("&") if part and "=" not in part}
        members = operation.input_shape.members if operation.input_shape else {}
        required = operation.input_shape.required_members if operation.input_shape else ()
        queries |= {
            members[member].serialization["name"]
            for member in required
            if members[member].serialization.get("location") == "querystring"
        }
        if "list-type=2" in route.query:
            queries.add("list-type")
        found.append((operation.http["method"], frozenset(queries), "{Key" in route.path, name))
    # The one with most conditions that hold is it.
    return sorted(found, key=lambda row: (-len(row[1]), len(row[3])))


def _s3(method: str, path: str, headers: Mapping[str, str]) -> str:
    route = urlsplit(path)
    parts = unquote(route.path).lstrip("/").split("/", 1)
    has_key = len(parts) > 1 and bool(parts[1])
    if not parts[0]:
        return "ListBuckets"
    asked = set(parse_qs(route.query, keep_blank_values=True))
    copied = "x-amz-copy-source" in headers
    for verb, queries, keyed, name in _s3_operations():
        if verb != method or keyed is not has_key or not queries <= asked:
            continue
        if name in {"CopyObject", "UploadPartCopy"} and not copied:
            continue
        if name in {"ListBuckets", "ListDirectoryBuckets", "RenameObject"}:
            continue
        return name
    return f"{method}?"


def error(call: Call, code: str, message: str, status: int) -> Answer:
    """An error in the words of the call's service."""
    if call.service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        return status, {"Content-Type": "application/xml"}, text.encode()
    if call.service in _QUERY:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        )
        return status, {"Content-Type": "text/xml"}, text.encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
    return status, headers, json.dumps({"__type": code, "message": message}).encode()


def success(call: Call, result: Mapping[str, Any]) -> Answer:
    """An answer as the call's service would write it."""
    model = get_service_model(_MODELS.get(call.service, call.service))
    protocol = "query" if call.service in _QUERY else "json"
    if call.service == "s3":
        protocol = "rest-xml"
    serializer = get_serializer_class(model.service_name, protocol)
    said = serializer(model.operation_model(call.action)).serialize(result)
    body = said["body"]
    encoded = body.encode() if isinstance(body, str) else bytes(body)
    headers = {str(key): str(value) for key, value in said["headers"].items()}
    return int(said["status_code"]), headers, encoded


_MODELS = {"tagging": "resourcegroupstaggingapi"}
