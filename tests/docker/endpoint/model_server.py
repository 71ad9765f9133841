"""A model container that does what the request tells it to: standard library only, port 8080.

The body is JSON with any of: ``hold`` (the name of a gate: waits in front of it until it is
opened), ``sleep`` (seconds before the answer), ``status``, ``say`` (the body to answer), ``die``
(exit code, at once), ``hang`` (never answers), ``close`` (hangs up without an answer), ``garbage``
(answers what is no HTTP), ``stream`` (chunks to send; ``hold`` waits after the first) with
``pause`` between them and ``break`` (hangs up in the middle), ``sick`` (``/ping`` is 500 from now
on), ``eat`` (MB), ``head`` (headers of the answer, by name). Otherwise it says what it got.
``FAIL`` in the environment makes the start fail, once only with ``once`` and ``once-in-tmp``,
``GATE`` keeps ``/ping`` at 500 until the gate of that name is open.

``SINGLE`` lets ``/ping`` wait until no request is worked on, as a server with one worker does:
each that waits is held in front of the gate ``ping``.

Whoever is beside it asks ``GET /open/NAME`` to open a gate for good, and ``GET /held`` for a line
with the gate's name for each request that waits.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FAIL = os.environ.get("FAIL", "")
GATE = os.environ.get("GATE", "")
SINGLE = os.environ.get("SINGLE", "")
STATE = {"count": 0, "sick": False, "at_once": 0, "most_at_once": 0}
LOCK = threading.Lock()
EATEN = []
MOVED = threading.Condition()
OPEN: set[str] = set()
HELD: list[str] = []


def ordered(body: bytes) -> dict[str, Any]:
    try:
        order = json.loads(body)
    except ValueError:
        return {}
    return order if isinstance(order, dict) else {}


def wait_at(gate: str) -> None:
    with MOVED:
        HELD.append(gate)
        MOVED.wait_for(lambda: gate in OPEN)
        HELD.remove(gate)


def open_gate(gate: str) -> None:
    with MOVED:
        OPEN.add(gate)
        MOVED.notify_all()


def wait_for_worker() -> None:
    with MOVED:
        HELD.append("ping")
        MOVED.wait_for(lambda: not STATE["at_once"])
        HELD.remove("ping")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        sick = STATE["sick"] or FAIL == "ping"
        shut = GATE and GATE not in OPEN
        what, _, gate = self.path.removeprefix("/").partition("/")
        if what == "ping" and SINGLE:
            wait_for_worker()
        if what == "ping":
            self.answer(500 if sick or shut else 200, b"not well" if sick else b"")
        elif what == "open":
            open_gate(gate)
            self.answer(200, b"")
        elif what == "held":
            self.answer(200, "".join(f"{one}\n" for one in tuple(HELD)).encode())
        else:
            self.answer(404, b"")

    def do_POST(self) -> None:
        body = self.body()
        with LOCK:
            STATE["count"] += 1
            STATE["at_once"] += 1
            STATE["most_at_once"] = max(STATE["most_at_once"], STATE["at_once"])
        self.counted = True
        try:
            self.obey(body)
        finally:
            self.ended()

    def ended(self) -> None:
        """Before it is answered: who has the answer may send the next request at once."""
        with LOCK:
            STATE["at_once"] -= self.counted
        self.counted = False
        with MOVED:
            MOVED.notify_all()

    def obey(self, body: bytes) -> None:
        order = ordered(body)
        if "id" in order:
            say(f"invoked {order['id']}")
        if "die" in order:
            say("dying as told")
            os._exit(order["die"])
        if "sick" in order:
            STATE["sick"] = True
        if "eat" in order:
            EATEN.append(bytearray(b"x" * order["eat"] * 1024 * 1024))
        if "hold" in order and "stream" not in order:
            wait_at(order["hold"])
        time.sleep(3600 if "hang" in order else order.get("sleep", 0))
        if "close" in order:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif "garbage" in order:
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            self.close_connection = True
        elif "stream" in order:
            self.stream(order)
        else:
            said = order["say"] if "say" in order else json.dumps(self.seen(body, order))
            self.ended()
            self.answer(order.get("status", 200), said.encode(), order.get("head", {}))

    def seen(self, body: bytes, order: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": order.get("id"),
            "bytes": len(body),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "host": socket.gethostname(),
            "name": os.environ.get("NAME", ""),
            "uid": os.getuid(),
            "count": STATE["count"],
            "most_at_once": STATE["most_at_once"],
            "model": sorted(path.name for path in Path("/opt/ml/model").glob("*")),
            "env": {name: value for name, value in os.environ.items() if name.isupper()},
            "argv": sys.argv[1:],
        }

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def stream(self, order: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/jsonlines")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in order["stream"]:
            data = part.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            if "hold" in order:
                wait_at(order["hold"])  # the second time and later it is open
            time.sleep(order.get("pause", 0))
        if "break" in order:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def answer(self, status: int, data: bytes, head: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (head or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        if "X-Amzn-SageMaker-Custom-Attributes" in self.headers:
            attributes = self.headers["X-Amzn-SageMaker-Custom-Attributes"]
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", attributes)
        self.send_header("X-Internal", "not for the client")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def stop(*_: object) -> None:
    say("stopping on SIGTERM")
    os._exit(0)


if FAIL == "exit":
    say("no such file: weights.bin")
    sys.exit(3)
if FAIL == "oom":
    while True:
        EATEN.append(bytearray(b"x" * 16 * 1024 * 1024))
FIRST = Path({"once": "/first", "once-in-tmp": "/tmp/first"}.get(FAIL, "/"))
if not FIRST.exists():
    FIRST.touch()
    sys.exit("the first start fails")
if FAIL == "shm":
    with Path("/dev/shm/weights").open("wb") as out:
        out.writelines(bytes(1 << 20) for _ in range(100))
if FAIL == "silent":
    time.sleep(3600)
signal.signal(signal.SIGTERM, stop)
say("serving")
Server(("", 8080), Handler).serve_forever()
