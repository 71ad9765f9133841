"""Each container's output, as SageMaker files it in CloudWatch: a stream per container, kept on.

``<root>/<endpoint>/<variant>/<server id>.log``, a line per event: its time in UTC, a space, what
was said. A file that has grown to half of what one stream may take becomes ``.log.1`` and a new
one begins, so the newest lines are always there.
"""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 10 * 1024 * 1024
"""Of one stream, its older file included."""

MOST_STREAMS: Final = 500
"""Of one variant; the oldest give way. CloudWatch keeps all."""

OF_THE_LAB: Final = "lab"
"""The stream of what the lab has to say of a variant, beside those of its containers."""
DATA_LOG: Final = "data-log"
"""AWS's name for the stream of what became of asynchronous requests."""

_POLL_S: Final = 0.25
_BLOCK: Final = 64 * 1024
_NS: Final = 1_000_000_000


class LogWriter:
    """One container's stream. Safe to use from several threads."""

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._half = most_bytes // 2
        self._lock = threading.Lock()
        self.last_ns = _last_ns(path)
        """When the newest line was written that is there; 0 when there is none."""
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size

    def write(self, text: str, *, at_ns: int | None = None) -> None:
        """One line; now, unless its time is given."""
        at_ns = time.time_ns() if at_ns is None else at_ns
        line = f"{_stamp(at_ns)} {text}\n".encode(errors="replace")
        with self._lock:
            if self._file.closed:
                return
            if self._size and self._size + len(line) > self._half:
                self._turn()
            self._file.write(line)
            self._size += len(line)
            self.last_ns = max(self.last_ns, at_ns)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _turn(self) -> None:
        self._file.close()
        self._path.replace(_older(self._path))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0


class LogFiles:
    """All streams below a folder. Logs outlive their containers and endpoints."""

    def __init__(self, root: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._root = root
        self._most_bytes = most_bytes

    def writer(self, endpoint: str, variant: str, server_id: str) -> LogWriter:
        """Begin a container's stream, or go on with it."""
        folder = self._root / endpoint / variant
        path = folder / f"{server_id}.log"
        if not path.exists():
            _make_room(folder)
        return LogWriter(path, most_bytes=self._most_bytes)

    def note(self, endpoint: str, variant: str, text: str, *, stream: str = OF_THE_LAB) -> None:
        """What the lab has to say, marked as that."""
        self.line(endpoint, variant, stream, f"[platform] {text}")

    def line(self, endpoint: str, variant: str, stream: str, text: str) -> None:
        """One line of a stream that nobody else keeps open."""
        writer = self.writer(endpoint, variant, stream)
        writer.write(text)
        writer.close()

    def streams(self, endpoint: str) -> Sequence[tuple[str, str]]:
        """Variant and server id of each stream, those written to last at the end."""
        return [(path.parent.name, path.stem) for path in self._paths(endpoint)]

    def tail(self, endpoint: str, lines: int = 100) -> list[str]:
        """The newest lines of all streams in the order of their times.

        Each begins with ``variant/server_id `` and its time.
        """
        found: list[tuple[str, str]] = []
        for path in reversed(self._paths(endpoint)):
            with suppress(OSError):
                if len(found) >= lines > 0:
                    # What was last written to before the oldest line shown has none to show.
                    found = sorted(found, key=_time_of)[-lines:]
                    if _stamp(path.stat().st_mtime_ns) < _time_of(found[0]):
                        break
                found += [(_name(path), line) for line in _last_lines(path, lines)]
        found.sort(key=_time_of)
        return [f"{name} {line}" for name, line in found[-lines:]] if lines > 0 else []

    async def follow(self, endpoint: str, *, lines: int = 0) -> AsyncIterator[str]:
        """Lines as they are filed, after the last ``lines`` that are there; without an end."""
        readers = {path: _Reader(path, at_end=True) for path in self._paths(endpoint)}
        for line in await asyncio.to_thread(self.tail, endpoint, lines):
            yield line
        while True:
            for path in self._paths(endpoint):
                reader = readers.setdefault(path, _Reader(path, at_end=False))
                for line in reader.read():
                    yield f"{_name(path)} {line}"
            await asyncio.sleep(_POLL_S)

    def forget(self, endpoint: str) -> None:
        shutil.rmtree(self._root / endpoint, ignore_errors=True)

    def _paths(self, endpoint: str) -> list[Path]:
        found = []
        for path in (self._root / endpoint).glob("*/*.log"):
            with suppress(OSError):
                found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]


class _Reader:
    """Reads on from where it was, through the change from one file to the next."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._path = path
        self._at = 0
        self._inode: int | None = None
        if at_end:
            with suppress(OSError):
                stat = path.stat()
                self._at, self._inode = stat.st_size, stat.st_ino

    def read(self) -> list[str]:
        lines: list[str] = []
        with suppress(OSError):
            inode = self._path.stat().st_ino
            if self._inode is not None and inode != self._inode:
                lines += self._from(_older(self._path))
                self._at = 0
            self._inode = inode
            lines += self._from(self._path)
        return lines

    def _from(self, path: Path) -> list[str]:
        with path.open("rb") as file:
            file.seek(self._at)
            # A line is written whole, but may be seen half.
            whole, newline, _ = file.read().rpartition(b"\n")
        self._at += len(whole) + len(newline)
        return whole.decode(errors="replace").split("\n") if newline else []


def _stamp(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // _NS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns % _NS // 1_000_000:03d}Z"


def _time_of(found: tuple[str, str]) -> str:
    return found[1].partition(" ")[0]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _last_lines(path: Path, lines: int) -> list[str]:
    found = _ends(path, lines)
    older = _older(path)
    if len(found) < lines and older.exists():
        found = _ends(older, lines - len(found)) + found
    return found


def _ends(path: Path, lines: int) -> list[str]:
    """The last lines of one file, read from its end."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        data = b""
        while at > 0 and data.count(b"\n") <= lines:
            step = min(_BLOCK, at)
            at -= step
            file.seek(at)
            data = file.read(step) + data
    whole = data[: data.rfind(b"\n") + 1].decode(errors="replace").split("\n")[:-1]
    return whole[-lines:]


def _last_ns(path: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        stamp = _last_lines(path, 1)[-1].partition(" ")[0]
        return round(datetime.fromisoformat(stamp).timestamp() * 1000) * 1_000_000
    return 0


def _make_room(folder: Path) -> None:
    streams = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    for path in streams[: max(0, len(streams) - MOST_STREAMS + 1)]:
        path.unlink(missing_ok=True)
        _older(path).unlink(missing_ok=True)
