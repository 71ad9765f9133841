"""``model.tar.gz`` as SageMaker takes it: packed to the same bytes every time, unpacked safely."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, cast

from lab.artifacts.gunzip import PACK, Gunzip, UnreadableError, is_tar, what_is
from lab.artifacts.members import Header, Members, shown
from lab.errors import ArchiveError, ArchiveTooLargeError, refused_by_disk
from lab.units import format_bytes

MOST_BYTES: Final = 16 * 1000**3
"""Unpacked size beyond which an archive is refused: no model of a serverless endpoint is bigger."""

MOST_MEMBERS: Final = 100_000

_CHUNK: Final = 1024 * 1024
_PART: Final = 256 * 1024
_LEVEL: Final = 6
_TARFILE_RAISES: Final = (tarfile.TarError, ValueError, ArithmeticError, LookupError, EOFError)
"""What ``tarfile`` lets through of an archive that is damaged or made to hurt."""


def pack(folder: Path, archive: Path, *, names: Sequence[str] | None = None) -> str:
    """Pack what is in ``folder`` (or only ``names`` of it); the sha256 of the archive.

    Names are sorted and times, owners and modes fixed, so equal content gives equal bytes.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _sorted_tree(folder, names):
            _add(tar, path, path.relative_to(folder).as_posix())
    return sha256(archive)


def sha256(file: Path) -> str:
    """The file's sum in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The archive's content in a folder that any user may read; gone at the end of the block.

    Beside it is room for other files that a container is to see. Raises ``ArchiveError``.
    """
    with TemporaryDirectory(prefix="inference-lab-", ignore_cleanup_errors=True) as folder:
        # A container may run as another user than this one, and leave files of root's.
        Path(folder).chmod(0o755)
        extract(archive, Path(folder) / "model")
        yield Path(folder) / "model"


def extract(archive: Path, into: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Unpack into ``into``, which is made if need be; all or nothing is not promised.

    Raises ``ArchiveError`` that names the member for a symbolic link, a path outside, a device, a
    name that no file can have, or more than ``most_bytes``; and for an archive that is no gzipped
    tar, or cut off, saying what it is instead.
    """
    try:
        with archive.open("rb") as content:
            parts = iter(lambda: content.read(_PART), b"")
            extract_stream(parts, into, name=archive.name, most_bytes=most_bytes)
    except FileNotFoundError as error:
        raise ArchiveError(f"{archive} does not exist.") from error
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be read: {error.strerror}.") from error


def extract_stream(
    parts: Iterable[bytes], into: Path, *, name: str, most_bytes: int = MOST_BYTES
) -> None:
    """The same of an archive that is still coming: unpacked as its parts come in.

    ``name`` is what errors call it. Whatever ``parts`` raises comes through, but ``OSError``: that
    is taken for the disk's, and raised as ``DiskFullError`` or another ``LabError``.
    """
    stream = Gunzip(parts)
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _reading(stream, name):
            # Not tarfile's own "r|gz", which never looks at the checksum.
            coming = cast("IO[bytes]", stream)
            with tarfile.open(fileobj=coming, mode="r|", bufsize=_CHUNK, tarinfo=Header) as tar:
                _unpack(tar, into, name, most_bytes)
            _drain(stream, name, most_bytes)
    except OSError as error:
        raise refused_by_disk(error, f"{name} could not be unpacked") from error


@contextmanager
def _reading(stream: Gunzip, name: str) -> Iterator[None]:
    """Say in plain words what is wrong with an archive."""
    try:
        yield
    except (UnreadableError, *_TARFILE_RAISES) as error:
        found = error if isinstance(error, UnreadableError) else _tar_damaged(stream)
        if stream.head and not is_tar(stream.head):
            what, remedy = what_is(stream.head) or ("no tar archive", PACK)
            found = UnreadableError(f"Inside its gzip it is {what}.", remedy)
        raise ArchiveError(
            f"{name} is not a whole gzipped tar archive. {found.what}", remedy=found.remedy
        ) from error


def _tar_damaged(stream: Gunzip) -> UnreadableError:
    if not stream.head:
        return UnreadableError("Inside its gzip it is empty.")
    return UnreadableError("Its tar archive is damaged, or ends in the middle.")


def _drain(stream: Gunzip, name: str, most_bytes: int) -> None:
    """Read what follows the last member: padding, and the checksum that is compared at the end."""
    while part := stream.read(_CHUNK):
        most_bytes -= len(part)
        if most_bytes < 0:
            raise ArchiveError(f"{name} goes on after its last member for too long.")


def _unpack(tar: tarfile.TarFile, root: Path, name: str, most_bytes: int) -> None:
    members = Members(tar, root, name)
    left = most_bytes
    for count, member in enumerate(tar):
        left -= member.size if member.isfile() else 0
        if left < 0 or count >= MOST_MEMBERS:
            raise ArchiveTooLargeError(
                f"{name} unpacks to more than {format_bytes(most_bytes)} or {MOST_MEMBERS} files "
                f"(stopped at member {shown(member.name)}).",
            )
        members.write(member)


def _sorted_tree(folder: Path, names: Sequence[str] | None) -> Sequence[Path]:
    tops = list(folder.iterdir()) if names is None else [folder / name for name in names]
    below = [path for top in tops if top.is_dir() for path in top.rglob("*")]
    return sorted([*tops, *below], key=lambda path: path.relative_to(folder).parts)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    content: IO[bytes]
    if path.is_symlink():
        raise ArchiveError(f"{path} is a link: only files and folders are packed.")
    if path.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        content = io.BytesIO()
    else:
        member.size, member.mode = path.stat().st_size, 0o644
        content = path.open("rb")
    with content:
        tar.addfile(member, content if member.size else None)
