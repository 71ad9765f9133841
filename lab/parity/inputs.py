"""Which inputs both platforms are sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.artifacts import store
from lab.contenttype import content_type_of
from lab.errors import UsageError
from lab.runfiles import read_bytes

COUNT: Final = 200


@dataclass(frozen=True, kw_only=True)
class ParityInput:
    """A request's body."""

    name: str
    content_type: str
    body: bytes


def choose(model: str, count: int, given: Sequence[Path] = ()) -> Sequence[ParityInput]:
    """``count`` inputs that the model was tested on; what a real client sends; those ``given``.

    Raises ``UsageError`` when there are not so many, or the type of one given cannot be told.
    """
    given_inputs = [
        _input(store.Payload(path=one, content_type=content_type_of(one))) for one in given
    ]
    held_out = store.held_out(model)
    if count > len(held_out):
        raise UsageError(
            f"{model} has {len(held_out)} inputs that it was tested on, not {count}.",
            remedy=f"Ask for --count {len(held_out)} at most; --payload sends further ones.",
        )
    return [*map(_input, held_out[:count]), _input(store.payload(model)), *given_inputs]


def _input(one: store.Payload) -> ParityInput:
    body = read_bytes(one.path, remedy="Name a file that is there.")
    return ParityInput(name=one.path.name, content_type=one.content_type, body=body)
