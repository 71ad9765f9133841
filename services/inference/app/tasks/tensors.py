"""The task of any model: named tensors in, named tensors out, as its graph has them.

Bodies and answers are TensorFlow Serving's: by column, ``{"inputs": ...}`` to ``{"outputs": ...}``,
and by row, ``{"instances": [...]}`` to ``{"predictions": [...]}``; the README has them all.
"""

import json
from math import isfinite, prod

from app import npy
from app.errors import RequestError

from . import Batch, Feature, nested, table
from .fitting import all_of, asked, fitting, holds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, ClassVar

    from app.card import Card, TensorSpec
    from app.settings import Settings
    from app.tasks import Tensor

_NPY, _JSON, _CSV = "application/x-npy", "application/json", "text/csv"
_TABLE = 2
"""Dimensions of what a CSV body is."""


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
        self._shared = _shared(card)
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
            return self._batch([table.read(spec, body)])
        shape, dtype, data = npy.read_any(body)
        wanted = fitting(spec, shape)
        if not holds(spec.dtype, dtype):
            raise RequestError(
                400, f"{asked(spec)}; {dtype} came: save the array's astype({spec.dtype!r})."
            )
        if dtype != spec.dtype:
            data = nested.pack(list(nested.unpack(data, dtype)), spec.dtype, shape)
        return self._batch([(wanted, data)])

    def encode(
        self, kind: str, outputs: "Sequence[Tensor]", batch: Batch, *, prediction_s: float
    ) -> "tuple[bytes, Sequence[dict[str, float]]]":
        specs = self._card.outputs
        numbers = [
            nested.unpack(data, spec.dtype) for spec, (_, data) in zip(specs, outputs, strict=True)
        ]
        if kind == _NPY:
            ((shape, data),) = outputs
            body = npy.write(data, *shape, dtype=specs[0].dtype)
        elif kind == _CSV:
            body = table.write(nested.short(numbers[0], specs[0].dtype), outputs[0][0])
        else:
            values = [
                nested.lists(one, spec.dtype, shape)
                for one, spec, (shape, _) in zip(numbers, specs, outputs, strict=True)
            ]
            body = self._answer(values, prediction_s)
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
        for name, places in self._shared.items():
            sizes = [tensors[at][0][axis] for at, axis in places]
            if len(set(sizes)) > 1:
                came = ", ".join(
                    f"{size} in {specs[at].name}"
                    for (at, _), size in zip(places, sizes, strict=True)
                )
                raise RequestError(400, f"The size {name!r} must be the same; {came} came.")
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
                'The JSON must be {"inputs": {...}} or {"instances": [...]}; '
                f"{all_of(specs)}.",
            )
        else:
            columns = value
        if not isinstance(columns, dict):
            if len(specs) > 1:
                raise RequestError(400, f'"inputs" must be an object by name; {all_of(specs)}.')
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
            raise RequestError(400, f'Send "inputs": {all_of(specs)}, which have no rows.')
        if len(specs) == 1 and not isinstance(instances[0], dict):
            return [instances]
        for place, one in enumerate(instances):
            if not isinstance(one, dict):
                raise RequestError(
                    400, f"instances[{place}] must be an object by name; {all_of(specs)}."
                )
            _named(specs, one, f"instances[{place}]")
        return [[one[spec.name] for one in instances] for spec in specs]


def _shared(card: "Card") -> "dict[str, list[tuple[int, int]]]":
    """The free sizes that more than one dimension of the inputs has, by name.

    ``dims`` of an input in ``model.json`` are what its graph calls them.
    """
    places: dict[str, list[tuple[int, int]]] = {}
    described: list[dict[str, list[object]]] = card.described.get("inputs", [])  # type: ignore[assignment]
    for at, (spec, value) in enumerate(zip(card.inputs, described, strict=True)):
        for axis, name in enumerate(value.get("dims", [])):
            if isinstance(name, str) and spec.shape[axis] is None:
                places.setdefault(name, []).append((at, axis))
    return {name: found for name, found in places.items() if len(found) > 1}


def _named(specs: "Sequence[TensorSpec]", given: "dict[str, object]", where: str) -> None:
    names = [one.name for one in specs]
    for name in names:
        if name not in given:
            raise RequestError(400, f"{where} has no {name}; {all_of(specs)}.")
    for name in given:
        if name not in names:
            raise RequestError(
                400, f"{where} has {name[:100]!r}, which is no input; {all_of(specs)}."
            )


def _tensor(spec: "TensorSpec", value: object) -> "Tensor":
    try:
        shape, elements = nested.flat(value, len(spec.shape))
        wanted = fitting(spec, shape)
        return wanted, nested.pack(elements, spec.dtype, shape)
    except ValueError as error:
        raise RequestError(400, f"{asked(spec)}; {error}.") from error
