"""Docker's API on a Unix socket, answered from a script: what is asked can be counted."""

import json
import re
import socketserver
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

INFO = {
    "NCPU": 2,
    "MemTotal": 8 * 2**30,
    "Driver": "overlay2",
    "CgroupVersion": "2",
    "Architecture": "x86_64",
    "KernelVersion": "6.1.0",
    "OperatingSystem": "Debian",
    "SecurityOptions": ["name=seccomp"],
    "SystemTime": "2026-11-20T12:00:00.5Z",
    "Warnings": None,
}
VERSION = {
    "Version": "26.1.5",
    "ApiVersion": "1.45",
    "MinAPIVersion": "1.24",
    "Components": [
        {"Name": "Engine", "Version": "26.1.5"},
        {"Name": "containerd", "Version": "1.7.24"},
    ],
}


class FakeDocker:
    """Answers ``GET /info`` and ``/version`` by itself, the rest as told."""

    def __init__(self, socket: Path) -> None:
        self.address = f"unix://{socket}"
        self.asked: list[tuple[str, str, Any]] = []
        """Method, path without the version, and body."""
        self._answers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.answer("GET", "/_ping", raw=b"OK")
        self.answer("GET", "/info", INFO)
        self.answer("GET", "/version", VERSION)
        self._server = _Server(str(socket), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def answer(
        self, method: str, path: str, body: Any = None, *, status: int = 200, raw: bytes = b""
    ) -> None:
        self._answers[method, path] = (status, raw or json.dumps(body).encode())

    def asked_for(self, method: str, path: str) -> list[Any]:
        return [body for verb, where, body in self.asked if (verb, where) == (method, path)]

    def reply(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        where = re.sub(r"^/v\d[\d.]*", "", path.partition("?")[0])
        self.asked.append((method, where, json.loads(body) if body else None))
        missing = (404, json.dumps({"message": f"no answer for {where}"}).encode())
        return self._answers.get((method, where), missing)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    fake: FakeDocker


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        status, body = self.server.fake.reply(self.command, self.path, self.rfile.read(length))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        # In chunks, as the engine does: the SDK reads streams in no other way.
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(BrokenPipeError):  # who asked may have heard enough
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if body else b"")
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = do_HEAD = _do  # noqa: N815  # the server's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
