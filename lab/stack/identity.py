"""What the emulator remembers, read while it does not run."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.endpoint.store import SqliteStore
from lab.errors import LabError

_FILE = "emulator.sqlite3"
"""``STORE_FILE`` of ``lab.endpoint.emulator``, which would import everything an emulator is."""


def identity(state: Path) -> str | None:
    """The emulator's id, which is on every container that it starts; None if it never ran."""
    with suppress(OSError, sqlite3.Error), _opened(state) as store:
        return None if store is None else store.identity()
    return None


def endpoints(state: Path) -> Collection[str]:
    """The names of the endpoints that the emulator goes on with once it runs again.

    None where that cannot be read: the emulator itself will say what is wrong.
    """
    with suppress(OSError, sqlite3.Error, LabError), _opened(state) as store:
        return frozenset() if store is None else {row.name for row in store.endpoints()}
    return frozenset()


@contextmanager
def _opened(state: Path) -> Iterator[SqliteStore | None]:
    path = state / _FILE
    if not path.is_file():
        yield None
        return
    store = SqliteStore(path)
    try:
        yield store
    finally:
        store.close()
