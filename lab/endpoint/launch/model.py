"""A model's data from S3 into the folder that becomes ``/opt/ml/model``."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.artifacts.archive import MOST_BYTES, extract_stream
from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.errors import ArchiveError, DiskFullError

_PARTS: Final = 8
_POLL_S: Final = 0.1


@contextmanager
def prefetch(parts: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """The same parts, read by another thread that has ended when the block does.

    What reading raises is raised where the parts are taken.
    """
    held: queue.Queue[bytes | Exception | None] = queue.Queue(_PARTS)
    enough = threading.Event()
    thread = threading.Thread(target=_read, args=(parts, held, enough), daemon=True, name="ahead")
    thread.start()
    try:
        yield _taken(held)
    finally:
        enough.set()
        thread.join()


def _read(
    parts: Iterable[bytes], held: "queue.Queue[bytes | Exception | None]", enough: threading.Event
) -> None:
    try:
        for part in parts:
            if not _put(held, part, enough):
                return
    except Exception as error:  # noqa: BLE001 - handed over to whoever takes the parts
        _put(held, error, enough)
    else:
        _put(held, None, enough)


def _put(
    held: "queue.Queue[bytes | Exception | None]",
    what: bytes | Exception | None,
    enough: threading.Event,
) -> bool:
    """Whether it was taken in: not when nobody wants any more."""
    while not enough.is_set():
        try:
            held.put(what, timeout=_POLL_S)
        except queue.Full:
            continue
        return True
    return False


def _taken(held: "queue.Queue[bytes | Exception | None]") -> Iterator[bytes]:
    while (part := held.get()) is not None:
        if isinstance(part, Exception):
            raise part
        yield part


class Cancelled(Exception):  # noqa: N818 - an outcome
    """Whoever wanted the container wants it no more."""


class Deadline:
    """A deadline, and whether anybody still waits."""

    def __init__(self, *, at: float, cancelled: threading.Event, what: str) -> None:
        """``at`` is monotonic; ``what`` says in a failure what took too long."""
        self.at = at
        self._cancelled = cancelled
        self._what = what

    def check(self) -> None:
        """Raise ``Cancelled``, or ``LaunchFailed`` when the time is up."""
        if self._cancelled.is_set():
            raise Cancelled
        if time.monotonic() > self.at:
            raise LaunchFailed(self._what)


def fetch(objects: S3Objects, plan: VariantPlan, into: Path, until: Deadline) -> None:
    """Fetch it, an archive being unpacked as it comes in. Raises ``LaunchFailed``."""
    uri = plan.model_data
    if uri is None:
        return
    try:
        if plan.compressed:
            with objects.open(uri) as coming, prefetch(coming) as parts:
                most = plan.compute.disk_bytes or MOST_BYTES
                extract_stream(_checked(parts, until), into, name=uri, most_bytes=most)
        else:
            objects.download_prefix(uri, into)
            _not_empty(into, uri)
    except ObjectError as error:
        raise LaunchFailed(download_failure(uri, error)) from error
    except ArchiveError as error:
        raise LaunchFailed(
            f'Failed to extract model data archive from URL "{uri}". Please ensure that the '
            f"object located at the URL is a valid tar.gz archive. {error}"
        ) from error
    except DiskFullError as error:
        raise LaunchFailed(str(error)) from error
    _readable(into)


def download_failure(uri: str, error: ObjectError) -> str:
    """AWS's words, and what S3 said."""
    return (
        f'Failed to download model data from URL: "{uri}". Please ensure that there is an object '
        "located at the URL and that the role passed to CreateModel has permissions to download "
        f"the model. {error}"
    )


def _not_empty(into: Path, uri: str) -> None:
    if not any(into.iterdir()):
        raise ObjectError("NoSuchKey", f"There is no object below {uri}.")


def _checked(parts: Iterable[bytes], until: Deadline) -> Iterator[bytes]:
    for part in parts:
        until.check()
        yield part


def _readable(folder: Path) -> None:
    """To whatever user the image runs as, though the emulator's umask may be strict."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else path.stat().st_mode & 0o777 | 0o444)
