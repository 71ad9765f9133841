"""One bench at a time on a machine, and no heavy work of the lab's beside it.

A bench holds the lock alone. Heavy work (a contract check, a build of a model or an image) shares
it with other heavy work, and waits while a bench measures; a bench that finds heavy work is
refused, for whoever starts one decides what goes first. Within one process the lock is held once:
a bench that builds what it needs goes on.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from lab import busy
from lab.errors import BusyError
from lab.progress import Progress

_POLL_S: Final = 0.5
_held: Final[set[Path]] = set()
"""What this process holds."""


@contextmanager
def bench_lock(what: str, *, path: Path | None = None) -> Iterator[None]:
    """Hold the machine's lock alone; ``what`` tells others who holds it.

    The kernel lets go of the lock when its holder dies, however it dies: a stale file is no
    lock. Raises ``BusyError`` that names the holder.
    """
    if path is None and busy.ignored():
        yield
        return
    path = path or _shared_by_all()
    descriptor = _open(path)
    try:
        if not _locked(descriptor, fcntl.LOCK_EX):
            raise _refused(path, measuring=not _locked(descriptor, fcntl.LOCK_SH))
        with _named(what, path, alone=True):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def heavy_work(what: str, progress: Progress, *, path: Path | None = None) -> Iterator[None]:
    """Hold off benches for the length of the block, once those that measure have ended.

    While it waits a step of ``progress`` says for whom. Nothing is asked of a process that holds
    the lock already.
    """
    if path is None and busy.ignored():
        yield
        return
    path = path or _shared_by_all()
    if path in _held:
        yield
        return
    descriptor = _open(path)
    try:
        if not _locked(descriptor, fcntl.LOCK_SH):
            holder = " and ".join(_holders(path)) or "A bench"
            with progress.step(f"Waiting: {holder} is measuring on this machine"):
                while not _locked(descriptor, fcntl.LOCK_SH):
                    time.sleep(_POLL_S)
        with _named(what, path, alone=False):
            yield
    finally:
        os.close(descriptor)


def _shared_by_all() -> Path:
    """The same file for every checkout and user of this machine."""
    return Path(tempfile.gettempdir()) / "inference-lab-bench.lock"


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refused(path: Path, *, measuring: bool) -> BusyError:
    holders = _holders(path)
    if measuring:
        return BusyError(
            f"{' and '.join(holders) or 'Another bench'} is measuring on this machine, and two at "
            "once would measure each other.",
            remedy="Wait until it has ended, or stop it with Ctrl-C.",
        )
    return BusyError(
        f"The lab is at work on this machine, and a bench would measure that, too: "
        f"{', '.join(holders) or 'a build or a check'}.",
        remedy="Start the bench when it has ended.",
    )


@contextmanager
def _named(what: str, path: Path, *, alone: bool) -> Iterator[None]:
    """Write down who holds the lock, for as long as it is held.

    Another user's file can be locked but not always written to: the lock is what counts.
    """
    mine = f"{what} (process {os.getpid()})"
    _held.add(path)
    try:
        with suppress(OSError):
            _write(path, [mine] if alone else [*_holders(path), mine])
        yield
    finally:
        _held.discard(path)
        with suppress(OSError):
            _write(path, [one for one in _holders(path) if one != mine])


def _write(path: Path, holders: Sequence[str]) -> None:
    path.write_text("".join(f"{one}\n" for one in holders), encoding="utf-8")


def _holders(path: Path) -> Sequence[str]:
    """Who wrote that they hold it, less those whose process is gone."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return [line for line in lines if line.strip() and _lives(line)]


def _lives(line: str) -> bool:
    number = line.rpartition("(process ")[2].removesuffix(")")
    if not number.isdecimal():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


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
