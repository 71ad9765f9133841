"""A registry of a few lines: it holds blobs by repository, and mounts, and counts what is sent."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeRegistry(http.server.BaseHTTPRequestHandler):
    """A class for each registry, made by ``fresh``: its attributes are what the registry holds."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    documents: dict[str, Any]
    """Manifests and configurations, by path."""
    blobs: dict[tuple[str, str], bytes]
    """By repository and digest."""
    written: dict[str, tuple[str, bytes]]
    """Media type and content of every manifest that was put, by path."""
    parts: dict[str, bytearray]
    """Uploads under way, by path."""
    uploads: int
    """How many were begun."""
    cancelled: list[str]
    failing: tuple[int, Any] | None
    """What every piece of an upload is answered with, if not 202."""

    @classmethod
    def fresh(cls, **holds: Any) -> "type[FakeRegistry]":
        """An empty registry but for what is said."""
        empty: dict[str, Any] = {
            "documents": {},
            "blobs": {},
            "written": {},
            "parts": {},
            "uploads": 0,
            "cancelled": [],
            "failing": None,
        }
        return type("Fresh", (cls,), empty | holds)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        repository, _, digest = path.removeprefix("/v2/").partition("/blobs/")
        if path == "/v2/":
            self._say(200, {})
        elif path == "/v2/_catalog":
            self._say(200, {"repositories": sorted({place for place, _ in self.blobs})})
        elif path.endswith("/tags/list"):
            tags = self._tags(path.removesuffix("tags/list") + "manifests/")
            self._say(200 if tags else 404, {"tags": tags})
        elif path in self.documents:
            content = json.dumps(self.documents[path]).encode()
            self._say(200, self.documents[path], {"Docker-Content-Digest": digest_of(content)})
        elif (repository, digest) in self.blobs:
            self._say(200, json.loads(self.blobs[repository, digest]))
        elif path.startswith("/v2/broken/"):
            self._say(500, {"errors": ["the disk is on fire"]})
        else:
            self._say(404, {})

    def do_HEAD(self) -> None:
        if self.path in self.documents:
            self._say(200, {}, {"Content-Type": self.documents[self.path]["mediaType"]})
            return
        repository, _, digest = self.path.removeprefix("/v2/").partition("/blobs/")
        self._say(200 if (repository, digest) in self.blobs else 404, {})

    def do_POST(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        repository = urlsplit(self.path).path.removeprefix("/v2/").partition("/blobs/")[0]
        if "mount" in asked:
            (digest,), (other,) = asked["mount"], asked["from"]
            if (other, digest) in self.blobs:
                self.blobs[repository, digest] = self.blobs[other, digest]
                self._say(201, {})
                return
        type(self).uploads += 1
        path = f"/v2/{repository}/blobs/uploads/{self.uploads}"
        self.parts[path] = bytearray()
        self._say(202, {}, {"Location": self._location(path)})

    def do_PATCH(self) -> None:
        path = self._upload()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.failing is None:
            self.parts[path] += content
            self._say(202, {}, {"Location": self._location(path)})
        else:
            self._say(*self.failing)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "/manifests/" in self.path:
            self.documents[self.path] = json.loads(content)
            self.written[self.path] = (self.headers["Content-Type"], content)
            digest = "sha256:other" if "altered" in self.path else digest_of(content)
            self._say(201, {}, {"Docker-Content-Digest": digest})
            return
        path = self._upload()
        (digest,) = parse_qs(urlsplit(self.path).query)["digest"]
        sent = bytes(self.parts.pop(path)) + content
        assert digest == digest_of(sent)
        self.blobs[path.removeprefix("/v2/").partition("/blobs/")[0], digest] = sent
        self._say(201, {})

    def do_DELETE(self) -> None:
        path = self._upload()
        self.cancelled.append(path)
        del self.parts[path]
        self._say(204, {})

    def log_message(self, *args: Any) -> None:
        pass

    def _location(self, path: str) -> str:
        return f"{path}?_state={len(self.parts[path])}"

    def _upload(self) -> str:
        """The path of an upload; who goes on with it has to know how far it is."""
        where = urlsplit(self.path)
        assert parse_qs(where.query)["_state"] == [str(len(self.parts[where.path]))]
        return where.path

    def _tags(self, beginning: str) -> list[str]:
        return sorted(
            path.removeprefix(beginning)
            for path in self.documents
            if path.startswith(beginning) and "sha256:" not in path
        )

    def _say(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = b"" if status == 204 else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def digest_of(content: bytes) -> str:
    """As registries write it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@contextmanager
def listening(registry: type[FakeRegistry]) -> Iterator[str]:
    """Serve a registry; its host and port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), registry) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
