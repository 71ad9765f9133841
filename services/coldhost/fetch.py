"""Fetch model archives for a cold host, as SageMaker does before it starts a container.

Started before a trial, so that neither Python's own start nor the engine's is measured. Reads one
JSON request a line, ``{"url", "sha256", "into"}``, and answers each with one line: ``{"begin_ns",
"end_ns", "bytes"}``, or ``{"error", "kind"}`` with kind ``registry``, ``archive`` or ``disk``.
Imports only the standard library.
"""

import errno
import hashlib
import http.client
import json
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

_CHUNK = 1 << 20
_TIMEOUT_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FetchError(Exception):
    """What went wrong, and whose fault it is."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def download(url: str, sha256: str, to: Path) -> int:
    """Write what the URL holds to a file, check its digest and return its size in bytes."""
    digest = hashlib.sha256()
    size = 0
    try:
        with _DIRECT.open(url, timeout=_TIMEOUT_S) as answer, to.open("wb") as out:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
                size += len(chunk)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as why:
        raise FetchError("registry", f"{url}: {why}") from why
    if digest.hexdigest() != sha256:
        raise FetchError(
            "archive", f"{url} has sha256 {digest.hexdigest()} instead of {sha256} ({size} bytes)"
        )
    return size


def unpack(archive: Path, into: Path) -> None:
    """Unpack plain files and folders; refuse devices and whatever would land outside."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(into, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as why:
        raise FetchError("archive", f"The archive cannot be unpacked: {why}") from why
    except OSError as why:
        # gzip reports a corrupt stream as an OSError without a number.
        kind = "archive" if why.errno is None else "disk"
        raise FetchError(kind, f"The archive cannot be unpacked: {why}") from why


def fetch(url: str, sha256: str, into: Path) -> dict[str, Any]:
    """Download and unpack into a new folder; nothing stays behind when it fails."""
    begin = time.time_ns()
    part = into.with_name(into.name + ".tar.gz")
    into.mkdir(parents=True)
    try:
        size = download(url, sha256, part)
        unpack(part, into)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    finally:
        part.unlink(missing_ok=True)
    return {"begin_ns": begin, "end_ns": time.time_ns(), "bytes": size}


def answer(request: str) -> dict[str, Any]:
    """Do what one line asks for."""
    try:
        asked = json.loads(request)
        return fetch(asked["url"], asked["sha256"], Path(asked["into"]))
    except FetchError as why:
        return {"error": str(why), "kind": why.kind}
    except OSError as why:
        kind = "disk" if why.errno in {errno.ENOSPC, errno.EDQUOT} else "engine"
        return {"error": str(why), "kind": kind}


def serve(requests: Iterable[str], out: TextIO) -> None:
    """Say that it listens, then answer until the requests end."""
    print(json.dumps({"ready": True}), file=out, flush=True)
    for request in requests:
        print(json.dumps(answer(request)), file=out, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
