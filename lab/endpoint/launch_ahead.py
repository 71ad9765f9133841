"""Reading ahead: what comes over the network is fetched while what has come is unpacked."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

_PARTS: Final = 8
_POLL_S: Final = 0.1


@contextmanager
def ahead(parts: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
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
