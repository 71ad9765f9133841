"""One bench at a time on a machine: two would measure each other."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.errors import BusyError


@contextmanager
def bench_lock(what: str, *, path: Path | None = None) -> Iterator[None]:
    """Hold the machine's bench lock; ``what`` tells others who holds it.

    The kernel lets go of the lock when its holder dies, however it dies: a stale file is no
    lock. Raises ``BusyError`` that names the holder.
    """
    # The same file for every checkout and user of this machine.
    path = path or Path(tempfile.gettempdir()) / "inference-lab-bench.lock"
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = path.read_text(encoding="utf-8", errors="replace").strip() or "another bench"
            raise BusyError(
                f"{holder} is measuring on this machine, and two at once would measure each other.",
                remedy="Wait until it has ended, or stop it with Ctrl-C.",
            ) from error
        # Another user's file can be locked but not always written to: the lock is what counts.
        with suppress(OSError):
            path.write_text(f"{what} (process {os.getpid()})\n", encoding="utf-8")
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    # Opened without O_CREAT when it exists: in a sticky /tmp, Linux refuses O_CREAT on the files
    # of others even to root (fs.protected_regular).
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with suppress(OSError):
            os.fchmod(descriptor, 0o666)
        return descriptor
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
