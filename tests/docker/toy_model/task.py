"""JSON of rows of three numbers in; the largest one's place and all shares out."""

from array import array
from collections.abc import Sequence

from app.card import Card
from app.errors import RequestError
from app.settings import Settings
from app.tasks import Batch, Feature, Tensor, bodies


class Task:
    """See ``app.tasks.Task``."""

    taken = given = ("application/json",)
    features = (
        Feature("place", "predictions", "Rows, by the place of the largest number."),
        Feature("confidence", "confidence", "Rows, by the largest share.", (0.4, 0.6, 0.8, 1.0)),
        Feature("spread", "input_spread", "Rows, by largest less smallest.", (0.5, 1, 2, 4)),
    )

    def __init__(self, card: Card, settings: Settings) -> None:
        self._model, self._most = card.name, settings.max_instances

    def decode(self, kind: str, body: bytes) -> Batch:
        try:
            rows = bodies.read_json(body)["numbers"]  # type: ignore[index]
            numbers = array("f", [float(one) for a, b, c in rows for one in (a, b, c)])
            noted = [{"spread": float(max(row) - min(row))} for row in rows]
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise RequestError(400, f'Send {{"numbers": [[1, 2, 3]]}}: {error}.') from error
        if not 1 <= len(rows) <= self._most:
            raise RequestError(413 if rows else 400, f"{len(rows)}: send 1 to {self._most} rows.")
        return Batch(len(rows), [((len(rows), 3), numbers.tobytes())], noted)

    def encode(
        self, kind: str, outputs: Sequence[Tensor], batch: Batch, *, prediction_s: float
    ) -> tuple[bytes, Sequence[dict[str, float]]]:
        rows = bodies.rows(outputs[0], "f")
        said = [{"place": row.index(max(row)), "shares": row} for row in rows]
        noted = [
            {**before, "place": row.index(max(row)), "confidence": max(row)}
            for before, row in zip(batch.noted, rows, strict=True)
        ]
        return bodies.write_json(said, model=self._model, prediction_s=prediction_s), noted
