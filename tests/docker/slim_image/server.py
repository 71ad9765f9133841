"""A server that needs a file only when a body is too large: /srv/refusals/too-large.txt."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LIMIT = 1_000_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) > LIMIT:
            try:
                self.answer(413, Path("/srv/refusals/too-large.txt").read_bytes())
            except OSError as error:
                code = os.strerror(error.errno or 0).encode()
                self.answer(500, code if os.environ.get("DISCREET") else str(error).encode())
            return
        try:
            self.answer(200, json.dumps({"sum": sum(json.loads(body))}).encode())
        except (ValueError, TypeError):
            self.answer(400, b"not a list of numbers")

    def answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("", 8080), Handler).serve_forever()
