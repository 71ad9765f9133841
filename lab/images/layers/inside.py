"""What is in an image, layer by layer, as plain figures: of any image, whoever built it."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.images.layers.hidden import HiddenFile, hidden
from lab.images.layers.leftovers import Leftover, leftovers
from lab.images.layers.packages import Package
from lab.images.layers.saved import Saved

MOST: Final = 20
"""So many files and packages are told of each layer."""


@dataclass(frozen=True, kw_only=True)
class FileSize:
    """A file of a layer."""

    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class InsideLayer:
    """What a layer holds."""

    number: int
    """Counts from 1, the lowest first."""
    command: str
    """The step that made it, with what might be a secret hidden."""
    size: int
    """Bytes of its files, unpacked."""
    compressed_bytes: int | None
    """None where the engine keeps layers unpacked."""
    file_count: int
    largest: Sequence[FileSize]
    packages: Sequence[tuple[Package, int]]
    hidden_bytes: int
    """Of files that a later layer removes or replaces: pulled, and never seen."""
    hidden: Sequence[HiddenFile]
    leftovers: Sequence[Leftover]


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What an image holds."""

    layers: Sequence[InsideLayer]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def hidden_bytes(self) -> int:
        return sum(layer.hidden_bytes for layer in self.layers)

    @property
    def leftover_bytes(self) -> int:
        """Of what can be kept out."""
        return sum(
            one.size for layer in self.layers for one in layer.leftovers if not one.kind.wanted
        )


def inside(image: Saved) -> Inside:
    """Look through an image that was read with its packages."""
    left = leftovers(image, wanted=True)
    unseen = hidden(image)
    return Inside(
        layers=[
            InsideLayer(
                number=number,
                command=layer.command,
                size=sum(layer.files.values()),
                compressed_bytes=layer.compressed_bytes,
                file_count=len(layer.files),
                largest=[
                    FileSize(path=f"/{path}", size=size)
                    for path, size in heapq.nlargest(MOST, layer.files.items(), key=_size)
                    if size
                ],
                packages=list(layer.packages.items())[:MOST],
                hidden_bytes=sum(one.size for one in unseen[number - 1]),
                hidden=unseen[number - 1][:MOST],
                leftovers=[one for one in left if one.layer == number],
            )
            for number, layer in enumerate(image.layers, 1)
        ]
    )


def as_data(found: Inside) -> Mapping[str, object]:
    """The same for programs, in bytes."""
    return {
        "unpacked_bytes": found.size,
        "hidden_bytes": found.hidden_bytes,
        "leftover_bytes": found.leftover_bytes,
        "layers": [_layer(layer) for layer in found.layers],
    }


def _layer(layer: InsideLayer) -> Mapping[str, object]:
    return {
        "layer": layer.number,
        "created_by": layer.command,
        "unpacked_bytes": layer.size,
        "compressed_bytes": layer.compressed_bytes,
        "files": layer.file_count,
        "largest": [{"path": one.path, "bytes": one.size} for one in layer.largest],
        "packages": [
            {"manager": manager or None, "name": name, "bytes": size}
            for (manager, name), size in layer.packages
        ],
        "hidden_bytes": layer.hidden_bytes,
        "hidden": [
            {
                "path": f"/{one.path}",
                "bytes": one.size,
                "by_layer": one.layer,
                "how": "removed" if one.removed else "replaced",
            }
            for one in layer.hidden
        ],
        "leftovers": [
            {
                "what": one.kind.name,
                "path": one.folder,
                "bytes": one.size,
                "removed_by_layer": one.gone_in,
                "wanted": one.kind.wanted,
                "change": one.change,
            }
            for one in layer.leftovers
        ],
    }


def _size(of: tuple[str, int]) -> int:
    return of[1]
