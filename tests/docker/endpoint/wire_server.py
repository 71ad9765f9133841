"""A model container that answers byte for byte what the request's custom attributes say.

They are JSON with any of: ``wire`` (what to answer; ``PAD`` in it stands for ``pad`` letters),
``unread`` (at once, and the body is left unread), ``die`` (exit code, instead of an answer). The
connection is closed after it, so a whole answer has to say so. Otherwise it says which headers it
got, in their order. Standard library only, port 8080.
"""

import json
import os
import signal
import socketserver
import sys


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, path, _ = self.rfile.readline().decode("latin-1").split(" ", 2)
        headers: list[list[str]] = []
        while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(": ")
            headers.append([name, value])
        if method == "GET":
            self.say(f"HTTP/1.1 {200 if path == '/ping' else 404} X\r\nContent-Length: 0\r\n\r\n")
            return
        by_name = {name.lower(): value for name, value in headers}
        order = json.loads(by_name.get("x-amzn-sagemaker-custom-attributes") or "{}")
        if not order.get("unread"):
            self.rfile.read(int(by_name.get("content-length", "0")))
        if "die" in order:
            sys.stderr.write("dying as told\n")
            os._exit(order["die"])
        said = json.dumps(headers)
        plain = f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n{said}"
        self.say(order.get("wire", plain).replace("PAD", "a" * order.get("pad", 0)))

    def say(self, text: str) -> None:
        self.wfile.write(text.encode("latin-1"))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(("", 8080), Handler).serve_forever()
