"""Layers laid on each other, as an engine's overlay shows them, and what lies hidden below."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.advice.contents import EntryKind
from lab.advice.image.layerfiles import Inode, LayerFiles, Name

InodeKey = tuple[int, int]
"""The layer, and which of its inodes: a layer that occurs twice has them twice."""


@dataclass(kw_only=True, slots=True)
class Seen:
    """A name that a container sees, and the layer that it comes from; layers count from 1."""

    name: Name
    layer: int
    """Of its content: of a hard link to a lower layer's file, that layer."""

    @property
    def inode(self) -> tuple[InodeKey, Inode] | None:
        inode = self.name.inode
        return None if inode is None else ((self.layer, id(inode)), inode)


@dataclass(frozen=True, kw_only=True)
class Covered:
    """A file that nobody sees any more."""

    path: str
    inode: Inode
    by_layer: int
    removed: bool
    """Else there is another in its place."""


_FOLDER = Name(kind=EntryKind.FOLDER, mode=0o755)
"""One that a layer has only as a part of longer names."""


@dataclass
class MergedView:
    """What a container sees. Paths are relative to the root."""

    seen: dict[str, Seen] = field(default_factory=dict)
    covered: defaultdict[int, list[Covered]] = field(default_factory=lambda: defaultdict(list))
    """By the layer that has them."""
    _below: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _names: Counter[InodeKey] = field(default_factory=Counter)

    def add(self, layer: LayerFiles, number: int) -> None:
        """Lay one more on top."""
        for folder in layer.emptied:
            for path in list(self._below[folder]):
                self._drop(path, number, removed=True)
        for path in layer.removed:
            self._drop(path, number, removed=True)
        for path, name in layer.names.items():
            self._put(path, name, number)

    def names_by_inode(self) -> Mapping[InodeKey, Sequence[str]]:
        """All names of each file's content, in the order in which they came."""
        found: defaultdict[InodeKey, list[str]] = defaultdict(list)
        for path, seen in self.seen.items():
            if seen.inode is not None:
                found[seen.inode[0]].append(path)
        return found

    def real_folder(self, folder: str, *, _links: int = 0) -> str:
        """Where a folder is, if links lead to it; itself where they lead nowhere."""
        if not folder or _links > _MOST_LINKS:
            return folder
        above, _, last = folder.rpartition("/")
        place = "/".join(filter(None, [self.real_folder(above, _links=_links), last]))
        seen = self.seen.get(place)
        if seen is None or seen.name.kind is not EntryKind.LINK:
            return place
        return self.real_folder(self.target(place, seen), _links=_links + 1)

    def target(self, path: str, seen: Seen) -> str:
        """What a symbolic link at a real path points to, relative to the root; may be a link."""
        written = seen.name.target
        parts = [] if written.startswith("/") else path.split("/")[:-1]
        for part in written.split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in {"", "."}:
                parts.append(part)
        return "/".join(parts)

    def _put(self, path: str, name: Name, number: int) -> None:
        for folder in _folders(path):
            above = self.seen.get(folder)
            if above is None or above.name.kind is not EntryKind.FOLDER:
                self._set(folder, _FOLDER, number)
        self._set(path, name, number)

    def _set(self, path: str, name: Name, number: int) -> None:
        seen = Seen(name=name, layer=number)
        if name.inode is not None and name.target:  # a hard link to what a lower layer has
            seen = self.seen.get(name.target, seen)
        before = self.seen.get(path)
        both = before is not None and before.name.kind is name.kind is EntryKind.FOLDER
        if before is not None and not both:
            self._drop(path, number, removed=False)
        self.seen[path] = seen
        self._below[path.rpartition("/")[0]].add(path)
        if seen.inode is not None:
            self._names[seen.inode[0]] += 1

    def _drop(self, path: str, by: int, *, removed: bool) -> None:
        for one in list(self._subtree(path)):
            seen = self.seen.pop(one)
            self._below.pop(one, None)
            if seen.inode is None:
                continue
            key, inode = seen.inode
            self._names[key] -= 1
            if not self._names[key]:
                self.covered[seen.layer].append(
                    Covered(path=one, inode=inode, by_layer=by, removed=removed)
                )
        self._below[path.rpartition("/")[0]].discard(path)

    def _subtree(self, path: str) -> Iterator[str]:
        waiting = [path] if path in self.seen else []
        while waiting:
            one = waiting.pop()
            yield one
            waiting += self._below.get(one, ())


_MOST_LINKS = 40
"""As the kernel has it."""


def _folders(path: str) -> Iterator[str]:
    """Those that a path lies in, the outermost first."""
    for at, sign in enumerate(path):
        if sign == "/":
            yield path[:at]


def merged(layers: Sequence[LayerFiles]) -> MergedView:
    """All layers, the lowest first."""
    view = MergedView()
    for number, layer in enumerate(layers, 1):
        view.add(layer, number)
    return view
