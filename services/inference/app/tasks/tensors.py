"""The task of any model: named tensors in, named tensors out, as its graph has them.

Bodies and answers are TensorFlow Serving's: by column, ``{"inputs": ...}`` to ``{"outputs": ...}``,
and by row, ``{"instances": [...]}`` to ``{"predictions": [...]}``; the README has them all.
"""

import json
from math import isfinite, prod

from app import npy
from app.errors import RequestError

from . import Batch, Feature, nested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, ClassVar

    from app.card import Card, TensorSpec
    from app.settings import Settings
    from app.tasks import Tensor

_NPY, _JSON, _CSV = "application/x-npy", "application/json", "text/csv"
_TABLE = 2
"""Dimensions of what a CSV body is."""
_EXACT = {"float16": 11, "float32": 24, "float64": 53}
"""Bits of the whole numbers that a float holds without a loss."""
_TRUTH = {"0": False, "1": True, "false": False, "true": True}
_MOST_CELL = 40


class Tensors:
    """See ``Task``. What a body or an answer may be depends on the model's inputs and outputs."""

    features: "ClassVar[Sequence[Feature]]" = (
        Feature(
            "answer",
            "predictions",
            "Instances predicted: 1 where all numbers of the answer are finite, else 0.",
            drifts=False,
        ),
        Feature(
            "size",
            "input_size",
            "Instances predicted, by how many numbers they came as.",
            (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576),
        ),
    )

    def __init__(self, card: "Card", settings: "Settings") -> None:
        self._card = card
        self._max_instances = settings.max_instances
        self._batched = all(one.batched for one in card.inputs)
        self._by_row = self._batched and all(one.batched for one in card.outputs)
        self.taken = [_JSON]
        self.given = [_JSON]
        if len(card.inputs) == 1:
            self.taken.append(_NPY)
            if len(card.inputs[0].shape) == _TABLE:
                self.taken.append(_CSV)
        if len(card.outputs) == 1:
            self.given.append(_NPY)
            if len(card.outputs[0].shape) <= _TABLE:
                self.given.append(_CSV)

    def decode(self, kind: str, body: bytes) -> Batch:
        if not body:
            raise RequestError(400, "The body is empty.")
        if kind == _JSON:
            return self._batch(self._json(body))
        (spec,) = self._card.inputs
        if kind == _CSV:
            return self._batch([_csv(spec, body)])
        shape, dtype, data = npy.read_any(body)
        fitting = _fitting(spec, shape)
        if not _holds(spec.dtype, dtype):
            raise RequestError(
                400, f"{_asked(spec)}; {dtype} came: save the array's astype({spec.dtype!r})."
            )
        if dtype != spec.dtype:
            data = nested.pack(list(nested.unpack(data, dtype)), spec.dtype, shape)
        return self._batch([(fitting, data)])

    def encode(
        self, kind: str, outputs: "Sequence[Tensor]", batch: Batch, *, prediction_s: float
    ) -> "tuple[bytes, Sequence[dict[str, float]]]":
        specs = self._card.outputs
        if kind == _NPY:
            ((shape, data),) = outputs
            numbers = [nested.unpack(data, specs[0].dtype)]
            body = npy.write(data, *shape, dtype=specs[0].dtype)
        else:
            made = [
                nested.lists(data, spec.dtype, shape)
                for spec, (shape, data) in zip(specs, outputs, strict=True)
            ]
            numbers = [one for _, one in made]
            if kind == _CSV:
                body = _lines(numbers[0], outputs[0][0])
            else:
                body = self._answer([value for value, _ in made], prediction_s)
        return body, [
            {**noted, "answer": int(self._finite(numbers, place, len(batch.noted)))}
            for place, noted in enumerate(batch.noted)
        ]

    def _answer(self, values: "list[Any]", prediction_s: float) -> bytes:
        names = [one.name for one in self._card.outputs]
        answer: dict[str, object] = {"outputs": dict(zip(names, values, strict=True))}
        if self._by_row:
            rows = values[0]
            if len(names) > 1:
                rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
            answer = {"predictions": rows}
        answer["prediction_seconds"] = round(prediction_s, 6)
        answer["model"] = self._card.name
        return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()

    def _finite(self, numbers: "list[list[float]]", place: int, count: int) -> bool:
        """Whether all of one instance's answer is; of the whole answer where it has no rows."""
        parts = numbers
        if self._by_row and count > 1:
            sizes = [len(one) // count for one in numbers]
            parts = [
                one[place * size : (place + 1) * size]
                for one, size in zip(numbers, sizes, strict=True)
            ]
        return all(all(map(isfinite, one)) for one in parts)

    def _batch(self, tensors: "list[Tensor]") -> Batch:
        specs = self._card.inputs
        size = sum(prod(shape) for shape, _ in tensors)
        if not self._batched:
            return Batch(1, tensors, [{"size": size}])
        counts = [shape[0] for shape, _ in tensors]
        if len(set(counts)) > 1:
            came = ", ".join(
                f"{count} of {one.name}" for one, count in zip(specs, counts, strict=True)
            )
            raise RequestError(400, f"All inputs must have as many instances; {came} came.")
        count = counts[0]
        if not count:
            raise RequestError(400, "There is no instance in the body.")
        self._few(count)
        # What has no rows in its answer must not be cut up into several runs.
        return Batch(count if self._by_row else 1, tensors, [{"size": size / count}] * count)

    def _few(self, count: int) -> None:
        if self._batched and count > self._max_instances:
            raise RequestError(
                413, f"{count} instances at once: send {self._max_instances} at most."
            )

    def _json(self, body: bytes) -> "list[Tensor]":
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            fault = str(error)[:200] or "nested too deeply"
            raise RequestError(400, f"The body is not JSON: {fault}.") from error
        specs = self._card.inputs
        if isinstance(value, dict) and "instances" in value:
            return [
                _tensor(spec, column)
                for spec, column in zip(specs, self._columns(value["instances"]), strict=True)
            ]
        if isinstance(value, dict) and "inputs" in value:
            columns = value["inputs"]
        elif isinstance(value, dict) or len(specs) > 1:
            raise RequestError(
                400,
                f'The JSON must be {{"inputs": {{...}}}} or {{"instances": [...]}}; {_all(specs)}.',
            )
        else:
            columns = value
        if not isinstance(columns, dict):
            if len(specs) > 1:
                raise RequestError(400, f'"inputs" must be an object by name; {_all(specs)}.')
            columns = {specs[0].name: columns}
        _named(specs, columns, '"inputs"')
        return [_tensor(spec, columns[spec.name]) for spec in specs]

    def _columns(self, instances: object) -> "list[list[object]]":
        """What each input is for all instances."""
        specs = self._card.inputs
        if not isinstance(instances, list) or not instances:
            raise RequestError(400, '"instances" must be an array with one at least.')
        self._few(len(instances))
        if not all(one.shape for one in specs):
            raise RequestError(400, f'Send "inputs": {_all(specs)}, which have no rows.')
        if len(specs) == 1 and not isinstance(instances[0], dict):
            return [instances]
        for place, one in enumerate(instances):
            if not isinstance(one, dict):
                raise RequestError(
                    400, f"instances[{place}] must be an object by name; {_all(specs)}."
                )
            _named(specs, one, f"instances[{place}]")
        return [[one[spec.name] for one in instances] for spec in specs]


def _named(specs: "Sequence[TensorSpec]", given: "dict[str, object]", where: str) -> None:
    names = [one.name for one in specs]
    for name in names:
        if name not in given:
            raise RequestError(400, f"{where} has no {name}; {_all(specs)}.")
    for name in given:
        if name not in names:
            raise RequestError(
                400, f"{where} has {name[:100]!r}, which is no input; {_all(specs)}."
            )


def _tensor(spec: "TensorSpec", value: object) -> "Tensor":
    try:
        shape, elements = nested.flat(value, len(spec.shape))
        fitting = _fitting(spec, shape)
        return fitting, nested.pack(elements, spec.dtype, shape)
    except ValueError as error:
        raise RequestError(400, f"{_asked(spec)}; {error}.") from error


def _fitting(spec: "TensorSpec", shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the model gets; raises ``RequestError`` 400.

    One instance without the batch's dimension is a batch of one; a column may lack a last one of 1.
    """
    tries = [shape, (*shape, 1)] if spec.shape[-1:] == (1,) else [shape]
    if spec.batched or spec.shape[:1] == (1,):
        tries.insert(1, (1, *shape))
    for one in tries:
        if spec.fits(one):
            return one
    raise RequestError(400, f"{_asked(spec)}; {_shape(shape)} came.")


def _csv(spec: "TensorSpec", body: bytes) -> "Tensor":
    """Lines of cells without a header; the line and the column of a fault are named, from 1."""
    lines = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").splitlines()
    if not lines:
        raise RequestError(400, "The body is empty.")
    read = _cell(spec.dtype)
    columns = spec.shape[1] or lines[0].count(",") + 1
    rows = []
    for number, line in enumerate(lines, 1):
        cells = line.split(",")
        if len(cells) != columns:
            raise RequestError(
                400, f"{_asked(spec)}: {columns} columns; line {number} has {len(cells)}."
            )
        try:
            if "_" in line:  # which Python would skip
                raise ValueError(line)  # noqa: TRY301
            rows.append([read(cell) for cell in cells])
            nested.pack(list(rows[-1]), spec.dtype, (columns,))
        except ValueError:
            column = next(at for at, cell in enumerate(cells, 1) if not _reads(cell, spec.dtype))
            cell = cells[column - 1].strip()[:_MOST_CELL]
            raise RequestError(
                400, f"{_asked(spec)}; line {number}, column {column} is {cell!r}."
            ) from None
    shape = (len(rows), columns)
    return _fitting(spec, shape), nested.pack(
        [one for row in rows for one in row], spec.dtype, shape
    )


def _cell(dtype: str) -> "Callable[[str], float]":
    if dtype == "bool":
        return _truth
    return float if dtype.startswith("float") else int


def _truth(cell: str) -> bool:
    found = _TRUTH.get(cell.strip().lower())
    if found is None:
        raise ValueError(cell)
    return found


def _reads(cell: str, dtype: str) -> bool:
    """Whether a cell is a number of this type."""
    try:
        nested.pack([_cell(dtype)(cell)], dtype, ())
    except ValueError:
        return False
    return "_" not in cell


def _lines(numbers: "list[float]", shape: tuple[int, ...]) -> bytes:
    rows, columns = (*shape, 1, 1)[:_TABLE]
    cells = [str(one).lower() if isinstance(one, bool) else repr(one) for one in numbers]
    return "".join(
        ",".join(cells[at * columns : (at + 1) * columns]) + "\n" for at in range(rows)
    ).encode()


def _holds(dtype: str, given: str) -> bool:
    """Whether every number of type ``given`` is one of ``dtype``."""
    if dtype == given:
        return True
    if "bool" in (dtype, given):
        return False
    if given.startswith("float"):
        return _EXACT.get(dtype, 0) > _EXACT[given]
    bits = int(given.lstrip("uint")) - given.startswith("int")
    room = _EXACT.get(dtype) or int(dtype.lstrip("uint")) - dtype.startswith("int")
    return bits <= room and (given.startswith("uint") or not dtype.startswith("uint"))


def _asked(spec: "TensorSpec") -> str:
    return f"The input {spec.name} is {spec.dtype} of {described(spec)}"


def _all(specs: "Sequence[TensorSpec]") -> str:
    each = ", ".join(f"{one.name} ({one.dtype} of {described(one)})" for one in specs)
    return f"the inputs are {each}"


def described(spec: "TensorSpec") -> str:
    """A shape as people write it: ``[n, 3, any]``."""
    sizes = ["any" if size is None else str(size) for size in spec.shape]
    if spec.batched:
        sizes[0] = "n"
    return f"[{', '.join(sizes)}]"


def _shape(shape: tuple[int, ...]) -> str:
    return f"an array of {list(shape)}" if shape else "a single value"
