"""What ``docker save`` writes, taken apart while it comes: each layer goes to a reader once, and
nothing of it is kept here.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, Generic, TypeVar, cast

from lab.engine.docker.client import open_client
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.tar import tar_of
from lab.errors import EngineError
from lab.images.sizes import quoted

WHITEOUT: Final = ".wh."
"""What the name begins with of a file that takes away the one of a lower layer."""
OPAQUE: Final = ".wh..wh..opq"
"""The name of a file that takes away all that lower layers have in its folder."""

_LARGEST_JSON: Final = 8 * 1024 * 1024
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = 257
_BLOCK: Final = 512
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and Zstandard begin."""
_READ: Final = 1 << 20
_PATIENCE_S: Final = 1800.0
"""An engine writes the whole image to its own disk before it sends the first byte."""

Content = TypeVar("Content")


@dataclass(frozen=True, kw_only=True)
class StreamLayer(Generic[Content]):
    """A layer, as the reader made it of its files."""

    content: Content | None
    """None of one without files that was left out of the archive."""
    compressed_bytes: int | None
    """None where the engine keeps layers unpacked."""
    command: str
    """The step that made it, with what might be a secret hidden."""


@dataclass(frozen=True, kw_only=True)
class ImageStream(Generic[Content]):
    """An image that was read from a stream."""

    config: Mapping[str, Any]
    layers: Sequence[StreamLayer[Content]]
    """The lowest first. One that occurs twice has the same content twice."""


@contextmanager
def saving(engine: DockerEngine, ref: str) -> Iterator[Iterable[bytes]]:
    """An image of the engine's as ``docker save`` sends it. Raises ``EngineError``."""
    engine.image(ref)
    with closing(open_client(engine.address, timeout_s=_PATIENCE_S)) as client, translated():
        yield client.get_image(ref, chunk_size=_READ)


def read_stream(
    chunks: Iterable[bytes], reader: Callable[[IO[bytes]], Content]
) -> ImageStream[Content]:
    """Hand every layer's tar, perhaps compressed, to ``reader``, whether they come in the older or
    in OCI's layout. Raises ``EngineError``.
    """
    layers: dict[str, tuple[Content, int | None]] = {}
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
                    size = member.size if head.startswith(_COMPRESSED) else None
                    layers[member.name] = reader(file), size
    except tarfile.TarError as error:
        raise EngineError(f"What the engine saved of the image cannot be read: {error}.") from error
    return _assembled(documents, layers, aliases)


def path_in_layer(name: str) -> str:
    """A name as tars have it, relative to the root."""
    return name.removeprefix("./").lstrip("/")


def _assembled(
    documents: Mapping[str, bytes],
    layers: Mapping[str, tuple[Content, int | None]],
    aliases: Mapping[str, str],
) -> ImageStream[Content]:
    try:
        said = json.loads(documents["manifest.json"])[0]
        config = json.loads(documents[said["Config"]])
        names = [_followed(name, aliases) for name in said["Layers"] or ()]
    except (KeyError, IndexError, ValueError) as error:
        raise EngineError(
            f"What the engine saved of the image has no manifest that can be read: {error!r}."
        ) from error
    made = [step for step in config.get("history") or () if not step.get("empty_layer")]
    commands = [str(step.get("created_by") or step.get("comment") or "") for step in made]
    commands = [quoted(command) or "imported" for command in commands]
    commands += [""] * (len(names) - len(commands))
    return ImageStream(
        config=config,
        layers=[
            StreamLayer(
                content=layers[name][0] if name in layers else None,
                compressed_bytes=layers[name][1] if name in layers else None,
                command=command,
            )
            for name, command in zip(names, commands, strict=False)
        ],
    )


def _followed(name: str, aliases: Mapping[str, str]) -> str:
    """A layer that occurs twice is saved once, and linked to."""
    if name not in aliases:
        return name
    return re.sub(r"^(\.\./)+", "", aliases[name])


def _is_tar(head: bytes) -> bool:
    """Of an empty one all bytes are 0."""
    return head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC) or not any(head)
