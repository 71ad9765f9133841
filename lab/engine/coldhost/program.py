"""A program in a container, that answers each line of JSON with another."""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from docker.utils.socket import STDOUT, frames_iter

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.errors import EngineError


class Program:
    """The near end of its streams. Starting it, and what it is written in, is not measured."""

    def __init__(self, engine: DockerEngine, container_id: str, command: Sequence[str]) -> None:
        """Start it in a container that runs."""
        self._name = command[-1] if len(command) < 2 else command[1].rpartition("/")[2]
        client = engine.client
        with translated():
            run = client.exec_create(container_id, list(command), stdin=True)["Id"]
            self._socket: Any = client.exec_start(run, socket=True)
        # Over TLS it is the socket itself, else a file made of one.
        self._wire: socket.socket = getattr(self._socket, "_sock", self._socket)
        self._wire.settimeout(None)
        self._stderr = b""
        frames: Any = frames_iter  # the SDK has no types
        self._answers = self._lines(frames(self._socket, tty=False))

    def ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        """One line there, one line back. Raises ``EngineError`` when it has ended."""
        with translated():
            self._wire.sendall(json.dumps(request).encode() + b"\n")
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Its next line."""
        with translated():
            line = next(self._answers, None)
        if line is None:
            stderr = self._stderr.decode(errors="replace").strip()
            raise EngineError(f"{self._name} in the cold host ended. {stderr}".strip())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write all of it to its standard input, and close that. It may end before it has read
        everything: then its answer says why.
        """
        with suppress(BrokenPipeError, ConnectionResetError):
            for chunk in chunks:
                self._wire.sendall(chunk)
            self._wire.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        # The stream is borrowed from this answer, which alone closes the connection.
        self._socket._response.close()  # noqa: SLF001

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
