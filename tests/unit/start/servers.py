"""Servers on the loopback that answer as starting containers do."""

import itertools
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

Reply = tuple[int, bytes]
Answer = Callable[[str, str, bytes], Reply | None]
"""Method, path and body to status and body; None closes the connection without a word."""


@contextmanager
def serving(answer: Answer, *, port: int = 0, keeps: bool = False) -> Iterator[tuple[str, int]]:
    """A server on the loopback, gone at the end of the block; ``keeps`` its connections."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply(answer("GET", self.path, b""))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._reply(answer("POST", self.path, body))

        def _reply(self, reply: Reply | None) -> None:
            self.close_connection = reply is None or not keeps
            if reply is None:
                return
            status, body = reply
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()


def ready_after(seconds: float) -> Answer:
    """``/ping`` says 503 until it is ready; ``/invocations`` echoes."""
    ready_at = time.monotonic() + seconds
    return _ready(lambda: time.monotonic() >= ready_at)


def ready_when_asked(*, times: int) -> Answer:
    """The same, ready at the so-and-so-manyth ``/ping``."""
    asked = itertools.count(1)
    return _ready(lambda: next(asked) >= times)


def _ready(ready: Callable[[], bool]) -> Answer:
    def answer(method: str, path: str, body: bytes) -> Reply | None:
        if path == "/ping":
            return (200 if ready() else 503), b""
        return (200, b"echo " + body) if method == "POST" else (404, b"")

    return answer
