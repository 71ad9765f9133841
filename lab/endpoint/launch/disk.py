"""What containers may write: a folder on the disk for each, watched, since no quota holds it."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EVERY_S: Final = 3.0

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Watched:
    folder: Path
    most_bytes: int
    on_over: Callable[[int], None]
    used_bytes: int = 0
    over: bool = False


class DiskWatch:
    """Adds up each folder every few seconds, in one thread that begins with the first of them."""

    def __init__(self, *, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def add(
        self, key: str, folder: Path, *, most_bytes: int, on_over: Callable[[int], None]
    ) -> None:
        """Watch a folder; ``on_over`` is told its bytes once, when they are too many."""
        with self._lock:
            self._watched[key] = _Watched(folder=folder, most_bytes=most_bytes, on_over=on_over)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, daemon=True, name="disk-watch")
                self._thread.start()

    def forget(self, key: str) -> None:
        with self._lock:
            self._watched.pop(key, None)

    def used_bytes(self, key: str) -> int | None:
        """What it came to when it was last looked at; None if it is not watched."""
        with self._lock:
            found = self._watched.get(key)
            return None if found is None else found.used_bytes

    def close(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(self._every_s):
            with self._lock:
                watched = list(self._watched.values())
            for one in watched:
                one.used_bytes = used_bytes(one.folder)
                if one.used_bytes > one.most_bytes and not one.over:
                    one.over = True
                    try:
                        one.on_over(one.used_bytes)
                    except Exception:  # noqa: BLE001 - the others are watched on
                        _LOG.exception("%s is too large", one.folder)


def used_bytes(folder: Path) -> int:
    """Bytes on the disk of everything below a folder; what cannot be read does not count."""
    total = 0
    left = [os.fspath(folder)]
    while left:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
