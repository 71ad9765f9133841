"""``model.tar.gz`` as SageMaker takes it: packed to the same bytes every time, unpacked safely."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Final, cast

from lab.errors import ArchiveError, DiskFullError
from lab.units import format_bytes

MOST_BYTES: Final = 16 * 1000**3
"""Unpacked size beyond which an archive is refused: no model of a serverless endpoint is bigger."""

MOST_MEMBERS: Final = 100_000

_ENOSPC: Final = 28
_CHUNK: Final = 1024 * 1024
_PART: Final = 256 * 1024
_LEVEL: Final = 6
_GZIP: Final = 16 + zlib.MAX_WBITS
"""To ``zlib``: a gzip header comes before, a checksum after."""


def pack(folder: Path, archive: Path, *, names: Sequence[str] | None = None) -> str:
    """Pack what is in ``folder`` (or only ``names`` of it); the sha256 of the archive.

    Names are sorted and times, owners and modes fixed, so equal content gives equal bytes.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
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

    Raises ``ArchiveError`` that names the member for a path outside, a link that leads outside,
    a device, or more than ``most_bytes``; and for an archive that is no gzipped tar or cut off.
    """
    try:
        with archive.open("rb") as content:
            parts = iter(lambda: content.read(_PART), b"")
            extract_stream(parts, into, name=archive.name, most_bytes=most_bytes)
    except FileNotFoundError as error:
        raise ArchiveError(f"{archive} does not exist.") from error
    except OSError as error:
        raise ArchiveError(f"{archive} could not be unpacked: {error}.") from error


def extract_stream(
    parts: Iterable[bytes], into: Path, *, name: str, most_bytes: int = MOST_BYTES
) -> None:
    """The same of an archive that is still coming: unpacked as its parts come in.

    ``name`` is what errors call it. Whatever ``parts`` raises comes through.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        root = Path(os.path.realpath(into))
        stream = _Gunzip(parts)
        # Not tarfile's own "r|gz", which never looks at the checksum.
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=_CHUNK) as tar:
            _unpack(tar, root, name, most_bytes)
        _drain(stream, name, most_bytes)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ArchiveError(
            f"{name} is not a whole gzipped tar archive: {error}.",
            remedy="Build or download it again, and compare its sha256.",
        ) from error
    except OSError as error:
        if error.errno == _ENOSPC:
            raise DiskFullError(
                f"The disk is full: {name} could not be unpacked into {into}.",
                remedy="Free some space and try again.",
            ) from error
        if error.filename is None:
            raise
        raise ArchiveError(f"{name} could not be unpacked: {error}.") from error


class _Gunzip:
    """Gzip members, one after the other, decompressed and compared with their checksums."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = (part for part in parts if part)
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False
        self._input = b""

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        out: list[bytes] = []
        while size > 0:
            part = self._some(size)
            if not part:
                break
            out.append(part)
            size -= len(part)
        return b"".join(out)

    def _some(self, most: int) -> bytes:
        """A few bytes at least; none at the end."""
        while True:
            if self._member.eof:
                # What pads an archive, on a tape or by a tool, is zeros.
                self._input = self._input.lstrip(b"\0")
                if self._input:
                    self._member, self._begun = zlib.decompressobj(_GZIP), False
            if not self._input:
                self._input = next(self._parts, b"")
                if not self._input:
                    return self._end()
                continue
            self._begun = True
            found = self._member.decompress(self._input, most)
            self._input = self._member.unconsumed_tail or self._member.unused_data
            if found:
                return found

    def _end(self) -> bytes:
        if not self._begun or self._member.eof:
            return b""
        found = self._member.flush()
        if not found and not self._member.eof:
            raise EOFError("it ends in the middle")
        return found


def _drain(stream: _Gunzip, name: str, most_bytes: int) -> None:
    """Read what follows the last member: padding, and the checksum that is compared at the end."""
    while part := stream.read(_CHUNK):
        most_bytes -= len(part)
        if most_bytes < 0:
            raise ArchiveError(f"{name} goes on after its last member for too long.")


def _unpack(tar: tarfile.TarFile, root: Path, name: str, most_bytes: int) -> None:
    left = most_bytes
    for count, member in enumerate(tar):
        left -= member.size if member.isfile() else 0
        if left < 0 or count >= MOST_MEMBERS:
            raise ArchiveError(
                f"{name} unpacks to more than {format_bytes(most_bytes)} or {MOST_MEMBERS} files "
                f"(stopped at member {member.name!r}).",
            )
        _extract_one(tar, member, root, name)


def _extract_one(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path, name: str) -> None:
    target = _inside(root, member.name, name)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
    elif member.isfile():
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        if source is None:
            raise ArchiveError(f"{name}: member {member.name!r} has no content.")
        _forget(target)
        with source, target.open("xb") as out:
            shutil.copyfileobj(source, out, _CHUNK)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)
    elif member.issym():
        _refuse_absolute(member.linkname, member.name, name)
        _inside(
            root, str(PurePosixPath(member.name).parent / member.linkname), name, via=member.name
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        _forget(target)
        target.symlink_to(member.linkname)
    elif member.islnk():
        source_path = _inside(root, member.linkname, name, via=member.name)
        if not source_path.is_file():
            raise ArchiveError(
                f"{name}: member {member.name!r} links to {member.linkname!r}, "
                "which is not in the archive before it."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        _forget(target)
        target.hardlink_to(source_path)
    else:
        raise ArchiveError(f"{name}: member {member.name!r} is a device or a pipe, not a file.")


def _inside(root: Path, path: str, name: str, *, via: str | None = None) -> Path:
    """Where ``path`` lands when every link on the way is followed; it must be below ``root``."""
    who = f"member {via or path!r}"
    _refuse_absolute(path, via or path, name)
    target = root / path
    # Links made by earlier members may lead out: what counts is the folder that is really written.
    real_parent = Path(os.path.realpath(target.parent))
    landed = Path(os.path.normpath(real_parent / target.name))
    if via is not None:
        landed = Path(os.path.realpath(target))
    if landed != root and root not in landed.parents:
        raise ArchiveError(
            f"{name}: {who} would be written or lead outside the model's folder.",
            remedy="Do not use this archive: it is hostile or was packed wrongly.",
        )
    return landed


def _refuse_absolute(path: str, member: str, name: str) -> None:
    if path.startswith("/") or "\\" in path or "\0" in path or (len(path) > 1 and path[1] == ":"):
        raise ArchiveError(
            f"{name}: member {member!r} has an absolute path ({path!r}).",
            remedy="Do not use this archive: it is hostile or was packed wrongly.",
        )


def _forget(target: Path) -> None:
    """An earlier member of that name gives way; if it is a link, nothing is written through it."""
    if target.is_symlink() or target.is_file():
        target.unlink()


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
