"""Which files of an image stay: from what it holds, and what a run of it touched. Pure."""

import posixpath
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from lab.advice.contents import Contents, Entry, EntryKind
from lab.advice.recorder.interpreters import UnknownInterpreterError, interpreter
from lab.advice.recording import Recording
from lab.advice.slim.strip import compares_itself
from lab.advice.slim.unseen import folders_for, kinds_for
from lab.images.layers.packages import Package

_LINKS_AT_MOST: Final = 40
"""As many links in one path as Linux follows."""
_EXECUTABLE: Final = 0o111


@unique
class Level(StrEnum):
    """How much is left out."""

    PACKAGES = "packages"
    """Whole packages and folders that nothing touched, and nothing touched depends on."""
    FILES = "files"
    """Every file that was not touched, but for what no recorder sees."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What stays of an image, and what goes."""

    level: Level
    contents: Contents
    kept: frozenset[str]
    """Absolute paths; every folder on the way to one is among them."""
    strippable: frozenset[str] = frozenset()
    """Of the kept files, those that may lose what no running program needs."""
    stripped: Mapping[str, int] = field(default_factory=dict)
    """The bytes that some of them lost: known once the image is made."""

    @cached_property
    def removed(self) -> Sequence[Entry]:
        """Sorted by path, folders included."""
        return [one for path, one in self.contents.entries.items() if path not in self.kept]

    @property
    def kept_bytes(self) -> int:
        return sum(self.contents.entries[path].size for path in self.kept) - self.stripped_bytes

    @property
    def removed_bytes(self) -> int:
        return sum(one.size for one in self.removed) + self.stripped_bytes

    @property
    def stripped_bytes(self) -> int:
        return sum(self.stripped.values())

    @property
    def kept_compressed(self) -> int:
        """Estimated, as each entry's own is; of a stripped file its share."""
        entries = self.contents.entries
        whole = sum(entries[path].compressed for path in self.kept)
        return whole - sum(
            entries[path].compressed * cut // max(1, entries[path].size)
            for path, cut in self.stripped.items()
        )

    @cached_property
    def removed_by_package(self) -> Mapping[Package, Sequence[Entry]]:
        """What goes, folders left out, by package; the one with most bytes first."""
        found = defaultdict[Package, list[Entry]](list)
        for one in self.removed:
            if one.kind is not EntryKind.FOLDER:
                found[one.package].append(one)
        weigh = {package: sum(one.size for one in its) for package, its in found.items()}
        return {one: found[one] for one in sorted(found, key=lambda it: (-weigh[it], it))}


class Selector:
    """Chooses again and again from one image: with more to keep each time, as a proof finds it."""

    def __init__(
        self,
        contents: Contents,
        recordings: Sequence[Recording],
        *,
        level: Level,
        keep: Sequence[str] = (),
        strip: bool = True,
        head: Callable[[str], bytes],
    ) -> None:
        """``keep`` are globs of absolute paths; of a folder that matches, all stays. ``strip``: at
        the level ``files`` programs and libraries may lose their symbols. ``head`` says how a file
        begins.
        """
        self._contents = contents
        self._entries = contents.entries
        self._level = level
        self._strip = strip and level is Level.FILES
        self._head = head
        self._kinds = kinds_for(contents.config)
        self._heads: dict[str, str | None] = {}
        touched = {path for one in recordings for path in one.touched()} & self._entries.keys()
        self._touched = {path for path in touched if not self._is_folder(path)}
        self._seen_folders = touched - self._touched
        self._globbed = set(self._matching(keep))
        self._twins = self._hard_links()

    def select(self, also: Collection[str] = ()) -> Selection:
        """What stays; ``also`` are paths that stay whatever was seen, at the level ``packages``
        with their packages.
        """
        wanted = self._touched | (set(also) & self._entries.keys())
        if self._level is Level.PACKAGES:
            packages = self._needed({self._entries[path].package for path in wanted})
            kept = {
                path
                for path, one in self._entries.items()
                if one.kind is not EntryKind.FOLDER and one.package in packages
            }
        else:
            kept = set(wanted)
        kept |= self._globbed | {path for path in also if path in self._entries}
        self._close(kept, wanted)
        # Twice: a licence stays with a library that only stays because no recorder sees it.
        for _ in range(2):
            unseen = self._unseen({self._entries[path].package for path in kept}) - kept
            kept |= unseen
            self._close(kept, {path for path in kept if self._leads_somewhere(path)})
        for folder in (*folders_for(self._contents.config), *self._seen_folders):
            if self._is_folder(folder):
                kept.add(folder)
        kept |= self._empty_folders()
        kept |= {parent for path in kept for parent in _parents(path)} & self._entries.keys()
        return Selection(
            level=self._level,
            contents=self._contents,
            kept=frozenset(kept),
            strippable=self._strippable(kept, also) if self._strip else frozenset(),
        )

    def _strippable(self, kept: set[str], also: Collection[str]) -> frozenset[str]:
        """What is kept by name, or came back, stays whole under every name it has."""
        whole = {twin for path in also for twin in self._twins.get(path, (path,))}
        return frozenset(
            path
            for path in kept - whole - self._globbed
            if self._entries[path].kind is EntryKind.FILE
            and not compares_itself(path, self._entries)
        )

    def missing_for(self, path: str) -> Collection[str]:
        """What a look-up of that path would need of the image: links on the way, what they lead
        to, and every name of that file.
        """
        real, links = self.resolve(path)
        found = {*links, *([] if real is None else [real])}
        return found | {twin for one in found for twin in self._twins.get(one, ())}

    def resolve(self, path: str) -> tuple[str | None, Collection[str]]:
        """Where a path leads, None if to nothing in the image, and the links on the way."""
        links: list[str] = []
        rest = [part for part in path.split("/") if part and part != "."]
        here = "/"
        while rest:
            part = rest.pop(0)
            here = posixpath.dirname(here) if part == ".." else posixpath.join(here, part)
            found = self._entries.get(here)
            if found is None:
                if here == "/":
                    continue
                return None, links
            if found.kind is EntryKind.LINK:
                if len(links) >= _LINKS_AT_MOST:
                    return None, links
                links.append(here)
                rest = [one for one in found.target.split("/") if one and one != "."] + rest
                here = "/" if found.target.startswith("/") else posixpath.dirname(here)
        return here, links

    def _is_folder(self, path: str) -> bool:
        found = self._entries.get(path)
        return found is not None and found.kind is EntryKind.FOLDER

    def _matching(self, globs: Sequence[str]) -> Iterator[str]:
        for path in self._entries:
            ways = [path, *_parents(path)]
            if any(fnmatchcase(way, glob.rstrip("/")) for way in ways for glob in globs):
                yield path

    def _hard_links(self) -> Mapping[str, Collection[str]]:
        """All names of each file that has several."""
        names = defaultdict[str, set[str]](set)
        for path, one in self._entries.items():
            if one.kind is EntryKind.FILE and one.target:
                names[one.target] |= {one.target, path}
        return {path: group for group in names.values() for path in group}

    def _needed(self, packages: Collection[Package]) -> Collection[Package]:
        """The packages, and what they depend on."""
        found, new = set(packages), list(packages)
        while new:
            for other in self._contents.depends.get(new.pop(), ()):
                if other not in found:
                    found.add(other)
                    new.append(other)
        return found

    def _unseen(self, packages: Collection[Package]) -> set[str]:
        return {
            path
            for path, one in self._entries.items()
            if any(
                kind.holds(path, one.package[0], package_stays=one.package in packages)
                for kind in self._kinds
            )
        }

    def _leads_somewhere(self, path: str) -> bool:
        """Whether a link of the configuration's must not dangle: the others of /etc may."""
        return path == "/etc/localtime" or path.startswith(("/etc/ssl/", "/etc/pki/"))

    def _close(self, kept: set[str], followed: Collection[str]) -> None:
        """Add what the kept ones need: targets, interpreters, other names, links to them."""
        new = list(followed)
        while new:
            path = new.pop()
            wanted = set(self.missing_for(path))
            program = self._program(path)
            if program is not None:
                wanted |= set(self.missing_for(program))
            fresh = {one for one in wanted if one in self._entries and one not in kept}
            kept |= fresh
            new += fresh
        kept |= {twin for path in kept & self._twins.keys() for twin in self._twins[path]}
        folders = {parent for path in kept for parent in _parents(path)}
        for path, one in self._entries.items():
            if one.kind is EntryKind.LINK and path not in kept:
                real, _ = self.resolve(path)
                if real is not None and (real in kept or real in folders):
                    kept.add(path)

    def _program(self, path: str) -> str | None:
        """What the kernel needs to start a file, if it can be started."""
        one = self._entries[path]
        name = posixpath.basename(path)
        library = name.endswith(".so") or ".so." in name
        startable = one.kind is EntryKind.FILE and bool(one.mode & _EXECUTABLE) and not library
        if startable and path not in self._heads:
            try:
                found = interpreter(self._head(path))
            except UnknownInterpreterError:
                found = None  # the loaders stay in any case
            self._heads[path] = found if found is None or found.startswith("/") else None
        return self._heads.get(path)

    def _empty_folders(self) -> set[str]:
        full = {posixpath.dirname(path) for path in self._entries}
        return {path for path in self._entries if self._is_folder(path) and path not in full}


def _parents(path: str) -> Iterable[str]:
    while path not in {"/", ""}:
        path = posixpath.dirname(path)
        yield path
