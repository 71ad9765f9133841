"""A server that dies in the way that ``CASE`` names. Standard library only."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CASE = os.environ.get("CASE", "")
asked = threading.Semaphore(0)


class Front(BaseHTTPRequestHandler):
    """As NGINX in front of a server that is not there: 502, and a line in the access log."""

    def do_GET(self) -> None:
        self.send_response(502)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        sys.stderr.write(
            f"{self.client_address[0]} - - [06/Oct/2024:10:00:01 +0000] "
            f'"{self.requestline}" 502 150 "-" "-"\n'
        )
        asked.release()


class Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def front() -> None:
    server = ThreadingHTTPServer(("", 8080), Front)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def worker() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import a_module_of_nobody"])
    child.wait()
    sys.stderr.write(f"INFO:     Child process [{child.pid}] died\n")


if CASE == "behind-nginx":
    front()
    worker()
    for _ in range(30):  # so many lines of the access log come after it
        asked.acquire()
    os._exit(0)
if CASE == "workers":
    front()
    while True:
        worker()
        time.sleep(0.2)
if CASE == "model":
    json.loads(Path("/opt/ml/model/model.json").read_text())
if CASE == "shm":
    with Path("/dev/shm/weights").open("wb") as out:
        for _ in range(100):
            out.write(bytes(1 << 20))
if CASE == "once":
    if not Path("/first").exists():
        Path("/first").touch()
        raise SystemExit("the first start fails")
    ThreadingHTTPServer(("", 8080), Well).serve_forever()
if CASE == "port":
    held = [socket.create_server(("", 8080)) for _ in range(2)]
raise SystemExit(f"there is no case {CASE}")
