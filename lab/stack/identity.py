"""Whose the model containers are."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from lab.endpoint.store import SqliteStore

_FILE = "emulator.sqlite3"
"""``STORE_FILE`` of ``lab.endpoint.emulator``, which would import everything an emulator is."""


def identity(state: Path) -> str | None:
    """The emulator's id, which is on every container that it starts; None if it never ran."""
    path = state / _FILE
    with suppress(OSError, sqlite3.Error):
        if path.is_file():
            store = SqliteStore(path)
            try:
                return store.identity()
            finally:
                store.close()
    return None
