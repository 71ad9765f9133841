"""``model.json``: what the server has to know of the model that lies beside it."""

import json
from math import prod

from .errors import StartError

_SCHEMA = 2
_BYTES = {"uint8": 1, "int32": 4, "int64": 8, "float32": 4}


class TensorSpec:
    """An input or output of the model. ``shape[0]`` is None, the batch; other Nones are free."""

    __slots__ = ("dtype", "item_bytes", "name", "shape")

    def __init__(self, value: "dict[str, object]") -> None:
        self.name = str(value["name"])
        self.dtype = str(value["dtype"])
        if self.dtype not in _BYTES:
            raise ValueError(f"{self.name} is of {self.dtype}, not of {', '.join(_BYTES)}")
        self.item_bytes = _BYTES[self.dtype]
        shape = value["shape"]
        if not isinstance(shape, list) or not shape or shape[0] is not None:
            raise ValueError(f"{self.name}'s shape must begin with null, the batch")
        self.shape = tuple(None if size is None else int(size) for size in shape)

    def row(self) -> tuple[int, ...]:
        """One instance's shape, with 1 for a dimension that is free."""
        return tuple(1 if size is None else size for size in self.shape[1:])

    def row_bytes(self) -> int:
        """How many bytes that is."""
        return prod(self.row()) * self.item_bytes


class Card:
    """The stable part of a model's card, checked as far as every task needs it."""

    def __init__(
        self,
        name: str,
        task: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        labels: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.task = task
        self.inputs = inputs
        self.outputs = outputs
        self.labels = labels
        """Of a classifier's classes; others have none."""
        self.reference: object = None
        """What the model's inputs and answers are usually like (``reference.read``), unchecked: a
        model can be served without, and checking it has time until the metrics are opened."""


def read(model_dir: str) -> Card:
    """Read and check ``model.json``; raises ``StartError`` that names the file and the fault."""
    path = f"{model_dir}/model.json"
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib costs milliseconds at start
            text = file.read()
    except FileNotFoundError as error:
        raise StartError(f"{path} is missing: mount an unpacked model archive there.") from error
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return card(json.loads(text))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise StartError(f"{path} is not a model card of schema {_SCHEMA} ({fault}).") from error


def card(value: "dict[str, object]") -> Card:
    """The card of a ``model.json``'s content; raises one of Python's own errors."""
    if value["schema"] != _SCHEMA:
        raise ValueError(f"schema is {value['schema']!r}")
    taken, given, labels = value["inputs"], value["outputs"], value.get("labels", [])
    if not isinstance(taken, list) or not isinstance(given, list) or not isinstance(labels, list):
        raise TypeError("inputs, outputs and labels must be arrays")
    if not taken or not given:
        raise ValueError("there must be an input and an output")
    outputs = tuple(map(TensorSpec, given))
    if any(None in one.shape[1:] for one in outputs):
        raise ValueError("an output's dimensions after the batch must be numbers")
    found = Card(
        str(value["name"]),
        str(value["task"]),
        tuple(map(TensorSpec, taken)),
        outputs,
        tuple(map(str, labels)),
    )
    found.reference = value.get("reference")
    return found
