"""An image's layers as they are saved, read once from a stream: nothing is unpacked, and of files
memory holds no more than their names. Those that a later layer removed are in it: that is the
point.
"""

import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from lab.engine.docker.engine import DockerEngine
from lab.images.layers.ballast import kind_of
from lab.images.layers.credentials import Leak
from lab.images.layers.packages import LARGEST_LIST, Package, by_package, is_list, listed
from lab.images.layers.secretfiles import LARGEST_READ, in_file
from lab.images.layers.stream import OPAQUE, WHITEOUT, path_in_layer, read_stream, saving

MODEL_PLACE: Final = "opt/ml/model/"

_ELF: Final = b"\x7fELF"
_ELF_HEAD: Final = 20
_EXECUTABLE: Final = 0o111
_LARGE_MODEL: Final = 10_000_000

MACHINES: Final[Mapping[int, str]] = {0x3E: "amd64", 0xB7: "arm64", 0x03: "386", 0x28: "arm"}
"""ELF's numbers for processors."""

_MODEL_FILE: Final = re.compile(
    r".*\.(?:onnx|pb|h5|hdf5|keras|pt|pth|safetensors|tflite|gguf|joblib|ckpt|mar|pkl|bin"
    r"|data-\d+-of-\d+)"
)
_NO_MODEL: Final = re.compile(r"(?:.*/)?(?:site|dist)-packages/.*|usr/.*|lib.*/.*|var/.*")


@dataclass(frozen=True, kw_only=True)
class FileLeak:
    """A file of a layer that gives a secret away."""

    path: str
    leak: Leak


@dataclass(kw_only=True)
class SavedLayer:
    """What a layer holds, as far as the rules ask."""

    leaks: list[FileLeak] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    """Paths of lower layers that this one takes away."""
    emptied: set[str] = field(default_factory=set)
    """Folders of lower layers of which this one takes away everything."""
    files: dict[str, int] = field(default_factory=dict)
    """Bytes by path. Links have none: of a file with several names one counts."""
    packages: Mapping[Package, int] = field(default_factory=dict)
    """Bytes by package, where these were asked for."""
    compressed_bytes: int | None = None
    """None where the engine keeps layers unpacked."""
    models: list[tuple[str, int]] = field(default_factory=list)
    under_mount: int = 0
    """Bytes in ``/opt/ml/model``."""
    executables: dict[str, int] = field(default_factory=dict)
    """Programs in ELF and the number of the processor that they are for."""
    command: str = ""
    """The step that made it, with what might be a secret hidden."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """An image as it was saved."""

    config: Mapping[str, Any]
    layers: Sequence[SavedLayer]
    """The lowest first."""

    @property
    def history(self) -> Sequence[str]:
        """The steps that made it, as they were written: may hold secrets."""
        return [str(step.get("created_by") or "") for step in self.config.get("history") or ()]

    def gone_in(self, number: int, path: str) -> int | None:
        """The layer that takes away a file of layer ``number``; layers count from 1."""
        for later in range(number, len(self.layers)):
            layer = self.layers[later]
            folders = [path[:at] for at, sign in enumerate(path) if sign == "/"]
            if {path, *folders} & layer.removed or set(folders) & layer.emptied:
                return later + 1
        return None


@dataclass(frozen=True, kw_only=True)
class LookFor:
    """What is read of the files beside their sizes."""

    secrets: bool = True
    packages: bool = False


_SECRETS: Final = LookFor()


def save(engine: DockerEngine, ref: str, look: LookFor = _SECRETS) -> Saved:
    """Read an image of the engine's. Seconds for a large one, minutes on a busy machine. Raises
    ``EngineError``.
    """
    with saving(engine, ref) as chunks:
        return read(chunks, look)


def read(chunks: Iterable[bytes], look: LookFor = _SECRETS) -> Saved:
    """Read what ``docker save`` writes, whether in the older or in OCI's layout."""
    stream = read_stream(chunks, lambda content: _layer(content, look))
    # One of no bytes at all (an empty folder's) may be left out of the archive.
    layers = [SavedLayer() if one.content is None else one.content for one in stream.layers]
    for layer, one in zip(layers, stream.layers, strict=True):
        layer.compressed_bytes = one.compressed_bytes
        layer.command = one.command
    return Saved(config=stream.config, layers=layers)


def _layer(content: IO[bytes], look: LookFor) -> SavedLayer:
    layer = SavedLayer()
    owners: dict[str, Package] = {}
    with tarfile.open(fileobj=content, mode="r|*") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            path = path_in_layer(member.name)
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                layer.emptied.add(folder)
            elif name.startswith(WHITEOUT):
                layer.removed.add(f"{folder}/{name[4:]}".lstrip("/"))
            elif member.islnk():
                _link(layer, path, path_in_layer(member.linkname))
            elif not member.isdir():
                layer.files[path] = member.size
                if member.isreg() and member.size:
                    _look(layer, path, member, archive, look, owners)
    if look.packages:
        layer.packages = by_package(layer.files, owners)
    return layer


def _link(layer: SavedLayer, path: str, target: str) -> None:
    """Another name for a file: what is in a cache under one name and in use under another is not
    left over.
    """
    size = layer.files.get(target, 0)
    in_use = size and kind_of(target) is not None and kind_of(path) is None
    layer.files[path] = size if in_use else 0
    if in_use:
        layer.files[target] = 0


def _look(
    layer: SavedLayer,
    path: str,
    member: tarfile.TarInfo,
    archive: tarfile.TarFile,
    look: LookFor,
    owners: dict[str, Package],
) -> None:
    if path.startswith(MODEL_PLACE):
        layer.under_mount += member.size
    elif member.size >= _LARGE_MODEL and _MODEL_FILE.fullmatch(path) and not _NO_MODEL.match(path):
        layer.models.append((path, member.size))
    lists = look.packages and member.size <= LARGEST_LIST and is_list(path)
    small = look.secrets and member.size <= LARGEST_READ
    if not lists and not small and not member.mode & _EXECUTABLE:
        return
    file = archive.extractfile(member)
    if file is None:
        return
    content = file.read(-1 if small or lists else _ELF_HEAD)
    if lists:
        owners |= listed(path, content)
    if content.startswith(_ELF):
        if member.mode & _EXECUTABLE and len(content) >= _ELF_HEAD:
            layer.executables[path] = int.from_bytes(content[18:20], "little")
    elif small:
        layer.leaks += [FileLeak(path=path, leak=leak) for leak in in_file(path, content)]
