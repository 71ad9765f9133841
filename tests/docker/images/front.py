"""A front server as people bring them: its port is open at once, what is behind it takes a while.

It answers 502 until its child, which the first question starts, has "loaded" (slept) for ``LOADS``
seconds.
"""

import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHILDREN: list[subprocess.Popen[bytes]] = []
LOCK = threading.Lock()


class Front(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with LOCK:
            if not CHILDREN:
                CHILDREN.append(subprocess.Popen(["/bin/sleep", os.environ.get("LOADS", "3")]))
            loaded = CHILDREN[0].poll() is not None
        self.answer(200 if loaded else 502)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    until = time.process_time() + 0.2  # some work that can be told from none
    while time.process_time() < until:
        pass
    ThreadingHTTPServer(("", 8080), Front).serve_forever()
