"""What a later layer hides or takes away: it is pulled and unpacked, and nobody sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.images.layers.saved import Saved


@dataclass(frozen=True, kw_only=True)
class HiddenFile:
    """A file of a layer that no container sees."""

    path: str
    size: int
    layer: int
    """The layer that hides it; counts from 1."""
    removed: bool
    """Else there is another in its place."""


def hidden(image: Saved) -> Sequence[Sequence[HiddenFile]]:
    """What of each layer is hidden, the largest first; the lowest layer first."""
    replaced: dict[str, int] = {}
    removed: dict[str, int] = {}
    emptied: dict[str, int] = {}
    found: list[Sequence[HiddenFile]] = []
    for number in range(len(image.layers), 0, -1):
        layer = image.layers[number - 1]
        by_folder: dict[str, int] = {}
        of_layer = []
        for path, size in layer.files.items():
            if not size:
                continue
            folder = path.rpartition("/")[0]
            gone = min(removed.get(path, _NEVER), _gone(folder, removed, emptied, by_folder))
            over = replaced.get(path, _NEVER)
            nearest = min(gone, over)
            if nearest < _NEVER:
                of_layer.append(
                    HiddenFile(path=path, size=size, layer=nearest, removed=gone < over)
                )
        found.append(sorted(of_layer, key=lambda one: -one.size))
        replaced |= dict.fromkeys(layer.files, number)
        removed |= dict.fromkeys(layer.removed, number)
        emptied |= dict.fromkeys(layer.emptied, number)
    return found[::-1]


_NEVER = 1 << 30


def _gone(
    folder: str, removed: Mapping[str, int], emptied: Mapping[str, int], known: dict[str, int]
) -> int:
    """The nearest layer that takes a folder away, or one that it is in."""
    if folder not in known:
        above = _gone(folder.rpartition("/")[0], removed, emptied, known) if folder else _NEVER
        known[folder] = min(removed.get(folder, _NEVER), emptied.get(folder, _NEVER), above)
    return known[folder]
