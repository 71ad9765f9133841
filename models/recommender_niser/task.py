"""The task of NISER: from sessions of clicked items to the items that come next.

Clients speak of items by ids of their own, the graph by their place in the catalogue, from 1. What
the catalogue does not know, the model cannot have learnt from: such clicks are dropped, the answer
says how many, and of what is left the last ``most`` count. A session of which nothing is left gets
the most popular items.

All work grows with the length of a session times the logarithm of the catalogue: ids are looked up
by bisection and never kept in a hash table, which a client could fill with ids of one hash.
"""

import json
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final

from app.card import Card
from app.errors import RequestError
from app.settings import Settings
from app.tasks import Batch, Feature, Tensor, bodies

JSON, CSV = "application/json", "text/csv"
USUAL: Final = 20
"""Items in an answer to who does not say how many."""
FORM: Final = '{"session": [item ids], "k": 20} or {"instances": [such objects]}'
ID_BYTES: Final = 8
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"  # which spreadsheets write
SHOWN: Final = 40
"""Characters of a wrong value that an error repeats."""
TENTHS: Final = tuple(tenth / 10 for tenth in range(1, 11))


class Task:
    """See ``app.tasks.Task``."""

    taken = (JSON, CSV)
    given = (JSON, CSV)
    features = (
        Feature("answer", "predictions", "Sessions, by who answered: 0 popularity, 1 the model."),
        Feature(
            "confidence",
            "confidence",
            "Sessions, by the first item's probability.",
            (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
        ),
        Feature(
            "length",
            "input_length",
            "Sessions, by their clicks as sent.",
            (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 1000),
        ),
        Feature(
            "unknown",
            "input_unknown_ratio",
            "Sessions, by the share of their clicks that the catalogue does not know.",
            (0, *TENTHS),
        ),
        Feature(
            "popularity",
            "answer_popularity",
            "Sessions, by the share of their answer that is among the most popular items.",
            (0, *TENTHS),
        ),
    )

    def __init__(self, card: Card, settings: Settings) -> None:
        """Raises ``ValueError`` for a card that does not fit, or ids that do not fit it."""
        (session,), (items, scores) = card.inputs, card.outputs
        if (session.dtype, session.shape) != ("int64", (None, None)):
            raise ValueError("the input must be int64 of [null, null]")
        if (items.dtype, scores.dtype) != ("int64", "float32") or items.shape != scores.shape:
            raise ValueError("the outputs must be int64 and float32, of one shape")
        (self._columns,) = items.row()
        self._name = card.name
        self._max_instances = settings.max_instances
        described: dict[str, Any] = card.described
        catalogue, popular = described["catalogue"], described["popular"]
        self._ids = _ids(catalogue, settings.model_dir)
        """A client's ids, ascending: the graph's id is the place, from 1."""
        self._most = _positive(catalogue, "most")
        self._popular = list(map(int, popular["items"]))
        self._shares = list(map(float, popular["shares"]))
        if not self._columns <= len(self._popular) == len(self._shares):
            raise ValueError(f"popular must have {self._columns} items at least, each with a share")
        self._among = frozenset(self._popular)

    def decode(self, kind: str, body: bytes) -> Batch:
        if not body:
            raise RequestError(400, "The body is empty.")
        asked = self._lines(body) if kind == CSV else self._instances(body)
        rows, noted = [], []
        for session, k in asked:
            known = self._known(session)
            rows.append(known[-self._most :])
            dropped = len(session) - len(known)
            noted.append(
                {
                    "answer": min(len(known), 1),
                    "length": len(session),
                    "unknown": dropped / max(len(session), 1),
                    "dropped": dropped,
                    "k": k,
                }
            )
        length = max(1, *map(len, rows))
        padded = array("q")
        for row in rows:
            padded.extend(row)
            padded.extend(repeat(0, length - len(row)))
        return Batch(len(rows), [((len(rows), length), padded.tobytes())], noted)

    def encode(
        self, kind: str, outputs: Sequence[Tensor], batch: Batch, *, prediction_s: float
    ) -> tuple[bytes, Sequence[dict[str, float]]]:
        (_, items), (_, scores) = outputs
        places, numbers = memoryview(items).cast("q"), memoryview(scores).cast("f")
        answers, predictions, noted = [], [], []
        for at, sent in enumerate(batch.noted):
            first, k = at * self._columns, int(sent["k"])
            if sent["answer"]:
                answer = [self._ids[place - 1] for place in places[first : first + k]]
                shares = [float(f"{one:.9g}") for one in numbers[first : first + k]]
            else:
                answer, shares = self._popular[:k], self._shares[:k]
            answers.append(answer)
            predictions.append(
                {
                    "item": answer[0],
                    "items": answer,
                    "scores": shares,
                    "unknown": int(sent["dropped"]),
                    "popular": not sent["answer"],
                }
            )
            popularity = sum(map(self._among.__contains__, answer)) / k
            noted.append({**sent, "confidence": shares[0], "popularity": popularity})
        if kind == CSV:
            lines = [",".join(map(str, answer)) + "\n" for answer in answers]
            return "".join(lines).encode(), noted
        return bodies.write_json(predictions, model=self._name, prediction_s=prediction_s), noted

    def _known(self, session: Sequence[int]) -> Sequence[int]:
        """The graph's ids of the clicks that the catalogue knows."""
        ids = self._ids
        first, last = ids[0], ids[-1]
        if isinstance(ids, range):
            return [one for one in session if first <= one <= last]
        return [
            place + 1
            for one in session
            if first <= one <= last and ids[place := bisect_left(ids, one)] == one
        ]

    def _instances(self, body: bytes) -> list[tuple[list[int], int]]:
        value = bodies.read_json(body)
        if not isinstance(value, dict) or ("session" in value) == ("instances" in value):
            raise RequestError(400, f"The JSON must be {FORM}.")
        if "session" in value:
            return [self._instance(value, "")]
        instances = value["instances"]
        if not isinstance(instances, list) or not instances:
            raise RequestError(400, f"instances must be an array with one at least: {FORM}.")
        self._few(len(instances))
        return [self._instance(one, f"instances[{at}]") for at, one in enumerate(instances)]

    def _instance(self, value: object, name: str) -> tuple[list[int], int]:
        """A session and how many items are wanted; ``name`` is where it stands in the body."""
        if not isinstance(value, dict) or "session" not in value:
            raise RequestError(400, f'{name} must be {{"session": [item ids]}}.')
        within = f"{name}." if name else ""
        session, k = value["session"], value.get("k", min(USUAL, self._columns))
        if type(k) is not int or not 1 <= k <= self._columns:  # True is an int, too
            raise RequestError(
                400, f"{within}k is {_said(k)}: it must be from 1 to {self._columns}."
            )
        if not isinstance(session, list):
            raise RequestError(400, f"{within}session must be an array of item ids.")
        if not set(map(type, session)) <= {int}:
            at, wrong = next((at, one) for at, one in enumerate(session) if type(one) is not int)
            raise RequestError(
                400, f"{within}session[{at}] is {_said(wrong)}: item ids are whole numbers."
            )
        return session, k

    def _lines(self, body: bytes) -> list[tuple[list[int], int]]:
        # A byte that is not ASCII becomes one that is in no number, and is told with its place.
        lines = body.removeprefix(BYTE_ORDER_MARK).decode("ascii", "replace").splitlines()
        if not lines:
            raise RequestError(400, "The body is empty.")
        self._few(len(lines))
        k = min(USUAL, self._columns)
        return [(_line(line, number), k) for number, line in enumerate(lines, 1)]

    def _few(self, count: int) -> None:
        if count > self._max_instances:
            raise RequestError(
                413, f"{count} sessions at once: send {self._max_instances} at most."
            )


def _line(line: str, number: int) -> list[int]:
    """The ids in a line of CSV; an empty one is an empty session."""
    session: list[int] = []
    for field in line.split(",") if line.strip() else ():
        try:
            # Python takes underscores inside of numbers.
            session.append(int(field if "_" not in field else ""))
        except ValueError as error:
            raise RequestError(
                400,
                f"Line {number}, column {len(session) + 1} is {_said(field)}: a line is a session, "
                "whole numbers with commas between them, without a header.",
            ) from error
    return session


def _said(value: object) -> str:
    """A value as an error shows it: short, whatever it is."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _positive(table: dict[str, Any], key: str) -> int:
    value = table[key]
    if type(value) is not int or value < 1:
        raise ValueError(f"{key} is {value!r}, not a number of 1 or more")
    return value


def _ids(catalogue: dict[str, Any], folder: str) -> Sequence[int]:
    """A client's ids: 1 to N, or what the file says that the card names."""
    count, name = _positive(catalogue, "items"), catalogue["ids"]
    if name is None:
        return range(1, count + 1)
    try:
        with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123  # pathlib costs milliseconds
            content = file.read()
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) != count * ID_BYTES:
        raise ValueError(
            f"{name} has {len(content)} bytes: {count} ids of {ID_BYTES} bytes were to come"
        )
    return array("q", content)
