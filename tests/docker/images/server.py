"""A container whose start-up is known, or fails in a known way: what it does is in ``MODE``.

Standard library only; listens on 8080. ``DELAY`` is the seconds between its first line and the
moment at which it listens; ``READY_AFTER`` the seconds after that until ``/ping`` says 200.
``HOLD_MB`` is what it has in memory, ``WORK_MS`` the CPU time that an invocation takes.
"""

import json
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler

BEGAN = time.time_ns()
MODE = os.environ.get("MODE", "good")
DELAY = float(os.environ.get("DELAY", "0"))
READY_AFTER = float(os.environ.get("READY_AFTER", "0"))
HELD = b"x" * (int(os.environ.get("HOLD_MB", "0")) * 1024 * 1024)
WORK_S = float(os.environ.get("WORK_MS", "0")) / 1000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/startup" and MARKS is not None:
            self.answer(200, json.dumps(MARKS))
        elif self.path != "/ping":
            self.answer(404, "")
        elif MODE == "ping-500":
            self.answer(500, "no model")
        else:
            self.answer(200 if time.time() >= READY_AT else 503, "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if MODE == "teapot":
            self.answer(415, "only application/x-tea is brewed here")
        elif MODE == "die-on-post":
            os._exit(9)
        else:
            begun = time.thread_time()
            while time.thread_time() - begun < WORK_S:
                pass
            self.answer(200, json.dumps({"bytes": len(body)}))

    def answer(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


MARKS = None
if MODE == "exit-3":
    say("loading the model")
    say("no such file: weights.bin")
    sys.exit(3)
if MODE == "oom":
    say("loading the model")
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * 16 * 1024 * 1024))
if MODE == "silent":
    time.sleep(3600)

time.sleep(DELAY)
READY_AT = time.time() + READY_AFTER
server = Server(("", 8080), Handler)
if MODE == "marks":
    now = time.time_ns()
    MARKS = {
        "schema": 1,
        "pid": os.getpid(),
        "marks": {
            "process": BEGAN - 5_000_000,
            "interpreter": BEGAN,
            "imports": BEGAN + int(DELAY * 4e8),
            "model_loaded": BEGAN + int(DELAY * 8e8),
            "warmed_up": BEGAN + int(DELAY * 9e8),
            "listening": now,
        },
    }
    say(json.dumps({"lab_startup": MARKS}))
server.serve_forever()
