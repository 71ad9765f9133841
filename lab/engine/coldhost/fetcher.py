"""The program in a cold host that fetches model archives: started early, asked when it counts."""

import json
import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from docker.utils.socket import STDOUT, frames_iter

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.errors import (
    ArchiveError,
    DiskFullError,
    EngineError,
    LabError,
    RegistryError,
    without_numbers,
)

_COMMAND: Final = ("python3", "/opt/coldhost/fetch.py")
_REMEDIES: Final[dict[str, tuple[type[LabError], str]]] = {
    "registry": (RegistryError, "Run it again: the registry is started when it is missing."),
    "archive": (ArchiveError, "Build the model again: `lab models build`."),
    "disk": (DiskFullError, "Free some space (`docker system df` shows what takes it)."),
}


class Fetcher:
    """``fetch.py`` at the other end of a stream: starting it and Python is not measured."""

    def __init__(self, engine: DockerEngine, container_id: str) -> None:
        """Start it in the container and wait until it listens."""
        client = engine.client
        with translated():
            run = client.exec_create(container_id, list(_COMMAND), stdin=True)["Id"]
            self._socket: Any = client.exec_start(run, socket=True)
        self._stderr = b""
        frames: Any = frames_iter  # the SDK has no types
        self._answers = self._lines(frames(self._socket, tty=False))
        self._next()

    def fetch(self, url: str, sha256: str, into: PurePosixPath) -> tuple[int, int]:
        """Download, check and unpack; begin and end in nanoseconds by the cold host's clock.

        Raises ``RegistryError``, ``ArchiveError`` or ``DiskFullError``.
        """
        asked = json.dumps({"url": url, "sha256": sha256, "into": str(into)}) + "\n"
        with translated():
            os.write(self._socket.fileno(), asked.encode())
        answer = self._next()
        if "error" in answer:
            kind, remedy = _REMEDIES.get(answer["kind"], (EngineError, ""))
            said = without_numbers(answer["error"])
            raise kind(f"The model cannot be fetched: {said}.", remedy=remedy)
        return int(answer["begin_ns"]), int(answer["end_ns"])

    def close(self) -> None:
        # The stream is borrowed from this answer, which alone closes the connection.
        self._socket._response.close()  # noqa: SLF001

    def _next(self) -> dict[str, Any]:
        with translated():
            line = next(self._answers, None)
        if line is None:
            stderr = self._stderr.decode(errors="replace").strip()
            raise EngineError(f"The cold host's fetch program ended. {stderr}".strip())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _lines(self, frames: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        """Whole lines of its standard output; what it says otherwise is kept for an error."""
        line = b""
        for stream, data in frames:
            if stream != STDOUT:
                self._stderr += data
                continue
            line += data
            while b"\n" in line:
                whole, _, line = line.partition(b"\n")
                yield whole
