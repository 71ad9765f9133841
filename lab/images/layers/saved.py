"""An image's layers as they are saved, read once from a stream: nothing is unpacked, and memory
does not grow with the image. Files that a later layer removed are in it: that is the point.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast

from lab.engine.docker.client import open_client
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.tar import tar_of
from lab.errors import EngineError
from lab.images.layers.credentials import Leak
from lab.images.layers.secretfiles import LARGEST_READ, in_file
from lab.images.sizes import quoted

MODEL_PLACE: Final = "opt/ml/model/"

_LARGEST_JSON: Final = 8 * 1024 * 1024
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = 257
_BLOCK: Final = 512
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and Zstandard begin."""
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_ELF: Final = b"\x7fELF"
_ELF_HEAD: Final = 20
_EXECUTABLE: Final = 0o111
_LARGE_MODEL: Final = 10_000_000
_READ: Final = 1 << 20
_PATIENCE_S: Final = 1800.0
"""An engine writes the whole image to its own disk before it sends the first byte."""

MACHINES: Final[Mapping[int, str]] = {0x3E: "amd64", 0xB7: "arm64", 0x03: "386", 0x28: "arm"}
"""ELF's numbers for processors."""

_MODEL_FILE: Final = re.compile(
    r".*\.(?:onnx|pb|h5|hdf5|keras|pt|pth|safetensors|tflite|gguf|joblib|ckpt|mar|pkl|bin"
    r"|data-\d+-of-\d+)"
)
_NO_MODEL: Final = re.compile(r"(?:.*/)?(?:site|dist)-packages/.*|usr/.*|lib.*/.*|var/.*")
_LEFT: Final = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"(?:root|home/[^/]+)/\.cache/pip/.*", "pip's cache"),
        (r"(?:root|home/[^/]+)/\.cache/(?:uv|pypoetry|conda)/.*", "a package manager's cache"),
        (r"(?:.*/)?(?:conda|miniconda3?|mambaforge)/pkgs/.*", "conda's packages"),
        (r"var/lib/apt/lists/.*", "apt's lists"),
        (r"var/cache/(?:apt|yum|dnf|apk)/.*", "the package manager's archives"),
        (r"usr/(?:lib/gcc|libexec/gcc)/.*", "the compiler"),
        (r"(?:.*/)?\.git/.*", "a repository's history (.git)"),
        (r"(?:var/)?tmp/.*", "temporary files"),
    )
)


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
    leftovers: Counter[str] = field(default_factory=Counter)
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


def save(engine: DockerEngine, ref: str) -> Saved:
    """Read an image of the engine's. Seconds for a large one, minutes on a busy machine. Raises
    ``EngineError``.
    """
    engine.image(ref)
    with closing(open_client(engine.address, timeout_s=_PATIENCE_S)) as client, translated():
        return read(client.get_image(ref, chunk_size=_READ))


def read(chunks: Iterable[bytes]) -> Saved:
    """Read what ``docker save`` writes, whether in the older or in OCI's layout."""
    layers: dict[str, SavedLayer] = {}
    documents: dict[str, bytes] = {}
    aliases: dict[str, str] = {}
    try:
        with tar_of(chunks) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if member.issym():
                    aliases[member.name] = member.linkname
                file = archive.extractfile(member) if member.isreg() else None
                if file is None:
                    continue
                head: bytes = cast("Any", file).peek(_BLOCK)[:_BLOCK]
                if head[:1] in {b"{", b"["} and member.size <= _LARGEST_JSON:
                    documents[member.name] = file.read()
                elif head.startswith(_COMPRESSED) or _is_tar(head):
                    layers[member.name] = _layer(file)
    except tarfile.TarError as error:
        raise EngineError(f"What the engine saved of the image cannot be read: {error}.") from error
    return _assembled(documents, layers, aliases)


def _assembled(
    documents: Mapping[str, bytes], layers: Mapping[str, SavedLayer], aliases: Mapping[str, str]
) -> Saved:
    try:
        said = json.loads(documents["manifest.json"])[0]
        config = json.loads(documents[said["Config"]])
        names = [_followed(name, aliases) for name in said["Layers"] or ()]
    except (KeyError, IndexError, ValueError) as error:
        raise EngineError(
            f"What the engine saved of the image has no manifest that can be read: {error!r}."
        ) from error
    # One of no bytes at all (an empty folder's) may be left out of the archive.
    ordered = [layers.get(name, SavedLayer()) for name in names]
    made = [step for step in config.get("history") or () if not step.get("empty_layer")]
    for layer, step in zip(ordered, made, strict=False):
        command = str(step.get("created_by") or step.get("comment") or "")
        layer.command = quoted(command) or "imported"
    return Saved(config=config, layers=ordered)


def _followed(name: str, aliases: Mapping[str, str]) -> str:
    """A layer that occurs twice is saved once, and linked to."""
    if name not in aliases:
        return name
    return re.sub(r"^(\.\./)+", "", aliases[name])


def _is_tar(head: bytes) -> bool:
    """Of an empty one all bytes are 0."""
    return head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC) or not any(head)


def _layer(content: IO[bytes]) -> SavedLayer:
    layer = SavedLayer()
    with tarfile.open(fileobj=content, mode="r|*") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            path = member.name.removeprefix("./").lstrip("/")
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                layer.emptied.add(folder)
            elif name.startswith(_WHITEOUT):
                layer.removed.add(f"{folder}/{name[4:]}".lstrip("/"))
            elif member.isreg() and member.size:
                _look(layer, path, member, archive)
    return layer


def _look(layer: SavedLayer, path: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    for pattern, what in _LEFT:
        if pattern.fullmatch(path):
            layer.leftovers[what] += member.size
            break
    if path.startswith(MODEL_PLACE):
        layer.under_mount += member.size
    elif member.size >= _LARGE_MODEL and _MODEL_FILE.fullmatch(path) and not _NO_MODEL.match(path):
        layer.models.append((path, member.size))
    small = member.size <= LARGEST_READ
    if not small and not member.mode & _EXECUTABLE:
        return
    file = archive.extractfile(member)
    if file is None:
        return
    content = file.read(-1 if small else _ELF_HEAD)
    if content.startswith(_ELF):
        if member.mode & _EXECUTABLE and len(content) >= _ELF_HEAD:
            layer.executables[path] = int.from_bytes(content[18:20], "little")
    elif small:
        layer.leaks += [FileLeak(path=path, leak=leak) for leak in in_file(path, content)]
