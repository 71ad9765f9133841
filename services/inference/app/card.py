"""``model.json``: what the server has to know of the model that lies beside it."""

import json
from math import prod

from .errors import StartError

_SCHEMA = 2
_BYTES = {
    "bool": 1, "int8": 1, "uint8": 1, "float16": 2, "int16": 2, "uint16": 2,
    "float32": 4, "int32": 4, "uint32": 4, "float64": 8, "int64": 8, "uint64": 8,
}  # fmt: skip


class TensorSpec:
    """An input or output of the model. A None in its shape is a dimension that is free."""

    __slots__ = ("batched", "dtype", "first", "item_bytes", "name", "shape")

    def __init__(self, value: "dict[str, object]") -> None:
        self.name = str(value["name"])
        self.dtype = str(value["dtype"])
        if self.dtype not in _BYTES:
            raise ValueError(f"{self.name} is of {self.dtype}, not of {', '.join(_BYTES)}")
        self.item_bytes = _BYTES[self.dtype]
        shape = value["shape"]
        if not isinstance(shape, list):
            raise TypeError(f"{self.name}'s shape must be an array")
        self.shape = tuple(None if size is None else int(size) for size in shape)
        self.batched = self.shape[:1] == (None,) and value.get("batched", True) is True
        """Whether the first dimension is a batch: of the same size for all of which it is one."""
        first = value.get("first", [1 if size is None else size for size in self.shape])
        if not isinstance(first, list) or not self.fits(tuple(map(int, first))):
            raise ValueError(f"{self.name}'s first shape {first} is none of {shape}")
        self.first = tuple(map(int, first))
        """The shape of what a model is warmed up with."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of ``shape`` is one of this."""
        return len(shape) == len(self.shape) and all(
            mine is None or mine == size for mine, size in zip(self.shape, shape, strict=True)
        )

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
        self.described: dict[str, object] = {}
        """All of ``model.json``: what only the model's own task knows of is in here, too."""
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
    found = Card(
        str(value["name"]),
        str(value["task"]),
        tuple(map(TensorSpec, taken)),
        tuple(map(TensorSpec, given)),
        tuple(map(str, labels)),
    )
    found.reference = value.get("reference")
    found.described = value
    return found
