"""The files of a run, which outlive whatever comes next: written whole, or line by line."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from lab.errors import BusyError, DiskFullError, UsageError

Record = TypeVar("Record", bound=BaseModel)
LATEST: Final = "latest"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_AGAIN: Final = "Free some space, then run the command again."


@contextmanager
def room(path: Path, *, remedy: str) -> Iterator[None]:
    """Say of a disk without room whose it is, and what to do. Raises ``DiskFullError``."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFullError(
            f"The disk that holds {path} is full; what was written before is kept.", remedy=remedy
        ) from error


def new_folder(path: Path) -> Path:
    """Make the folder of a run, which must be new. Raises ``BusyError`` and ``DiskFullError``."""
    try:
        with room(path, remedy=_AGAIN):
            path.mkdir(parents=True, exist_ok=False)
    except FileExistsError as error:
        raise BusyError(
            f"Another run began in the same second: {path.name}.", remedy="Run it again."
        ) from error
    return path


def find_run(name: str | Path, *, root: Path, file: str, what: str, make: str) -> Path:
    """The folder of a run that holds ``file``: by its id below ``root``, its path, or ``latest``.

    Raises ``UsageError`` naming those there are, or the command that would ``make`` one.
    """
    known = sorted(path.parent.name for path in root.glob(f"*/{file}"))
    known = [one for one in known if one != LATEST]
    if name == LATEST and known:
        name = known[-1]
    for path in (root / name, Path(name)):
        if (path / file).is_file():
            return path.resolve()
    there = f"The newest are {', '.join(known[-3:])}." if known else f"Make one: `{make}`."
    raise UsageError(f"There is no {what} {name}.", remedy=there)


def write_whole(path: Path, text: str | bytes, *, full: str = _AGAIN) -> Path:
    """Write beside, then rename: a reader sees the old file or the new one, never a part.

    Returns the path. Raises ``DiskFullError`` with ``full`` as its remedy, and ``UsageError`` when
    it may not be written.
    """
    try:
        with room(path, remedy=full):
            _write_whole(path, text.encode() if isinstance(text, str) else text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            remedy="Choose another place, with --out or LAB_HOME.",
        ) from error
    return path


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


class Lines(Generic[Record]):
    """A file with a JSON record in each line, that only grows."""

    def __init__(self, path: Path, record: type[Record], *, full: str) -> None:
        """``full`` is what to do when the disk is: the remedy of ``DiskFullError``."""
        self.path = path
        self._record = record
        self._full = full

    def read(self) -> list[Record]:
        """Every whole line; a last one torn by a crash is left out.

        Raises ``UsageError`` naming the line that does not parse.
        """
        whole, _ = self._parts()
        return [
            parse(self._record, line, of=self.path, line=number)
            for number, line in enumerate(whole.splitlines(), start=1)
            if line.strip()
        ]

    @property
    def torn(self) -> bool:
        """Whether a crash has left a last line without its end."""
        return bool(self._parts()[1])

    def mend(self) -> None:
        """Cut off a torn last line, so that the next can be appended."""
        whole, rest = self._parts()
        if rest:
            os.truncate(self.path, len(whole))

    def append(self, record: Record) -> None:
        """Write a record so that it survives whatever comes next.

        Raises ``DiskFullError`` when it does not fit; the file then ends with the record before.
        """
        before = self.path.stat().st_size if self.path.exists() else 0
        with room(self.path, remedy=self._full):
            try:
                with self.path.open("ab") as file:
                    file.write(record.model_dump_json(by_alias=True).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                if self.path.exists():
                    os.truncate(self.path, before)
                raise

    def _parts(self) -> tuple[bytes, bytes]:
        data = self.path.read_bytes() if self.path.exists() else b""
        end = data.rfind(b"\n") + 1
        return data[:end], data[end:]


def parse(record: type[Record], text: bytes, *, of: Path, line: int | None = None) -> Record:
    """A record from JSON.

    Raises ``UsageError`` with the file, the line and the field; for another schema with its number,
    whatever else it holds.
    """
    where = str(of) if line is None else f"{of}, line {line}"
    try:
        found = record.model_validate_json(text)
    except ValidationError as error:
        _check_schema(record, _schema_of(text), where)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(
            f"{where}: {field}: {first['msg']}.",
            remedy="The file was changed, or written by another version of the lab.",
        ) from error
    _check_schema(record, getattr(found, "schema_version", None), where)
    return found


def _check_schema(record: type[BaseModel], found: object, where: str) -> None:
    field = record.model_fields.get("schema_version")
    if field and found is not None and found != field.default:
        raise UsageError(
            f"{where} is of schema {found}, and this lab reads schema {field.default}.",
            remedy="Read it with the lab that wrote it (run.json names its version), or make it "
            "again with this one.",
        )


def _schema_of(text: bytes) -> object:
    """None where it cannot be told."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document.get("schema") if isinstance(document, dict) else None


def read_bytes(path: Path, *, remedy: str = "Name a run's folder.") -> bytes:
    """All of a file that a user named. Raises ``UsageError``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", remedy=remedy) from error
