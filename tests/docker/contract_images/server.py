"""A model server that keeps the hosting contract, less the one thing that ``BREAK`` names.

Standard library only. ``serve`` as argument, port 8080, a prediction takes ``WORK`` seconds.
With ``worker-...`` two processes share the port.
"""

import fcntl
import json
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

BREAK = os.environ.get("BREAK", "")
WORK = {
    "drops-requests": 0.15,
    "drops-quick": 0.003,
    "answers-quick": 0.003,
    "full-backlog": 0.3,
}.get(BREAK, 0.03)
ALWAYS = {"refuses-all": 413, "always-500": 500, "redirects": 307}
MIB = 1024 * 1024
LATE_S = 5.0
LEAKED_AT_A_TIME = 24 * MIB
MOST_LEAKED = 1600 * MIB

state = SimpleNamespace(accepted=0, in_flight=0, loaded_at=0.0, latest=0.0, predicted=0)
changed = threading.Condition()
kept: list[bytes] = []
held: list[int] = []
models: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 70
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.close_connection = True
        try:
            self.handle_one_request()
        finally:
            count("accepted", -1)
        while not self.close_connection:
            self.handle_one_request()

    def do_GET(self) -> None:
        if self.path == "/ping":
            self.ping()
        elif BREAK == "dies-on-unknown-paths":
            os._exit(4)
        elif self.path == "/execution-parameters" and BREAK == "batch":
            self.answer(200, {"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD"})
        elif self.path.startswith("/models") and BREAK == "multi-model":
            self.list_models()
        else:
            self.answer(404)

    def do_HEAD(self) -> None:
        self.answer(200 if self.path == "/ping" else 404)

    def do_DELETE(self) -> None:
        self.answer(200 if models.pop(self.path.split("/")[2], None) else 404)

    def do_POST(self) -> None:
        with Flight():
            self.post()
        if BREAK == "hangs-up":
            self.close_connection = True

    def post(self) -> None:
        body = self.body()
        path = self.path
        if path.startswith("/models") and BREAK == "multi-model":
            path = self.load_model(body)
        if path != "/invocations":
            return
        if BREAK == "small-bodies" and len(body) > 5 * MIB:
            self.answer(413)
        elif BREAK == "strict-headers" and "X-Amzn-SageMaker-Not-Yet-Invented" in self.headers:
            self.answer(500, {"error": "what is this header?"})
        elif BREAK in ALWAYS:
            self.answer(ALWAYS[BREAK], {"error": "no"}, Location="/invocations/")
        elif BREAK in {"loads-late", "worker-late"} and time.monotonic() < state.loaded_at:
            self.answer(500, {"error": "the model is not there yet"})
        elif self.headers.get("Content-Type") != "application/json":
            self.answer(500 if BREAK == "type-500" else 415, {"supported": ["application/json"]})
        elif BREAK == "few-at-once" and state.in_flight > 6:
            self.answer(503)
        else:
            self.predict(body)

    def predict(self, body: bytes) -> None:
        try:
            json.loads(body)
        except ValueError:
            if BREAK == "dies-on-garbage":
                os._exit(3)
            self.answer(400, {"error": "not JSON"})
            return
        if BREAK in {"dies-later", "worker-dies"}:
            state.predicted += 1
            if state.predicted == 3:
                sys.stderr.write("MemoryError: the third is one too many\n")
                os._exit(7)
        time.sleep(max(WORK, state.loaded_at - time.monotonic()))
        if BREAK == "leaks" and len(kept) * LEAKED_AT_A_TIME < MOST_LEAKED:
            kept.append(b"x" * LEAKED_AT_A_TIME)
        more = {"scores": "9" * (5 * MIB)} if BREAK == "large-answer" else {}
        debugging = {"Debug": "x" * 5000} if BREAK == "long-headers" else {}
        self.answer(200, {"bytes": len(body), **more}, **debugging)

    def ping(self) -> None:
        if BREAK == "slow-ping":
            time.sleep(3)
        if BREAK == "blocked-ping":
            while state.in_flight or time.monotonic() - state.latest < 0.3:
                time.sleep(0.05)
        self.answer(200)

    def list_models(self) -> None:
        name = self.path.removeprefix("/models").strip("/")
        found = [{"modelName": one, "modelUrl": url} for one, url in models.items()]
        if not name:
            self.answer(200, {"models": found})
        elif name in models:
            self.answer(200, {"modelName": name, "modelUrl": models[name]})
        else:
            self.answer(404)

    def load_model(self, body: bytes) -> str:
        """Where the request goes on, for an invocation of a model that is loaded."""
        parts = self.path.strip("/").split("/")
        if len(parts) == 1:
            said = json.loads(body)
            self.answer(409 if said["model_name"] in models else 200)
            models[said["model_name"]] = said["url"]
            return ""
        if parts[1] in models:
            return "/invocations"
        self.answer(404)
        return ""

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if BREAK == "dies-on-chunks":
            os._exit(5)
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status: int, content: object = None, **headers: str) -> None:
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        if data:
            self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        if BREAK == "no-length" and data:
            self.send_header("Transfer-Encoding", "chunked")
            data = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
        else:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Flight:
    """A request that is being answered."""

    def __enter__(self) -> None:
        count("in_flight", 1)

    def __exit__(self, *_: object) -> None:
        count("in_flight", -1)


def count(what: str, number: int) -> None:
    with changed:
        setattr(state, what, getattr(state, what) + number)
        if what == "in_flight":
            state.latest = time.monotonic()
        changed.notify_all()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        # From here, and not from when its thread gets to run: see finish().
        count("accepted", 1)
        super().process_request(request, client_address)

    def handle_error(self, *_: object) -> None:
        pass  # a client that hung up


class OneByOne(socketserver.TCPServer):
    """Answers one after the other, and lets next to none wait."""

    allow_reuse_address = True
    request_queue_size = 1

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        count("accepted", 1)
        super().process_request(request, client_address)

    def handle_error(self, *_: object) -> None:
        pass


def finish(server: socketserver.TCPServer) -> None:
    """Accept what waits and no more, answer it, and end."""
    server.shutdown()
    while select.select([server], [], [], 0)[0]:
        server.handle_request()
    server.server_close()
    with changed:
        changed.wait_for(lambda: state.accepted == state.in_flight == 0, timeout=20)
    os._exit(0)


def start() -> None:
    """Everything before the server listens."""
    if sys.argv[1:] != ["serve"] and BREAK != "shell-form":
        sys.exit(f"usage: server.py serve, not {sys.argv[1:]}")
    if BREAK == "writes-model":
        Path("/opt/ml/model/compiled").write_text("compiled")
    if BREAK == "needs-root" and os.getuid() != 0:
        sys.exit("run me as root")
    if BREAK == "writes-root":
        Path("/scratch/cache").write_text("cache")
    if BREAK == "needs-network":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 443))  # nothing is sent: it only needs a route
    if BREAK == "starts-once":
        Path("/tmp/started").mkdir()
    if BREAK == "locks-model":
        held.append(os.open("/opt/ml/model/weights.json", os.O_RDONLY))
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    if BREAK == "large":
        kept.append(b"x" * (1100 * MIB))
    if BREAK == "slow-start":
        time.sleep(120)
    late_s = {"early-ping": 4, "loads-late": LATE_S}.get(BREAK, 0)
    state.loaded_at = time.monotonic() + late_s


def share(server: socketserver.TCPServer) -> None:
    """Two processes answer; this one only keeps them."""
    workers: list[int] = []
    server.socket.settimeout(0)  # both are woken, and one finds nothing to accept

    def end(*_: object) -> None:
        for one in workers:
            os.kill(one, signal.SIGTERM)
        for one in workers:
            os.waitpid(one, 0)
        os._exit(0)

    for number in (0, 1):
        workers.append(os.fork())
        if not workers[-1]:
            state.loaded_at += LATE_S * (BREAK == "worker-late" and number)
            return
    signal.signal(signal.SIGTERM, end)
    while True:
        gone, _ = os.wait()
        workers.remove(gone)
        workers.append(os.fork())
        if not workers[-1]:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            state.predicted = 0
            return


def main() -> None:
    start()
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)
    if BREAK == "wrong-port":
        port = 8000
    if BREAK == "deaf-to-port":
        port = 8080
    kind = OneByOne if BREAK == "full-backlog" else Server
    server = kind(("", port), Handler)
    if BREAK.startswith("worker-"):
        share(server)

    def stop(*_: object) -> None:
        if BREAK.startswith("drops-"):
            os._exit(0)
        if BREAK != "ignores-sigterm":
            threading.Thread(target=finish, args=(server,)).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.05)
    signal.pause()


main()
