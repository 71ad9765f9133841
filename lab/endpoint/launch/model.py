"""A model's data from S3 into the folder that becomes ``/opt/ml/model``."""

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from lab.artifacts.archive import MOST_BYTES, extract_stream
from lab.endpoint.launch.ahead import Ahead, Check, awaited, write_all
from lab.endpoint.live import NothingToStart, VariantPlan
from lab.endpoint.modeldata import file_name, laid_out
from lab.endpoint.s3 import CHANGED, ObjectError, S3Location, S3Objects, Stored
from lab.errors import ArchiveError, ArchiveTooLargeError, LabError, refused_by_disk

ARCHIVE: Final = "The archive"
"""What errors call it: its URL is said before."""


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
        """Raise ``Cancelled``, or ``NothingToStart`` when the time is up."""
        if self._cancelled.is_set():
            raise Cancelled
        if time.monotonic() > self.at:
            raise NothingToStart(self._what)


def fetch(objects: S3Objects, plan: VariantPlan, into: Path, until: Deadline) -> None:
    """Fetch what a variant's model names, if it names anything. Raises ``NothingToStart``."""
    if plan.model_data is not None:
        bring(
            ModelData(uri=plan.model_data, compressed=plan.compressed, etag=plan.etag),
            into,
            objects=objects,
            check=until.check,
            most_bytes=plan.compute.disk_bytes or MOST_BYTES,
        )


@dataclass(frozen=True, kw_only=True)
class ModelData:
    """Where a model lies, as ``VariantPlan`` says it."""

    uri: str
    compressed: bool
    etag: str | None = None


def bring(
    data: ModelData,
    into: Path,
    *,
    objects: S3Objects,
    check: Check,
    most_bytes: int = MOST_BYTES,
) -> None:
    """Fetch it into a folder, an archive being unpacked as it comes in.

    What is overwritten meanwhile is fetched anew, once. Raises ``NothingToStart``, and what
    ``check`` does, which is asked all the time whether to go on.
    """
    one = _Fetch(data, into, objects, check, most_bytes)
    with failures(data.uri):
        into.mkdir(parents=True, exist_ok=True)
        if not one.run() and not one.run():
            raise ObjectError(
                CHANGED,
                f"{data.uri} was overwritten while the lab fetched it, twice. Give each version a "
                "key of its own.",
            )
        # To whatever user the image runs as, though the emulator's umask may be strict.
        into.chmod(0o755)


class _Fetch:
    """One model's data on their way into one folder."""

    def __init__(
        self, data: ModelData, into: Path, objects: S3Objects, check: Check, most_bytes: int
    ) -> None:
        self._data = data
        self._into = into
        self._objects = objects
        self._check = check
        self._most_bytes = most_bytes
        self._seen: str | None = None
        """The ETag, or that there was a listing: what is otherwise later, has changed."""

    def run(self) -> bool:
        """Into the empty folder; False if it was overwritten meanwhile.

        Raises ``ObjectError``, ``LabError`` and what the check does.
        """
        self._seen = None
        _empty(self._into)
        try:
            self._fetch()
        except (ArchiveError, ObjectError) as error:
            if not self._changed(error):
                raise
            return False
        return True

    def _fetch(self) -> None:
        if self._data.compressed:
            self._unpack()
        elif self._data.uri.endswith("/"):
            self._write_all()
        else:
            self._write_one()

    def _changed(self, error: Exception) -> bool:
        """Whether that may be why it failed: something is otherwise than at the beginning."""
        if self._data.etag is not None or self._seen is None:
            return False
        if isinstance(error, ObjectError) and error.code in {CHANGED, "NoSuchKey"}:
            return True
        if self._data.uri.endswith("/"):
            return False
        with suppress(ObjectError):
            now = awaited(lambda: self._objects.etag(self._data.uri), self._check)
            return now != self._seen
        return False

    def _unpack(self) -> None:
        with self._ahead() as parts:
            extract_stream(parts, self._into, name=ARCHIVE, most_bytes=self._most_bytes)

    def _write_one(self) -> None:
        name = file_name(self._objects.location(self._data.uri).key)
        with self._ahead() as parts, (self._into / name).open("xb") as file:
            for part in parts:
                file.write(part)
        (self._into / name).chmod(0o644)

    @contextmanager
    def _ahead(self) -> Iterator[Ahead]:
        opened = partial(self._objects.open, self._data.uri, etag=self._data.etag)
        with Ahead(opened, self._check) as ahead:
            try:
                yield ahead
            finally:
                self._seen = ahead.etag

    def _write_all(self) -> None:
        found = self._listing()
        self._seen = "listed"
        prefix = self._objects.location(self._data.uri)
        paths = laid_out(prefix, [one.key for one in found])
        for folder in sorted({above for path in paths.values() for above in path.parents}):
            (self._into / folder).mkdir(exist_ok=True)
            (self._into / folder).chmod(0o755)
        files = []
        for key, path in paths.items():
            uri = str(S3Location(bucket=prefix.bucket, key=key))
            files.append((self._into / path, partial(self._objects.open, uri)))
        write_all(files, self._check)
        # Two listings, not a listing and answers: look-alikes may write an ETag in two ways.
        if self._listing() != found:
            raise ObjectError(CHANGED, f"What lies below {prefix} changed meanwhile.")

    def _listing(self) -> Sequence[Stored]:
        return awaited(lambda: self._objects.listing(self._data.uri), self._check)


@contextmanager
def failures(uri: str) -> Iterator[None]:
    """What goes wrong with model data, as ``NothingToStart``: in AWS's words, then the lab's."""
    try:
        yield
    except ObjectError as error:
        raise NothingToStart(download_failure(uri, error)) from error
    except ArchiveTooLargeError as error:
        raise NothingToStart(
            f"{_not_extracted(uri)} The model data archive is too large. Please reduce the size of "
            f"the model data archive or move to an instance type with more memory. {error}"
        ) from error
    except ArchiveError as error:
        raise NothingToStart(
            f"{_not_extracted(uri)} Please ensure that the object located at the URL is a valid "
            f"tar.gz archive. {error}"
        ) from error
    except LabError as error:
        raise NothingToStart(str(error)) from error
    except OSError as error:
        found = refused_by_disk(error, f"The model data at {uri} could not be written")
        raise NothingToStart(str(found)) from error


def _not_extracted(uri: str) -> str:
    return f'Failed to extract model data archive for container "container_1" from URL "{uri}".'


def download_failure(uri: str, error: ObjectError) -> str:
    """AWS's words, and what S3 said."""
    return (
        f'Failed to download model data for container "container_1" from URL: "{uri}". Please '
        "ensure that there is an object located at the URL and that the role passed to CreateModel "
        f"has permissions to download the object. {error}"
    )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
