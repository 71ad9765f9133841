"""A stranger's model tried out: a body for it, and whether its first dimension is a batch."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.card import TensorSpec
from models.imported_ends import Dimension, End, Refused, Source

Arrays = Sequence[NDArray[Any]]

_SIZES: Final = (8, 16, 32, 64, 224, 1)
"""Tried for dimensions that are free, one after the other: words, then pixels."""
_FEW: Final = 24
"""Numbers that an example is written out with."""
_MUCH: Final = 4096
"""Numbers from which on a body is an array file, if it can be."""
_DIGITS: Final = 4
_AT_ONCE: Final = 8
"""As in the service's ``predictor.py``."""
_NOISE: Final = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/.*?\) (?=[\w'])")
"""What ONNX Runtime's messages tell its makers only."""
_CLOSE: Final = 1e-3
"""Of an answer's largest number: two ways to run the same graph differ less."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The backend of the service with the model in it."""

    source: Source
    backend: Any

    def run(self, arrays: Arrays) -> Arrays:
        """The outputs; raises whatever the runtime raises."""
        answers = self.backend.predict(
            [(one.shape, np.ascontiguousarray(one).tobytes()) for one in arrays]
        )
        return [
            np.frombuffer(data, one.dtype).reshape(shape)
            for one, (shape, data) in zip(self.source.outputs, answers, strict=True)
        ]

    def warm(self, arrays: Arrays) -> None:
        """Run it on zeros, as every start of the service does; raises ``Refused``."""
        try:
            self.run([np.zeros_like(one) for one in arrays])
        except Exception as error:  # the runtimes' errors share no base class
            raise Refused(
                f"The model fails when it is fed with zeros, as every start does: {text(error)}",
                "Make the graph safe for zeros of its inputs' shapes.",
            ) from error

    def made(self, *, batched: bool) -> Arrays:
        """Random inputs that it can answer; raises ``Refused``."""
        last = ""
        for size in _SIZES:
            arrays = random(self.source.inputs, size, batched=batched)
            try:
                self.run(arrays)
            except Exception as error:  # noqa: BLE001  # see above
                last = text(error)
                continue
            return arrays
        raise Refused(
            f"The model answers none of the inputs that were made of its graph: {last}",
            "Give a body that it can answer with --payload FILE (.json, .npy or .csv).",
        )

    def rows(self, arrays: Arrays) -> tuple[Sequence[bool], str]:
        """For each output whether its rows are the answers to the inputs' rows.

        None of them, and why, where the graph cannot run an instance alone or two at once.
        """
        one = [array[:1] for array in arrays]
        zeros = [np.zeros_like(array) for array in one]
        try:
            alone = zip(self.run(one), self.run(zeros), strict=True)
            both = self.run([np.concatenate(pair) for pair in zip(one, zeros, strict=True)])
        except Exception as error:  # noqa: BLE001  # see above
            return [], text(error)
        return [_same(answer, *parts) for answer, parts in zip(both, alone, strict=True)], ""


def settled(tried: Trial, arrays: Arrays) -> tuple[Source, Sequence[bool], Sequence[str]]:
    """Whether the first dimension that a graph leaves free is a batch.

    The source, with another first dimension where the graph can run one instance only; of each
    output whether it is batched; and what is to be noted. If no output is, no input is.
    """
    source, none = tried.source, [False] * len(tried.source.outputs)
    rows, why = tried.rows(arrays)
    if any(rows):
        pairs = zip(source.outputs, rows, strict=True)
        return (
            source,
            rows,
            [
                f"{one.name} has no row for each instance: answers are by output, not by row."
                for one, by_row in pairs
                if not by_row
            ],
        )
    if rows:
        return source, none, ["The first dimension is no batch: no answer has a row for each."]
    note = f"The graph leaves its batch free, and cannot run two instances: {why}"
    if {len(one) for one in arrays} == {1}:
        inputs = [replace(one, shape=[1, *(one.shape or ())[1:]]) for one in source.inputs]
        source = replace(source, inputs=inputs)
    return source, none, [note]


def _same(both: NDArray[Any], one: NDArray[Any], other: NDArray[Any]) -> bool:
    if not both.ndim or len(both) != 2 or both[:1].shape != one.shape:
        return False
    apart = np.concatenate([one, other]).astype(np.float64)
    largest = float(np.max(np.abs(apart), initial=0.0, where=np.isfinite(apart)))
    return bool(np.allclose(both.astype(np.float64), apart, 0, _CLOSE * largest, equal_nan=True))


def is_batch(inputs: Sequence[End]) -> bool:
    """Whether the graph calls the first dimension of all inputs the same, and leaves it free."""
    firsts = [one.shape[0] if one.shape else 0 for one in inputs]
    return not any(isinstance(one, int) for one in firsts) and len({*firsts} - {None}) <= 1


def random(inputs: Sequence[End], size: int, *, batched: bool) -> Arrays:
    """Small numbers, the same every time: whole ones are 0 or 1, which most vocabularies have."""
    generator = np.random.default_rng(17)
    arrays = []
    for one in inputs:
        shape = [each if isinstance(each, int) else size for each in one.shape or ()]
        if batched:
            shape[0] = 1
        values: NDArray[Any] = np.round(generator.normal(size=shape), _DIGITS)
        if not one.dtype.startswith("float"):
            values = generator.integers(0, 256 if one.dtype == "uint8" else 2, shape)
        arrays.append(np.asarray(values).astype(one.dtype))
    return arrays


def body(inputs: Sequence[End], arrays: Arrays, *, batched: bool) -> tuple[str, bytes]:
    """A request's body with these inputs, and the suffix of a file of it."""
    if len(arrays) == 1 and arrays[0].size > _MUCH:
        file = io.BytesIO()
        np.save(file, arrays[0])
        return ".npy", file.getvalue()
    columns = {
        one.name: json.loads(json.dumps(array.tolist()), parse_float=_short)
        for one, array in zip(inputs, arrays, strict=True)
    }
    if not batched:
        return ".json", json.dumps({"inputs": columns}).encode()
    if len(columns) == 1:
        (rows,) = columns.values()
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return ".json", json.dumps({"instances": rows}).encode()


def example(inputs: Sequence[End], *, batched: bool) -> str:
    """A body that would fit, or how to make one where it is long."""
    arrays = random(inputs, 2, batched=batched)
    if sum(one.size for one in arrays) <= _FEW:
        return body(inputs, arrays, batched=batched)[1].decode()
    shapes = [f'"{one.name}": ({one.dtype} of {list(a.shape)})' for one, a in zip(inputs, arrays)]  # noqa: B905
    if len(arrays) == 1:
        (array,) = arrays
        shape = f"numpy.zeros({array.shape}, {str(array.dtype)!r})"
        return f'a file x.npy by numpy.save("x.npy", {shape}), or {{"inputs": {{{shapes[0]}}}}}'
    return f'{{"inputs": {{{", ".join(shapes)}}}}}'


def described(
    source: Source, arrays: Arrays | None, answers: Arrays, rows: Sequence[bool], *, batched: bool
) -> Mapping[str, Any]:
    """The card's ``inputs`` and ``outputs``.

    ``arrays``, None before there are any, and ``answers`` are those of the payload; ``rows`` tells
    of each output whether it is batched.
    """
    inputs = [_described(one, batched=batched) for one in source.inputs]
    named = _sizes(source.inputs, arrays or ())
    for end, spec, array in zip(source.inputs, inputs, arrays or (), strict=False):
        if None in spec["shape"]:
            dims = [one if len(named.get(one, ())) == 1 else None for one in end.shape or ()]
            if any(dims):
                spec["dims"] = dims
            first = list(array.shape)
            spec["first"] = [min(first[0], _AT_ONCE), *first[1:]] if batched else first
    if arrays is None:
        outputs = [_described(one, batched=False) for one in source.outputs]
    else:
        outputs = [
            _described(end, answer.shape, batched=by_row)
            for end, answer, by_row in zip(source.outputs, answers, rows, strict=True)
        ]
    for spec in (*inputs, *outputs):
        TensorSpec(spec)
    return {"inputs": inputs, "outputs": outputs}


def _sizes(inputs: Sequence[End], arrays: Arrays) -> Mapping[Dimension, set[int]]:
    """What each of the graph's names for a free size stands for in the payload: one size, if the
    graph is right.
    """
    sizes: dict[Dimension, set[int]] = {}
    for one, array in zip(inputs, arrays, strict=False):
        for name, size in zip(one.shape or (), array.shape, strict=True):
            if isinstance(name, str):
                sizes.setdefault(name, set()).add(size)
    return sizes


def _described(end: End, actual: Sequence[int] | None = None, *, batched: bool) -> dict[str, Any]:
    """``actual`` is the shape that came: a graph's own word on its outputs is not always true."""
    said = list(end.shape or ())
    if actual is not None and len(actual) != len(said):
        said = [None] * len(actual)
    sizes = [one if isinstance(one, int) else None for one in said]
    if actual is not None:
        sizes = [one if one == size else None for one, size in zip(sizes, actual, strict=True)]
    if batched:
        sizes[0] = None
    spec: dict[str, Any] = {"name": end.name, "dtype": end.dtype, "shape": sizes}
    if sizes[:1] == [None] and not batched:
        spec["batched"] = False
    return spec


def text(error: Exception) -> str:
    """A runtime's message in one line."""
    return _NOISE.sub("", " ".join(str(error).split()))[:500]


def _short(number: str) -> float:
    return float(f"{float(number):.{_DIGITS}g}")


def kind_of(payload: Path) -> str | None:
    """The content type of a payload by its name; None for one that no task of tensors takes."""
    kinds = {".json": "application/json", ".npy": "application/x-npy", ".csv": "text/csv"}
    return kinds.get(payload.suffix.lower())
