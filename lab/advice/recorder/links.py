"""Paths as the kernel walks them: which links and folders of an image lie on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_MOST_LINKS: Final = 40
"""The kernel's limit: what has more is a circle."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a path leads."""

    path: str
    """The place itself: absolute, without links, ``.`` and ``..``."""
    through: tuple[str, ...]
    """Links and folders on the way, each at its own place, in the order in which they are met;
    the root is not among them."""
    circular: bool = False
    """Links lead to each other: there is nothing there."""


def walk(path: str, links: Mapping[str, str], *, follow: bool = True) -> Way:
    """Follow an absolute path. ``links`` has the target of each symbolic link, as it is written.

    ``follow``: also a link at the very end. What is not in ``links`` counts as a folder or file.
    """
    left = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    at = ""
    through = list[str]()
    met = 0
    while left:
        part = left.pop()
        if part == "..":
            at = at.rpartition("/")[0]
            continue
        here = f"{at}/{part}"
        target = links.get(here)
        if target is None or (not left and not follow):
            at = here
            if left:
                through.append(here)
            continue
        through.append(here)
        met += 1
        if met > _MOST_LINKS:
            return Way(here, tuple(dict.fromkeys(through)), circular=True)
        left += [one for one in reversed(target.split("/")) if one not in ("", ".")]
        if target.startswith("/"):
            at = ""
    return Way(at or "/", tuple(dict.fromkeys(through)))
