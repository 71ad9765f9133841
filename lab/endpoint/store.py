"""What the emulator remembers, in one SQLite file.

Every call is one transaction in write-ahead mode: after a kill at any instant the file holds all
of it or nothing. Commits wait for the operating system, not for the disk, so a power cut may lose
the last ones, never the file.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from lab.endpoint.records import (
    AsyncRecord,
    EndpointRecord,
    Record,
    Resource,
    ResourceKind,
    ServerRecord,
    from_json,
    to_json,
)
from lab.errors import BusyError, DiskFullError, LabError

_APPLICATION_ID: Final = 0x1AB5A6E1
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE resource (
  kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL, row TEXT NOT NULL,
  PRIMARY KEY (kind, name)
);
-- Endpoint names are unique in whatever case, and looked up exactly.
CREATE TABLE endpoint (
  name TEXT PRIMARY KEY COLLATE NOCASE, arn TEXT NOT NULL, row TEXT NOT NULL
);
CREATE TABLE tag (
  arn TEXT NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (arn, key)
);
CREATE TABLE server (id TEXT PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE async (id TEXT PRIMARY KEY, row TEXT NOT NULL);
"""
_ANEW: Final = "Move that file away; the emulator starts with an empty one."


class SqliteStore:
    """Everything that survives a kill at any instant, in a file, which is made if there is none.

    Raises ``BusyError`` when another process holds the file, and ``LabError`` when the file is
    damaged, is not the emulator's, or was written by a newer lab.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._claim()
        except OSError as error:
            raise LabError(
                f"The emulator's state cannot be kept in {path.parent}: {error.strerror}.",
                remedy="Name a folder that can be written to in LAB_STATE.",
            ) from error
        try:
            with self._translated():
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                try:
                    self._prepare()
                except BaseException:
                    self._db.close()
                    raise
        except BaseException:
            os.close(self._lock)
            raise

    # --- models and configurations

    def put(self, kind: ResourceKind, row: Resource) -> bool:
        """Remember it; False if the name is taken."""
        with self.transaction() as db:
            added = db.execute(
                "INSERT OR IGNORE INTO resource (kind, name, arn, row) VALUES (?, ?, ?, ?)",
                (kind, row.name, row.arn, to_json(row)),
            )
            return added.rowcount == 1

    def resource(self, kind: ResourceKind, name: str) -> Resource | None:
        with self._reading() as db:
            found = db.execute(
                "SELECT row FROM resource WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        return None if found is None else self._decode(Resource, found[0])

    def resources(self, kind: ResourceKind) -> Sequence[Resource]:
        """All, in the order in which they were made."""
        return self._all(Resource, "SELECT row FROM resource WHERE kind = ? ORDER BY rowid", kind)

    def delete(self, kind: ResourceKind, name: str) -> bool:
        """Forget it and its tags; False if there is none."""
        return self._forget(
            "DELETE FROM resource WHERE kind = ? AND name = ? RETURNING arn", kind, name
        )

    # --- endpoints

    def add_endpoint(self, row: EndpointRecord) -> bool:
        """Remember it; False if the name is taken, in whatever case."""
        with self.transaction() as db:
            added = db.execute(
                "INSERT OR IGNORE INTO endpoint (name, arn, row) VALUES (?, ?, ?)",
                (row.name, row.arn, to_json(row)),
            )
            return added.rowcount == 1

    def endpoint(self, name: str) -> EndpointRecord | None:
        with self._reading() as db:
            found = db.execute(
                "SELECT row FROM endpoint WHERE name = ? COLLATE BINARY", (name,)
            ).fetchone()
        return None if found is None else self._decode(EndpointRecord, found[0])

    def endpoints(self) -> Sequence[EndpointRecord]:
        return self._all(EndpointRecord, "SELECT row FROM endpoint ORDER BY rowid")

    def change_endpoint(
        self, name: str, change: Callable[[EndpointRecord], EndpointRecord | None]
    ) -> EndpointRecord | None:
        """Read, change and write in one transaction; None from ``change`` leaves it as it is.

        Returns the row as it is afterwards, or None if there is none of that name. What
        ``change`` raises is raised, and nothing is written.
        """
        with self.transaction() as db:
            before = self.endpoint(name)
            after = None if before is None else change(before)
            if after is None:
                return before
            db.execute(
                "UPDATE endpoint SET row = ? WHERE name = ? COLLATE BINARY", (to_json(after), name)
            )
        return after

    def delete_endpoint(self, name: str) -> bool:
        """Forget it and its tags; False if there is none."""
        return self._forget(
            "DELETE FROM endpoint WHERE name = ? COLLATE BINARY RETURNING arn", name
        )

    def _forget(self, query: str, *values: str) -> bool:
        with self.transaction() as db:
            arn = db.execute(query, values).fetchone()
            if arn is not None:
                db.execute("DELETE FROM tag WHERE arn = ?", arn)
            return arn is not None

    # --- tags

    def tags(self, arn: str) -> Mapping[str, str]:
        """By key, in the order in which they were given."""
        with self._reading() as db:
            return dict(
                db.execute("SELECT key, value FROM tag WHERE arn = ? ORDER BY position", (arn,))
            )

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """These and no others."""
        with self.transaction() as db:
            db.execute("DELETE FROM tag WHERE arn = ?", (arn,))
            db.executemany(
                "INSERT INTO tag (arn, position, key, value) VALUES (?, ?, ?, ?)",
                [(arn, at, key, value) for at, (key, value) in enumerate(tags.items())],
            )

    # --- what runs and what waits

    def add_server(self, row: ServerRecord) -> None:
        """Remember a container; one of the same id is replaced."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO server VALUES (?, ?)", (row.id, to_json(row)))

    def servers(self) -> Sequence[ServerRecord]:
        return self._all(ServerRecord, "SELECT row FROM server ORDER BY rowid")

    def delete_server(self, server_id: str) -> None:
        with self.transaction() as db:
            db.execute("DELETE FROM server WHERE id = ?", (server_id,))

    def add_async(self, row: AsyncRecord) -> None:
        """Remember an accepted invocation; one of the same id is replaced."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO async VALUES (?, ?)", (row.id, to_json(row)))

    def asyncs(self) -> Sequence[AsyncRecord]:
        return self._all(AsyncRecord, "SELECT row FROM async ORDER BY rowid")

    def delete_async(self, record_id: str) -> None:
        with self.transaction() as db:
            db.execute("DELETE FROM async WHERE id = ?", (record_id,))

    # --- the file

    def identity(self) -> str:
        """The emulator's id, made with the file: on every container it starts."""
        with self._reading() as db:
            found: str = db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0]
            return found

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Several calls as one: all of them or, when an error leaves the block, none."""
        with self._reading() as db, _all_or_nothing(db):
            yield db

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        with self._mutex:
            if self._lock >= 0:
                self._db.close()
                os.close(self._lock)
                self._lock = -1

    def _all(self, record: type[Record], query: str, *values: str) -> list[Record]:
        with self._reading() as db:
            rows = db.execute(query, values).fetchall()
        return [self._decode(record, text) for (text,) in rows]

    def _decode(self, record: type[Record], text: str) -> Record:
        try:
            return from_json(record, text)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LabError(
                f"The emulator's state in {self._path} contains a corrupt record: {error}.",
                remedy=_ANEW,
            ) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, self._translated():
            yield self._db

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise DiskFullError(
                    f"The disk that holds the emulator's state, {self._path}, is full.",
                    remedy="Make room, then start the emulator again.",
                ) from error
            raise LabError(
                f"The emulator's state in {self._path} cannot be used: {error}.", remedy=_ANEW
            ) from error

    def _claim(self) -> int:
        # Held until this process ends, however it ends. A second store in this same process is
        # let in: a test that stands for a killed emulator and its successor is one process.
        descriptor = os.open(
            self._path.with_name(f"{self._path.name}.lock"),
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o600,
        )
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise BusyError(
                f"Another emulator keeps its state in {self._path}.",
                remedy="Stop it, or name another folder in LAB_STATE.",
            ) from error
        return descriptor

    def _prepare(self) -> None:
        db = self._db
        application = self._pragma("application_id")
        version = self._pragma("user_version")
        empty = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if empty and not application:
            db.execute("PRAGMA journal_mode = WAL")
            self._create()
        elif application != _APPLICATION_ID:
            raise LabError(
                f"{self._path} is a database, but not the emulator's.",
                remedy="Name another folder in LAB_STATE.",
            )
        elif version > _VERSION:
            raise LabError(
                f"{self._path} was written by a newer lab (its version is {version}, this lab "
                f"knows {_VERSION}).",
                remedy="Use that lab, or name another folder in LAB_STATE.",
            )
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise LabError(
                f"The emulator's state in {self._path} is damaged: {found}.", remedy=_ANEW
            )
        db.execute("PRAGMA synchronous = NORMAL")

    def _pragma(self, name: str) -> int:
        value: int = self._db.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def _create(self) -> None:
        # In one transaction, which executescript would commit: a kill leaves an empty file.
        with self.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute("INSERT INTO meta VALUES ('identity', ?)", (uuid.uuid4().hex[:12],))
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {_VERSION}")


@contextlib.contextmanager
def _all_or_nothing(db: sqlite3.Connection) -> Iterator[None]:
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        _roll_back(db)
        raise


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:  # a full disk may have ended it already
        db.execute("ROLLBACK")
