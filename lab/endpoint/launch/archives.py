"""Model data of endpoints that live, kept on this disk as they were deployed.

A container that comes later gets the same, whatever lies in S3 by then, and if S3 itself is gone.
What S3 still has is fetched from there, as SageMaker does: otherwise a measured cold start would
be that of this disk.
"""

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from botocore.response import StreamingBody

from lab.endpoint.launch.model import Deadline, download_failure, fetch
from lab.endpoint.live import NothingToStart, VariantPlan
from lab.endpoint.records import Pin
from lab.endpoint.s3 import CHANGED, Coming, ObjectError, S3Location, S3Objects

ARCHIVES: Final = "archives"
"""Below the state folder: an archive, or a folder of what is not compressed, for each content."""

_LOG = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Files a line in a container's log."""


def version(objects: S3Objects, plan: VariantPlan) -> str | None:
    """The ETag of a plan's model data as they are now, or one made of those of all its objects;
    None if it has none. Raises ``ObjectError``.
    """
    uri = plan.model_data
    if uri is None:
        return None
    if not uri.endswith("/"):
        return objects.etag(uri)
    digest = hashlib.sha256()
    for one in objects.listing(uri):
        digest.update(f"{one.key}\0{one.etag}\0".encode())
    return digest.hexdigest()


class KeptModels:
    """What was deployed, by its content. Blocking, and safe to use from several threads."""

    def __init__(self, objects: S3Objects, folder: Path, *, shared: bool) -> None:
        """``shared``: what is not compressed takes its room on the disk once, for the containers
        only read it.
        """
        self._objects = objects
        self._folder = folder
        self._copy = os.link if shared else shutil.copy2

    def fetch(self, plan: VariantPlan, into: Path, until: Deadline, say: Say) -> None:
        """Fetch the model as it was deployed, from S3 if it is still there.

        Raises ``NothingToStart`` as ``model.fetch`` does, and when nobody has it any more.
        """
        if plan.pin is None or plan.pin.data_etag is None:
            fetch(self._objects, plan, into, until)
        elif plan.compressed:
            fetch(self.archive(plan, say), plan, into, until)
        else:
            self._fetch_tree(plan, plan.pin, into, until, say)

    def archive(self, plan: VariantPlan, say: Say) -> S3Objects:
        """S3 as far as this plan's archive goes: as it was deployed, or an ``ObjectError``."""
        pin = plan.pin
        if pin is None or pin.data_etag is None:
            return self._objects
        return _Deployed(self._objects, pin, self._folder / _name(pin), say)

    def retain(self, pins: Collection[Pin]) -> None:
        """Delete what none of these were deployed with."""
        wanted = {_name(pin) for pin in pins if pin.data_etag is not None}
        for path in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            if path.name not in wanted and not path.name.startswith("."):
                _remove(path)

    def begin(self) -> None:
        """Delete what an earlier life began to write."""
        for path in self._folder.glob(".*") if self._folder.is_dir() else ():
            _remove(path)

    def _fetch_tree(
        self, plan: VariantPlan, pin: Pin, into: Path, until: Deadline, say: Say
    ) -> None:
        kept = self._folder / _name(pin)
        uri = plan.model_data or ""
        why = ObjectError(CHANGED, f"{uri} is not what was deployed any more.")
        try:
            if version(self._objects, plan) == pin.data_etag:
                fetch(self._objects, plan, into, until)
                if version(self._objects, plan) == pin.data_etag:
                    _keep_tree(into, kept, self._copy)
                    return
        except ObjectError as error:
            why = error
        if not kept.is_dir():
            raise NothingToStart(download_failure(uri, gone(uri, why)))
        say(from_copy(uri, str(why)))
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(kept, into, copy_function=self._copy)
        into.chmod(0o755)


class _Deployed(S3Objects):
    """One archive: from S3 as long as it is the one that was deployed, else from this disk."""

    def __init__(self, objects: S3Objects, pin: Pin, kept: Path, say: Say) -> None:
        self._objects = objects
        self._pin = pin
        self._kept = kept
        self._say = say

    @contextmanager
    def open(self, uri: str, *, etag: str | None = None) -> Iterator[Coming]:
        with ExitStack() as opened:
            try:
                coming = opened.enter_context(
                    self._objects.open(uri, etag=etag or self._pin.data_etag)
                )
            except ObjectError as error:
                if not self._is_kept():
                    raise gone(uri, error) from error
                self._say(from_copy(uri, str(error)))
                coming = self._from_disk(opened.enter_context(self._kept.open("rb")))
            else:
                if not self._is_kept():
                    coming = _Copied(coming, opened.enter_context(closing(_Copy(self._kept))))
            yield coming

    def download(self, uri: str, into: Path, *, etag: str | None = None) -> str:
        into.parent.mkdir(parents=True, exist_ok=True)
        with self.open(uri, etag=etag) as coming, into.open("wb") as file:
            file.writelines(coming)
        return coming.etag

    def etag(self, uri: str) -> str:
        return self._pin.data_etag or self._objects.etag(uri)

    def location(self, uri: str) -> S3Location:
        return self._objects.location(uri)

    def _from_disk(self, file: IO[bytes]) -> Coming:
        body = StreamingBody(file, self._pin.data_bytes)
        answer = {"ETag": self._pin.data_etag, "Body": body}
        return Coming(answer, doing=f"Reading {self._kept.name}", endpoint="this disk")

    def _is_kept(self) -> bool:
        with suppress(OSError):
            return self._kept.stat().st_size == self._pin.data_bytes
        return False


class _Copied(Coming):
    """The same, written down meanwhile. That it cannot be is no reason not to start."""

    def __init__(self, coming: Coming, copy: "_Copy") -> None:
        self.etag = coming.etag
        self._coming = coming
        self._copy = copy

    def __next__(self) -> bytes:
        try:
            part = next(self._coming)
        except StopIteration:
            self._copy.done()
            raise
        self._copy.write(part)
        return part

    def stop(self) -> None:
        self._coming.stop()

    def close(self) -> None:
        self._copy.close()


class _Copy:
    """A file that appears when it is whole, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{threading.get_ident()}")
        self._file: IO[bytes] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        except OSError as error:
            _not_kept(path, error)

    def write(self, part: bytes) -> None:
        if self._file is not None:
            try:
                self._file.write(part)
            except OSError as error:
                _not_kept(self._path, error)
                self.close()

    def done(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
                self._part.replace(self._path)
            except OSError as error:
                _not_kept(self._path, error)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()
            _remove(self._part)


def _not_kept(path: Path, error: OSError) -> None:
    _LOG.warning("%s is not kept for later containers: %s", path.name, error.strerror)


def _keep_tree(fetched: Path, kept: Path, copy: Callable[..., object]) -> None:
    if kept.is_dir():
        return
    part = kept.with_name(f".{kept.name}.{threading.get_ident()}")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(fetched, part, copy_function=copy)
        with suppress(OSError):  # another has been faster
            part.rename(kept)
    except OSError as error:
        _not_kept(kept, error)
    _remove(part)


def gone(uri: str, why: ObjectError) -> ObjectError:
    """Neither S3 has it nor this disk."""
    return ObjectError(
        why.code,
        f"What this endpoint was deployed with is not at {uri} any more, and the lab has kept no "
        f"copy: update the endpoint. {why}",
    )


def from_copy(uri: str, why: str) -> str:
    """For the log of a container that gets what S3 does not have any more."""
    return f"{uri} comes from the lab's copy of what was deployed: {why}"


def _name(pin: Pin) -> str:
    """By content. What S3 makes its ETags of is its own affair, and may hold anything."""
    said = f"{pin.data_etag}:{pin.data_bytes}".encode()
    return hashlib.sha256(said).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
