"""What comes gzipped, decompressed as it comes in; and what something is that is no gzip."""

import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

HEAD_BYTES: Final = 512
"""So much of a file tells what it is: a header of tar's."""

_GZIP: Final = 16 + zlib.MAX_WBITS
"""To ``zlib``: a gzip header comes before, a checksum after."""

_MAGIC: Final = b"\x1f\x8b"
PACK: Final = "Pack it as `tar -czf model.tar.gz -C FOLDER .` does."
_AGAIN: Final = "Pack and upload it again, and compare its sha256."
_AS_IT_IS: Final = (
    "Put it into a tar.gz, or deploy it as it is: ModelDataSource with S3DataType S3Object and "
    "CompressionType None."
)

_KINDS: Final[Mapping[bytes, tuple[str, str]]] = {
    # What a file begins with: what it is, and what to do.
    b"PK\x03\x04": ("a zip archive", PACK),
    b"PK\x05\x06": ("an empty zip archive", PACK),
    b"BZh": ("compressed with bzip2", PACK),
    b"\xfd7zXZ\x00": ("compressed with xz", PACK),
    b"\x28\xb5\x2f\xfd": ("compressed with Zstandard", PACK),
    b"\x04\x22\x4d\x18": ("compressed with LZ4", PACK),
    b"\x1f\x9d": ("compressed with compress (.Z)", PACK),
    b"LZIP": ("compressed with lzip", PACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", PACK),
    b"Rar!": ("a RAR archive", PACK),
    b"070701": ("a cpio archive", PACK),
    b"070702": ("a cpio archive", PACK),
    b"070707": ("a cpio archive", PACK),
    b"\xc7\x71": ("a cpio archive", PACK),
    b"!<arch>\n": ("an ar archive", PACK),
    b"GGUF": ("a GGUF file", _AS_IT_IS),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _AS_IT_IS),
    b"version https://git-lfs": (
        "a Git LFS pointer, not the file that it stands for",
        "Run `git lfs pull`, then pack and upload it again.",
    ),
    b"<?xml": ("an XML document, perhaps a server's error message", _AGAIN),
    b"<!doctype html": ("an HTML page, perhaps a server's error message", _AGAIN),
    b"<html": ("an HTML page, perhaps a server's error message", _AGAIN),
    b"{": ("JSON, perhaps a server's error message", _AGAIN),
}


class UnreadableError(Exception):
    """It is not what it should be: a sentence about "it", and what to do."""

    def __init__(self, what: str, remedy: str = _AGAIN) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def is_tar(head: bytes) -> bool:
    """Whether it begins with a header of tar's, of whatever age and kind."""
    try:
        tarfile.TarInfo.frombuf(head[:HEAD_BYTES], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def what_is(head: bytes) -> tuple[str, str] | None:
    """What begins like this, and what to do to make an archive of it; None if that is not known."""
    if not head:
        return "empty", _AGAIN
    if head.startswith(_MAGIC):
        return "compressed with gzip again", PACK
    if is_tar(head):
        return "a plain tar archive, not compressed", "Compress it: `gzip model.tar`."
    if head[8:10] == b'{"':  # after the length of that JSON, in eight bytes
        return "a safetensors file", _AS_IT_IS
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, found in _KINDS.items():
        if head.startswith(magic) or text.startswith(magic):
            return found
    return None


class Gunzip:
    """Gzip members, one after the other, decompressed and compared with their checksums."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.head = b""
        """What came out first."""
        self._parts = (part for part in parts if part)
        self._input = b""
        self._begun = False
        self._member: zlib._Decompress | None = None

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end. Raises ``UnreadableError``."""
        out: list[bytes] = []
        while size > 0:
            part = self._some(size)
            if not part:
                break
            out.append(part)
            size -= len(part)
        found = b"".join(out)
        if len(self.head) < HEAD_BYTES:
            self.head = (self.head + found)[:HEAD_BYTES]
        return found

    def _some(self, most: int) -> bytes:
        """A few bytes at least; none at the end."""
        while True:
            if self._member is None or self._member.eof:
                self._member = self._next_member()
                if self._member is None:
                    return b""
            if not self._fill(1):
                return self._rest(self._member)
            try:
                found = self._member.decompress(self._input, most)
            except zlib.error as error:
                raise _damaged(error) from error
            self._input = self._member.unconsumed_tail or self._member.unused_data
            if found:
                return found

    def _next_member(self) -> "zlib._Decompress | None":
        """None where nothing follows but the zeros that pad an archive, on a tape or by a tool."""
        if not self._begun:
            self._begun = True
            self._fill(HEAD_BYTES)
            if not self._input.startswith(_MAGIC):
                raise _no_gzip(self._input)
        else:
            while self._fill(2) and not self._input.strip(b"\0"):
                self._input = b""
            self._input = self._input.lstrip(b"\0")
            if not self._fill(1):
                return None
            self._fill(2)
            if not self._input.startswith(_MAGIC):
                raise UnreadableError(
                    "Its gzip data are followed by others, which are not gzip.",
                )
        return zlib.decompressobj(_GZIP)

    def _fill(self, size: int) -> bool:
        """Have so many bytes to work on; whether there are that many."""
        while len(self._input) < size:
            part = next(self._parts, b"")
            if not part:
                return False
            self._input += part
        return True

    @staticmethod
    def _rest(member: "zlib._Decompress") -> bytes:
        found = member.flush()
        if not found and not member.eof:
            raise UnreadableError("Its gzip data end in the middle.")
        return found


def _no_gzip(head: bytes) -> UnreadableError:
    found = what_is(head)
    if found is None:
        begin = head[:8].hex(" ")
        return UnreadableError(f"It is not compressed with gzip (it begins with {begin}).", PACK)
    return UnreadableError(f"It is {found[0]}.", found[1])


def _damaged(error: zlib.error) -> UnreadableError:
    if "incorrect data check" in str(error) or "incorrect length check" in str(error):
        return UnreadableError("Its gzip checksum does not fit what is in it: it is damaged.")
    return UnreadableError("Its gzip data are damaged.")
