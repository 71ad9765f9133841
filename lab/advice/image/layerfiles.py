"""The names that one layer holds, read once from its tar: what each stands for, its bytes, and an
estimate of what these come to when the layer is compressed. Of contents memory holds only what
package managers wrote about their packages.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from zlib_ng import zlib_ng

from lab.advice.contents import EntryKind
from lab.advice.image.metadata import LARGEST_JAR, is_jar, is_metadata, jar_identity
from lab.images.layers.packages import LARGEST_LIST
from lab.images.layers.stream import OPAQUE, WHITEOUT, path_in_layer

_WINDOW: Final = 64 * 1024
"""So much of each stretch is compressed; what is no larger is compressed whole."""
_STRETCH: Final = 1 << 20
_LEVEL: Final = 5
"""Of zlib-ng: nearest to what an engine's gzip makes (lab.engine.registry.upload)."""
_RAW: Final = -15
"""The largest window, without a frame."""


@dataclass(kw_only=True, slots=True, eq=False)
class Inode:
    """A file's content. Its names share it."""

    size: int = 0
    estimate: float = 0.0
    """Compressed bytes, before they are scaled to what the layer has."""
    text: bytes | None = None
    """Of package managers' own files."""


@dataclass(kw_only=True, slots=True)
class Name:
    """A name in a layer."""

    kind: EntryKind
    mode: int
    inode: Inode | None = None
    """None of folders, links and devices."""
    target: str = ""
    """Of a symbolic link as it is written; of a hard link to what the layer lacks, its path."""


@dataclass(kw_only=True)
class LayerFiles:
    """What a layer adds and takes away. Paths are relative to the root."""

    names: dict[str, Name] = field(default_factory=dict)
    """In the order of the tar."""
    removed: list[str] = field(default_factory=list)
    """Of lower layers, with all below them."""
    emptied: list[str] = field(default_factory=list)
    """Folders of lower layers of which everything goes."""


def layer_files(content: IO[bytes]) -> LayerFiles:
    """Read a layer's tar. Raises ``tarfile.TarError``."""
    layer = LayerFiles()
    # One compressor for the whole layer, as gzip has: small files that are alike cost little.
    compressor = zlib_ng.compressobj(_LEVEL, zlib_ng.DEFLATED, _RAW)
    with tarfile.open(fileobj=content, mode="r|*") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
            path = path_in_layer(member.name)
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                layer.emptied.append(folder)
            elif name.startswith(WHITEOUT + WHITEOUT):
                continue  # an old storage driver's own
            elif name.startswith(WHITEOUT):
                layer.removed.append(f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/"))
            elif path not in {"", "."}:
                layer.names[path] = _name(layer, path, member, archive, compressor)
    return layer


def _name(
    layer: LayerFiles,
    path: str,
    member: tarfile.TarInfo,
    archive: tarfile.TarFile,
    compressor: "zlib_ng._Compress",
) -> Name:
    if member.isdir():
        return Name(kind=EntryKind.FOLDER, mode=member.mode)
    if member.issym():
        return Name(kind=EntryKind.LINK, mode=member.mode, target=member.linkname)
    if member.islnk():
        target = path_in_layer(member.linkname)
        known = layer.names.get(target)
        if known is None:
            return Name(kind=EntryKind.FILE, mode=member.mode, inode=Inode(), target=target)
        return Name(kind=known.kind, mode=known.mode, inode=known.inode, target=known.target)
    if not member.isreg():
        return Name(kind=EntryKind.OTHER, mode=member.mode)
    inode = Inode(size=member.size)
    file = archive.extractfile(member) if member.size else None
    if file is not None:
        if member.size <= LARGEST_LIST and is_metadata(path):
            inode.text = file.read()
            pieces = iter([inode.text])
        elif member.size <= LARGEST_JAR and is_jar(path):
            whole = file.read()
            inode.text = jar_identity(path, whole).encode(errors="surrogateescape")
            pieces = iter([whole])
        else:
            pieces = _sampled(file, member.size)
        inode.estimate = _estimate(pieces, member.size, compressor)
    return Name(kind=EntryKind.FILE, mode=member.mode, inode=inode)


def _sampled(file: IO[bytes], size: int) -> Iterator[bytes]:
    """A window from the middle of each stretch: the ends of files are headers and tables."""
    if size <= _WINDOW:
        yield file.read()
        return
    stretches = max(size // _STRETCH, 1)
    position = 0
    for number in range(stretches):
        begin = number * size // stretches + (size // stretches - _WINDOW) // 2
        while position < begin:
            position += len(file.read(min(begin - position, _STRETCH)))
        piece = file.read(_WINDOW)
        position += len(piece)
        yield piece


def _estimate(pieces: Iterator[bytes], size: int, compressor: "zlib_ng._Compress") -> float:
    """Compressed bytes of a file of which these are samples."""
    sampled = made = 0
    for piece in pieces:
        sampled += len(piece)
        made += len(compressor.compress(piece))
    made += len(compressor.flush(zlib_ng.Z_SYNC_FLUSH))
    return made * size / sampled if sampled else 0.0
