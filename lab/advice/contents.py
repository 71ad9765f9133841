"""What an image holds once its layers lie on each other: files, whose they are, what they weigh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique

from lab.images.layers.packages import Package


@unique
class EntryKind(StrEnum):
    """What a name stands for."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    """Symbolic."""
    OTHER = "other"
    """Devices, pipes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A name that a container of the image sees."""

    path: str
    """Absolute."""
    kind: EntryKind
    size: int
    """Bytes, unpacked. Of a file with several names the first has them, the others 0."""
    compressed: int
    """Its share of the layer's compressed bytes, estimated from samples of its content."""
    layer: int
    """Counts from 1, the lowest first."""
    mode: int
    package: Package
    """``("Debian", "perl-base")``; ``("", "/srv")`` for what came with none: its folder."""
    target: str = ""
    """Of a symbolic link as it is written; of a further name of a file the first, absolute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """A file of a layer that no container sees: pulled and unpacked all the same."""

    path: str
    """Absolute."""
    size: int
    compressed: int
    by_layer: int
    """The layer that hides it."""
    removed: bool
    """Else there is another in its place."""


@dataclass(frozen=True, kw_only=True)
class ContentLayer:
    """A layer, with the step that made it."""

    number: int
    command: str
    """With what might be a secret hidden."""
    unpacked_bytes: int
    compressed_bytes: int
    """As a registry has it, or the sum of the estimates: see ``compressed_known``."""
    compressed_known: bool
    """Whether a registry or the engine said it. Estimates lie 5 to 8 % above what gzip makes."""
    hidden: Sequence[Hidden]
    """What a later layer removes or replaces, the largest first."""

    @property
    def hidden_bytes(self) -> int:
        return sum(one.size for one in self.hidden)

    @property
    def hidden_compressed(self) -> int:
        return sum(one.compressed for one in self.hidden)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """An image's files as a container sees them."""

    image: str
    image_id: str
    config: Mapping[str, object]
    """The image's configuration, whole, as in ``docker save``."""
    layers: Sequence[ContentLayer]
    entries: Mapping[str, Entry]
    """By path, sorted."""
    depends: Mapping[Package, Sequence[Package]] = field(default_factory=dict)
    """Which packages a package needs, of those that are there, as its own metadata says. Sorted."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What a few small files say, by absolute path: each ``package.json`` of an application (not
    in ``node_modules``), ``pyvenv.cfg``, ``/usr/lib/os-release``."""

    @property
    def unpacked_bytes(self) -> int:
        return sum(one.size for one in self.entries.values())
