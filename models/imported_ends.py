"""What a stranger's model says of itself, whatever it is stored as, and how it is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MOST_BYTES: Final = 2 * 1024**3 - 1
"""Of one protocol buffer, and so of a model in one file."""

Dimension = int | str | None
"""A size, the name of one that is free, or None for one that is free and has none."""


class Refused(Exception):  # noqa: N818  # no error: an answer
    """A model or payload that the lab's images cannot serve: why, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class End:
    """An input or output, as the graph has it."""

    name: str
    dtype: str
    """As in the service's ``card.py``; else what the graph's format calls it."""
    shape: Sequence[Dimension] | None
    """None: not even the number of dimensions is known."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model that lies in the import's folder, as its runtime loads it."""

    runtime: str
    """The service's backend: ``onnx`` or ``tensorflow``."""
    inputs: Sequence[End]
    outputs: Sequence[End]
    parameters: int
    """Numbers stored in the graph: weights, and a tree's thresholds."""
    facts: Mapping[str, Any]
    """What else is told of it: producer, opset."""
    notes: Sequence[str] = ()
    """What was changed or left out, a sentence each."""


def numeric(kind: str, inputs: Sequence[End], outputs: Sequence[End]) -> tuple[Sequence[End], str]:
    """The outputs that are tensors of numbers, and a note on the others; raises ``Refused``."""
    from app.card import TensorSpec  # the service's, beside this package when it runs

    def is_number(end: End) -> bool:
        try:
            TensorSpec({"name": end.name, "dtype": end.dtype, "shape": []})
        except ValueError:
            return False
        return True

    if not inputs:
        raise Refused(
            f"The {kind} has no inputs: it would answer the same to everything.",
            "Export the model with its inputs as inputs of the graph, not as constants.",
        )
    for one in inputs:
        if not is_number(one):
            raise Refused(
                f"The input {one.name} is of {one.dtype}; the service takes tensors of numbers and "
                "booleans.",
                "Export the part of the model behind it: what reads text or maps is the client's.",
            )
        if one.shape is None:
            raise Refused(
                f"The input {one.name} has no number of dimensions.",
                "Export the model with the input's shape; sizes may be free.",
            )
    kept = [one for one in outputs if is_number(one)]
    left = [f"{one.name} ({one.dtype})" for one in outputs if one not in kept]
    if not kept:
        raise Refused(
            f"The {kind} gives no tensor of numbers: {', '.join(left) or 'it has no outputs'}.",
            "Export it with its probabilities or class numbers as an output.",
        )
    return kept, f"Left out of the answer: {', '.join(left)}." if left else ""
