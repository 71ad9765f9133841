"""What stayed in an image's layers that only its build needed: where, and how to keep it out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.images.layers.ballast import Ballast, kind_of
from lab.images.layers.saved import Saved, SavedLayer

_COPIES: Final = ("COPY", "ADD")
_RUNS: Final = ("RUN", "/bin/")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """What one layer holds of one kind, in one folder."""

    kind: Ballast
    folder: str
    """With its leading slash; of tests, the folder of the packages that they are of."""
    size: int
    layer: int
    """Counts from 1."""
    command: str
    """The step that made the layer."""
    gone_in: int | None
    """The layer that takes most of it away again, which takes no byte off."""

    @property
    def change(self) -> str:
        """What to change in that step, imperative; it fits what the step does already."""
        if self.kind.wanted:
            return self.kind.cure
        if self.command.startswith(_COPIES):
            return f"{self.kind.cure} before layer {self.layer} copies it"
        if not self.command.startswith(_RUNS):
            return f"take a base without it, or {self.kind.cure} before it is imported"
        if self.gone_in is not None:
            return (
                f"{self.kind.cure} in layer {self.layer}'s own step: in layer {self.gone_in} it is "
                "too late"
            )
        if self.kind.done is not None and self.kind.done.search(self.command):
            return (
                f"{self.kind.cure} at the end of layer {self.layer}'s step: the step has the like, "
                "but something in it fills the folder without or after it"
            )
        return f"{self.kind.cure} in layer {self.layer}'s step"


def leftovers(image: Saved, *, wanted: bool = False) -> Sequence[Leftover]:
    """All of it, the largest first; ``wanted``: also what is there for a reason."""
    found = [
        one
        for number, layer in enumerate(image.layers, 1)
        for one in _of(image, number, layer)
        if wanted or not one.kind.wanted
    ]
    return sorted(found, key=lambda one: -one.size)


def _of(image: Saved, number: int, layer: SavedLayer) -> Sequence[Leftover]:
    sizes: Counter[tuple[str, str]] = Counter()
    gone: dict[tuple[str, str], Counter[int | None]] = {}
    kinds: dict[str, Ballast] = {}
    for path, size in layer.files.items():
        known = kind_of(path) if size else None
        if known is not None:
            kind, folder = known
            kinds[kind.name] = kind
            key = (kind.name, _named(folder))
            sizes[key] += size
            gone.setdefault(key, Counter())[image.gone_in(number, path)] += size
    return [
        Leftover(
            kind=kinds[key[0]],
            folder=key[1],
            size=size,
            layer=number,
            command=layer.command,
            gone_in=gone[key].most_common(1)[0][0],
        )
        for key, size in sizes.items()
    ]


def _named(folder: str) -> str:
    """One name for what is spread over many folders of one."""
    for mark in ("-packages/", "__pycache__"):
        before, found, _ = folder.partition(mark)
        if found:
            return f"/{before}{mark.rstrip('/')}" if mark.endswith("/") else "/**/__pycache__"
    return f"/{folder}"
