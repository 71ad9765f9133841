"""What a request carries and what its answer says, as far as two answers can be compared."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.artifacts import store
from lab.contenttype import content_type_of
from lab.runfiles import read_bytes


@dataclass(frozen=True, kw_only=True)
class AnswerPayload:
    """A request body that the model can answer."""

    name: str
    """Of the file, without its folders."""
    body: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswer:
    """What the model said of each input of a request."""

    best: Sequence[str]
    """What the scores decide, an input each, in words: a prediction's other fields, like ``item
    7``; of bare numbers, the place of the largest."""
    scores: Sequence[Sequence[float]]
    prediction_s: float | None
    """By the container's own clock, where it says so."""


def payload_of(model: str, path: Path | None, *, content_type: str | None = None) -> AnswerPayload:
    """The file, or without one what a real client sends, as the model's card says.

    Raises ``UsageError`` for a file that cannot be read or whose type cannot be told.
    """
    if path is None:
        drawn = store.payload(model)
        return AnswerPayload(
            name=drawn.path.name, body=drawn.path.read_bytes(), content_type=drawn.content_type
        )
    kind = content_type_of(path, content_type)
    body = read_bytes(path, remedy="Correct --payload.")
    return AnswerPayload(name=path.name, body=body, content_type=kind)


def read_answer(body: bytes) -> ExpectedAnswer | None:
    """The answer of the lab's own server, or bare rows of numbers; None for anything else.

    ``best`` is empty where the numbers decide nothing that is known: of an imported model.
    """
    try:
        said = json.loads(body)
        seconds: Any = None
        rows: Sequence[Any]
        if isinstance(said, dict):
            rows = [_scores(one) for one in said["predictions"]]
            labels = [_label(one) for one in said["predictions"]]
            seconds = said.get("prediction_seconds")
        else:
            rows = _rows(said)
            labels = [""] * len(rows)
        found = [[float(number) for number in row] for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration):
        return _read_tensors(body)
    if not found or not all(found):
        return None
    return ExpectedAnswer(
        best=[
            label or f"score {row.index(max(row))}"
            for label, row in zip(labels, found, strict=True)
        ],
        scores=found,
        prediction_s=None if seconds is None else float(seconds),
    )


def _read_tensors(body: bytes) -> ExpectedAnswer | None:
    """An answer of named tensors: all its numbers, of which none decides anything."""
    try:
        said = json.loads(body)
        rows = said["predictions"] if "predictions" in said else [said["outputs"]]
        found = [[float(one) for one in _leaves(row)] for row in rows]
        seconds = float(said["prediction_seconds"])
    except (ValueError, TypeError, KeyError):
        return None
    if not found or not all(found):
        return None
    return ExpectedAnswer(best=[], scores=found, prediction_s=seconds)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def _scores(prediction: Mapping[str, Any]) -> Sequence[float]:
    """The first list of fractions of a prediction, whatever its task calls it."""
    return next(
        value
        for value in prediction.values()
        if isinstance(value, list) and any(isinstance(one, float) for one in value)
    )


def _label(prediction: Mapping[str, Any]) -> str:
    """What is neither a fraction nor made of others: a class, an item, whether it is a guess."""
    plain = {key: one for key, one in prediction.items() if isinstance(one, str | int)}
    return ", ".join(f"{key} {value}" for key, value in plain.items())


def _rows(said: Any) -> Sequence[Any]:
    """Rows of numbers; a single row may come without the brackets of a list of one."""
    if not isinstance(said, list):
        raise TypeError(said)
    return said if said and isinstance(said[0], list) else [said]
