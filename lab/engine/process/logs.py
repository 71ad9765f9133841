"""A process's output as it is written to a file: stamped when it is read."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from lab.engine.api import LogLine

_POLL_S: Final = 0.1
_MOST_BYTES: Final = 256 * 1024


class FileLogStream:
    """Lines until the process has ended and all is read, or the stream is closed."""

    def __init__(self, path: Path, *, runs: Callable[[], bool], begin: int = 0) -> None:
        """``begin`` is how many bytes of it are passed over."""
        self._path = path
        self._runs = runs
        self._begin = begin
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[LogLine]:
        while not self._path.exists():
            if self._closed.wait(_POLL_S) or not self._runs():
                return
        with self._path.open("rb") as file:
            file.seek(self._begin)
            yield from self._lines(file)

    def close(self) -> None:
        self._closed.set()

    def _lines(self, file: BinaryIO) -> Iterator[LogLine]:
        held = b""
        while not self._closed.is_set():
            runs = self._runs()  # asked first: what it wrote last is then read below
            while part := file.readline(_MOST_BYTES):
                held += part
                if held.endswith(b"\n") or len(held) >= _MOST_BYTES:
                    yield _line(held)
                    held = b""
            if not runs:
                break
            self._closed.wait(_POLL_S)
        if held:
            yield _line(held)


def _line(text: bytes) -> LogLine:
    return LogLine(at_ns=time.time_ns(), text=text.decode(errors="replace").rstrip("\r\n"))
