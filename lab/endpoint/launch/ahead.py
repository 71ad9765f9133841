"""Work in threads of its own, which whoever waits for it may leave behind: a connection that
stalls holds up nobody.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

from lab.endpoint.s3 import Coming

Check: TypeAlias = Callable[[], None]
"""Raises when it is not worth waiting any more."""

Opened: TypeAlias = AbstractContextManager[Coming]

_T = TypeVar("_T")
_PARTS: Final = 8
_POLL_S: Final = 0.1
_LEAVE_S: Final = 1.0
"""How long a thread is waited for that was told to end. It reads at most 60 s, then sees that."""

_AT_ONCE: Final = 8
"""Files that are fetched at the same time."""


def awaited(work: Callable[[], _T], check: Check) -> _T:
    """What another thread brings about. Raises what it raises, and what ``check`` does."""
    done: queue.Queue[_T | Exception] = queue.Queue()

    def run() -> None:
        try:
            done.put(work())
        except Exception as error:  # noqa: BLE001 - handed over
            done.put(error)

    threading.Thread(target=run, daemon=True, name="awaited").start()
    return _taken(done, check)


def _taken(held: "queue.Queue[_T | Exception]", check: Check) -> _T:
    while True:
        check()
        try:
            found = held.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if isinstance(found, Exception):
            raise found
        return found


class Ahead:
    """An object's parts, read by another thread while the last ones are being worked on."""

    def __init__(self, opened: Callable[[], Opened], check: Check) -> None:
        self.etag: str | None = None
        """The object's, once the first part is there."""
        self._opened = opened
        self._check = check
        self._held: queue.Queue[bytes | Exception | None] = queue.Queue(_PARTS)
        self._enough = threading.Event()
        self._coming: Coming | None = None
        self._thread = threading.Thread(target=self._read, daemon=True, name="ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        if self._coming is not None and self._thread.is_alive():
            self._coming.stop()
        self._thread.join(_LEAVE_S)

    def __iter__(self) -> Iterator[bytes]:
        """What reading raises is raised where the parts are taken; so is what ``check`` does."""
        while (part := _taken(self._held, self._check)) is not None:
            yield part

    def _read(self) -> None:
        try:
            with self._opened() as coming:
                self._coming, self.etag = coming, coming.etag
                for part in coming:
                    if not self._put(part):
                        return
        except Exception as error:  # noqa: BLE001 - handed over to whoever takes the parts
            self._put(error)
        else:
            self._put(None)

    def _put(self, what: bytes | Exception | None) -> bool:
        """Whether it was taken in: not when nobody wants any more."""
        while not self._enough.is_set():
            try:
                self._held.put(what, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


def write_all(files: Sequence[tuple[Path, Callable[[], Opened]]], check: Check) -> None:
    """Write objects into new files of folders that are there, some at a time."""
    crew = _Crew(files)
    threads = [
        threading.Thread(target=crew.work, daemon=True, name=f"files-{n}")
        for n in range(min(_AT_ONCE, len(files)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            _taken(crew.said, check)
    finally:
        crew.stop()
        for thread in threads:
            thread.join(_LEAVE_S / len(threads))


class _Crew:
    """What the threads share."""

    def __init__(self, files: Sequence[tuple[Path, Callable[[], Opened]]]) -> None:
        self.said: queue.Queue[Exception | None] = queue.Queue()
        """One for each thread, when it has ended."""
        self._left = iter(files)
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._coming: set[Coming] = set()

    def stop(self) -> None:
        self._enough.set()
        with self._lock:
            for coming in self._coming:
                coming.stop()

    def work(self) -> None:
        try:
            while not self._enough.is_set():
                with self._lock:
                    path, opened = next(self._left, (None, None))
                if path is None or opened is None:
                    break
                self._write(path, opened)
            self.said.put(None)
        except Exception as error:  # noqa: BLE001 - handed over
            self.said.put(error)

    def _write(self, path: Path, opened: Callable[[], Opened]) -> None:
        with opened() as coming, path.open("xb") as file:
            with self._lock:
                self._coming.add(coming)
            for part in coming:
                if self._enough.is_set():
                    return
                file.write(part)
            with self._lock:
                self._coming.discard(coming)
        path.chmod(0o644)
