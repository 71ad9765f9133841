"""Members of a tar archive, written below a folder: as SageMaker extracts, and nothing hostile."""

import os
import shutil
import tarfile
from pathlib import Path
from typing import Final

from lab.artifacts.gunzip import UnreadableError
from lab.errors import ArchiveError

NAME_BYTES: Final = 255
"""The longest name of a file or folder, in bytes."""

PATH_BYTES: Final = 4095 - len("/opt/ml/model/")
"""The longest path below the model's folder that a program in the container can open."""

DEEPEST: Final = 256
"""Levels of a path. Linux has no limit; what deletes them goes down by recursion."""

_CHUNK: Final = 1024 * 1024
_MOST_HEADER_BYTES: Final = 1024 * 1024
_EXTENDED: Final = frozenset({b"x", b"g", b"X", b"L", b"K"})
_LABEL: Final = b"V"
_DUMPED: Final = b"D"
"""A folder in GNU tar's incremental dump: its content is a list of names."""

_MAGIC_AT: Final = slice(257, 265)
_PREFIX_AT: Final = 345
_OLD_GNU: Final = b"ustar  \0"
_SHOWN: Final = 120
_CAREFUL: Final = "Do not use this archive: it is hostile or was packed wrongly."
_RELATIVE: Final = (
    "Pack it as `tar -czf model.tar.gz -C FOLDER .` does. If others packed it, it may be hostile."
)
_RENAME: Final = "Rename it, and pack the archive again."


class Header(tarfile.TarInfo):
    """A member's header. A damaged one is an error, where ``tarfile`` sees the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Header":
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):
                raise  # the archive's end
            raise UnreadableError("A header in its tar archive is damaged.") from error
        if found.type in _EXTENDED and found.size > _MOST_HEADER_BYTES:
            raise UnreadableError("A header in its tar archive is much too long.")
        if buf[_MAGIC_AT] == _OLD_GNU and buf[_PREFIX_AT]:
            # Of GNU tar's incremental dumps: times, where others have a prefix of the name.
            found.name = bytes(buf[:100]).split(b"\0")[0].decode(encoding, errors)
        return found


def shown(name: str) -> str:
    """A name as an error says it: quoted, with what cannot be printed escaped, and not too long."""
    if len(name) > _SHOWN:
        name = f"{name[: _SHOWN // 2]}...{name[-_SHOWN // 2 :]}"
    return repr(name)


def name_problem(name: str) -> str | None:
    """Why no file or folder can have this name, as the end of a sentence; None if one can."""
    if not name.strip():
        return "is blank"
    if name in {".", ".."}:
        return f"is {name!r}"
    if "\0" in name:
        return "holds a null byte"
    size = len(os.fsencode(name))
    return f"is {size} bytes long; {NAME_BYTES} is the most" if size > NAME_BYTES else None


class Members:
    """Writes the members of one archive, in their order; a later file replaces an earlier one."""

    def __init__(self, tar: tarfile.TarFile, root: Path, archive: str) -> None:
        """``archive`` is what errors call it."""
        self._tar = tar
        self._root = os.path.realpath(root)
        self._archive = archive
        self._folders = {""}
        self._files: set[str] = set()

    def write(self, member: tarfile.TarInfo) -> None:
        """Raises ``ArchiveError`` that names the member."""
        if member.type == _LABEL:
            return
        if member.issym():
            raise self._refusal(
                member,
                f"is a symbolic link to {shown(member.linkname)}, and SageMaker extracts no "
                "archive with symbolic links in it",
                remedy="Pack the files themselves: `tar --dereference -czf model.tar.gz -C FOLDER "
                ".`.",
            )
        path = self._path(member, member.name)
        folder = member.isdir() or member.type == _DUMPED
        if folder or (member.isfile() and not member.size and member.name.endswith("/")):
            self._make_folder(member, path)
        elif not path:
            raise self._refusal(member, "has no name", remedy=_CAREFUL)
        elif member.isfile():
            self._write_file(member, path)
        elif member.islnk():
            self._link(member, path)
        elif member.isdev():
            raise self._refusal(member, "is a device or a pipe, not a file", remedy=_CAREFUL)
        else:
            raise self._refusal(member, f"is of the unknown type {member.type!r}")

    def _path(self, member: tarfile.TarInfo, name: str) -> str:
        """A member's name without what adds nothing; empty for the model's folder itself."""
        if name.startswith("/"):
            raise self._refusal(member, f"has an absolute path ({shown(name)})", remedy=_RELATIVE)
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise self._refusal(
                member, "would be written or lead outside the model's folder", remedy=_RELATIVE
            )
        for part in parts:
            # A blank name is odd, and a file system takes it.
            problem = name_problem(part) if part.strip() else None
            if problem is not None:
                raise self._refusal(
                    member, f"cannot be written: {shown(part)} {problem}", remedy=_RENAME
                )
        if len(parts) > DEEPEST:
            raise self._refusal(
                member, f"is {len(parts)} levels deep; the lab unpacks {DEEPEST}", remedy=_RENAME
            )
        path = "/".join(parts)
        if len(os.fsencode(path)) > PATH_BYTES:
            raise self._refusal(
                member, f"has a path of more than {PATH_BYTES} bytes", remedy=_RENAME
            )
        return path

    def _make_folder(self, member: tarfile.TarInfo, path: str) -> None:
        if path in self._folders:
            return
        if path in self._files:
            raise self._refusal(
                member, f"needs a folder {shown(path)}, which is a file by an earlier member"
            )
        self._make_folder(member, path.rpartition("/")[0])
        folder = self._at(path)
        try:
            folder.mkdir()
        except FileExistsError:
            if folder.is_symlink() or not folder.is_dir():
                raise self._refusal(
                    member, "would be written through what was there before"
                ) from None
        # Whatever the umask: the image may run as another user.
        folder.chmod(0o755)
        self._folders.add(path)

    def _room_for_file(self, member: tarfile.TarInfo, path: str) -> Path:
        if path in self._folders:
            raise self._refusal(member, "is a file, and a folder by an earlier member")
        self._make_folder(member, path.rpartition("/")[0])
        target = self._at(path)
        if path in self._files or target.is_symlink() or target.is_file():
            target.unlink()
        self._files.add(path)
        return target

    def _write_file(self, member: tarfile.TarInfo, path: str) -> None:
        target = self._room_for_file(member, path)
        source = self._tar.extractfile(member)
        if source is None:
            raise self._refusal(member, "has no content")
        with source, target.open("xb") as out:
            shutil.copyfileobj(source, out, _CHUNK)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)

    def _link(self, member: tarfile.TarInfo, path: str) -> None:
        """A hard link: to a file that came before."""
        source = self._path(member, member.linkname)
        if source not in self._files:
            raise self._refusal(
                member,
                f"is a hard link to {shown(member.linkname)}, which is no file in the archive "
                "before it",
            )
        if source != path:
            self._room_for_file(member, path).hardlink_to(self._at(source))

    def _at(self, path: str) -> Path:
        return Path(self._root, path)

    def _refusal(
        self, member: tarfile.TarInfo, what: str, *, remedy: str = "Pack the archive again."
    ) -> ArchiveError:
        return ArchiveError(f"{self._archive}: member {shown(member.name)} {what}.", remedy=remedy)
