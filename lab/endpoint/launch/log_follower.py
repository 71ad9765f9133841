"""Filing what a container says, for as long as it runs."""

import threading
from typing import Final

from lab.endpoint.log_files import LogWriter
from lab.engine.api import Container, LogStream
from lab.errors import EngineError

_AGAIN_S: Final = 0.1
_MISSES: Final = 300
"""In a row, after which the engine or the container is taken for gone."""
_DRAIN_S: Final = 3.0


class LogFollower:
    """A thread that follows a container's output, through a break of the engine's connection."""

    def __init__(self, container: Container, writer: LogWriter) -> None:
        self._container = container
        self._writer = writer
        self._closed = threading.Event()
        self._stream: LogStream | None = None
        self._thread: threading.Thread | None = None
        # The file keeps milliseconds: what was filed last must not come a second time.
        self._newest_ns = writer.last_ns and writer.last_ns + 999_999

    def start(self) -> None:
        """Begin, with everything that was not filed yet; nothing happens the second time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, daemon=True, name="filing")
            self._thread.start()

    def settle(self) -> None:
        """The container has ended: file what it said last. ``start`` follows its next start."""
        self.start()
        thread = self._thread
        if thread is not None:
            thread.join(_DRAIN_S)
            if not thread.is_alive():
                self._thread = None

    def note(self, text: str) -> None:
        """A line of the platform's own among the container's."""
        self._writer.write(f"[platform] {text}")

    def close(self, *, drain: bool = False, note: str | None = None) -> None:
        """End it. ``drain``: the container has ended, and what it said last is filed first.

        ``note`` is a last line of the platform's own.
        """
        if drain and self._thread is not None:
            self._thread.join(_DRAIN_S)
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.close()
        if self._thread is not None:
            self._thread.join(_DRAIN_S)
        if note is not None:
            self.note(note)
        self._writer.close()

    def _follow(self) -> None:
        misses = 0
        while not self._closed.is_set() and misses < _MISSES:
            try:
                # Asked first: what it said last is then read below.
                ended = not self._container.state().running
                self._stream = self._container.follow_logs(since_ns=self._newest_ns)
                misses = 0
                self._file(self._stream, self._newest_ns)
            except EngineError:
                # The engine broke off, or the container has been silent for long: once more.
                misses, ended = misses + 1, False
            if ended or self._closed.wait(_AGAIN_S):
                return

    def _file(self, stream: LogStream, after_ns: int) -> None:
        """File what is newer."""
        for line in stream:
            if self._closed.is_set():
                break
            if line.at_ns > after_ns:
                self._writer.write(line.text, at_ns=line.at_ns)
                self._newest_ns = max(self._newest_ns, line.at_ns)
