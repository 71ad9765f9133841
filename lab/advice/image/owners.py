"""Whose a name of an image is: of the package that lists it, else that whose folder it lies in.

A conda package goes before the Python package that it brings, either before Debian's; a Node
package before the Debian package that ships it, for it can be left out alone.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from lab.advice.contents import EntryKind
from lab.advice.image import metadata
from lab.advice.image.merged import MergedView, Seen
from lab.images.layers.packages import OTHER, Package, by_place, listed

DEBIAN: Final = "Debian"
NODE: Final = "Node"
R: Final = "R"
JAVA: Final = "Java"
_RANKS: Final = (DEBIAN, "Python", "conda")
"""Of those that list files, the last one's word counts."""
_BYTE_CODE: Final = re.compile(r"(?P<folder>(?:.*/)?)__pycache__/(?P<module>[^/]+?)\.[^/]+\.pyc")
_SITE: Final = re.compile(r"((?:.*/)?(?:site|dist)-packages/).*")
_LIBRARY: Final = re.compile(r"(?:.*/)?lib/python3[.\d]*t?/[^/]+(?=/)")
"""A folder in Python's library: tells more than the library as a whole."""
_MIXED: Final[Package] = ("", "")
"""Of folders that several share, until these are told."""


@dataclass
class Owners:
    """The packages of a merged view."""

    view: MergedView
    texts: Mapping[str, str]
    """Of package managers' files, by path relative to the root."""
    _folders: dict[str, str] = field(default_factory=dict)

    @cached_property
    def by_path(self) -> Mapping[str, Package]:
        """Of every name, by its path relative to the root."""
        files = {
            path: seen
            for path, seen in self.view.seen.items()
            if seen.name.kind is not EntryKind.FOLDER
        }
        found: dict[str, Package] = {path: owner for path in files if (owner := self._known(path))}
        within = _sole(found, _site_folders)
        for path in files:
            if path not in found:
                owners = (within.get(folder) for folder in _site_folders(path))
                owner = next((one for one in owners if one not in {None, _MIXED}), None)
                if owner is not None:
                    found[path] = owner
        for path, seen in files.items():
            if path not in found:
                found[path] = self._of_target(path, seen, found) or _by_folder(path)
        return {**found, **self._of_folders(found)}

    @cached_property
    def _listed(self) -> Mapping[str, Package]:
        found: dict[str, Package] = {}
        by_manager: dict[str, dict[str, Package]] = {one: {} for one in _RANKS}
        for path, text in self.texts.items():
            for file, owner in listed(path, text.encode(errors="surrogateescape")).items():
                by_manager[owner[0]][self._real(file)] = owner
        for manager in _RANKS:
            found |= by_manager[manager]
        return found

    def _real(self, path: str) -> str:
        """A name as a list has it, as the image does: folders may have become links."""
        if path in self.view.seen:
            return path
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self.view.real_folder(folder)
        return f"{self._folders[folder]}/{name}".lstrip("/")

    @cached_property
    def _package_folders(self) -> Mapping[str, Package]:
        """Of Node's and R's packages, which list nothing: all in the folder is theirs."""
        found: dict[str, Package] = {}
        for path, text in self.texts.items():
            if node := metadata.NODE.fullmatch(path):
                version = metadata.parsed(text).get("version")
                name = f"{node['name']} {version}" if version else node["name"]
                found[node["folder"]] = (NODE, name)
            elif place := metadata.R.fullmatch(path):
                said = metadata.fields(text)
                name = said.get("package", [place["folder"].rpartition("/")[2]])[0]
                found[place["folder"]] = (R, f"{name} {said.get('version', [''])[0]}".strip())
        return found

    def _known(self, path: str) -> Package | None:
        owner = self._listed.get(path)
        if owner is None and (source := _BYTE_CODE.fullmatch(path)):
            owner = self._listed.get(f"{source['folder']}{source['module']}.py")
        if owner is not None and owner[0] != DEBIAN:
            return owner
        folder = next((one for one in _above(path) if one in self._package_folders), None)
        place = self._package_folders[folder] if folder is not None else None
        if place is not None and (owner is None or place[0] == NODE):
            return place
        if owner is None and (jar := metadata.jar_package(path, self.texts.get(path, ""))):
            return JAVA, jar
        return owner

    def _of_target(self, path: str, seen: Seen, found: Mapping[str, Package]) -> Package | None:
        """A link that came with no package is of that of what it leads to."""
        for _ in range(_MOST_LINKS):
            if seen.name.kind is not EntryKind.LINK:
                return None
            path = self._real(self.view.target(path, seen))
            if path in found:
                return found[path] if found[path][0] != OTHER else None
            if path not in self.view.seen:
                return None
            seen = self.view.seen[path]
        return None

    def _of_folders(self, files: Mapping[str, Package]) -> Mapping[str, Package]:
        """A folder is of the package that alone has files below it."""
        sole = _sole(files, _above)
        found: dict[str, Package] = {}
        for path, seen in self.view.seen.items():
            if seen.name.kind is EntryKind.FOLDER:
                owner = sole.get(path) or self._listed.get(path) or _MIXED
                found[path] = _by_folder(f"{path}/x") if owner == _MIXED else owner
        return found


_MOST_LINKS: Final = 8


def _by_folder(path: str) -> Package:
    owner = by_place(path)
    library = _LIBRARY.match(path)
    return (OTHER, f"/{library[0]}") if library and owner[0] == OTHER else owner


def _above(path: str) -> Iterator[str]:
    """The folders that it lies in, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def _site_folders(path: str) -> Iterator[str]:
    """Of those below ``site-packages``."""
    root = _SITE.match(path)
    if root:
        yield from (one for one in _above(path) if len(one) > len(root[1]))


def _sole(
    owners: Mapping[str, Package], folders: Callable[[str], Iterable[str]]
) -> Mapping[str, Package]:
    """By folder the only package that has files in it; ``_MIXED`` where there are several."""
    found: dict[str, Package] = {}
    for path, owner in owners.items():
        for folder in folders(path):
            if found.setdefault(folder, owner) != owner:
                found[folder] = _MIXED
    return found
