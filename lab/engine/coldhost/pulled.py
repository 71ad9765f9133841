"""What a pull's own events prove: that every layer was downloaded and unpacked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.engine.api import LayerEvent
from lab.errors import EngineError

_ANNOUNCED: Final = "Pulling fs layer"
_DOWNLOADED: Final = "Download complete"
_UNPACKED: Final = "Pull complete"
_AFTERWARDS: Final = frozenset({_DOWNLOADED, "Extracting", _UNPACKED})
_KNOWN: Final = "Already exists"


class NotColdError(EngineError):
    """A pull that should have begun from nothing found something."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A pull from nothing. Times are nanoseconds since the epoch, by this machine's clock."""

    begin_ns: int
    downloaded_ns: int
    """The last layer was on the disk, still compressed. Others were being unpacked before."""
    end_ns: int
    layers: int
    """Different layers, each downloaded and unpacked."""
    events: Sequence[LayerEvent]


def layers_pulled(events: Sequence[LayerEvent]) -> int:
    """How many layers the pull downloaded and unpacked: all of them.

    Raises ``NotColdError`` if the engine had any of them, or does not say that it got it whole.
    """
    had = sorted({event.layer for event in events if event.status == _KNOWN})
    if had:
        raise NotColdError(
            f"The engine already had {_named(had)} of the image: this pull was not cold.",
            remedy="Pull on a cold host that has just been made.",
        )
    announced = {event.layer for event in events if event.status == _ANNOUNCED}
    unpacked = {event.layer for event in events if event.status == _UNPACKED}
    missing = sorted(announced - unpacked)
    if missing:
        raise NotColdError(
            f"The engine never said {_UNPACKED!r} of {_named(missing)}: nothing proves the pull."
        )
    if not announced:
        raise NotColdError(
            "The engine pulled no layer: it had the image.",
            remedy="Pull on a cold host that has just been made.",
        )
    return len(announced)


def downloaded_at(events: Sequence[LayerEvent]) -> int:
    """When the last layer had been downloaded.

    The engine tells the newest state of a layer and may leave out one that was soon over: then its
    next one, of being unpacked, is the earliest that shows it.
    """
    at: dict[str, int] = {}
    for event in events:
        if event.status in _AFTERWARDS:
            at.setdefault(event.layer, event.at_ns)
    return max(at.values())


def _named(layers: Sequence[str]) -> str:
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(layers)}"
