"""JSON of rows of three numbers in; the largest one's place and all shares out."""

import json
from array import array
from collections.abc import Sequence

from app.card import Card
from app.errors import RequestError
from app.settings import Settings
from app.tasks import Batch, Feature, Tensor


class Task:
    """See ``app.tasks.Task``."""

    taken = ("application/json",)
    given = ("application/json",)
    features = (
        Feature("place", "predictions", "Rows, by the place of the largest number."),
        Feature("confidence", "confidence", "Rows, by the largest share.", (0.4, 0.6, 0.8, 1.0)),
        Feature("spread", "input_spread", "Rows, by largest less smallest.", (0.5, 1, 2, 4)),
    )

    def __init__(self, card: Card, settings: Settings) -> None:
        """Nothing of the card or the settings is needed."""

    def decode(self, kind: str, body: bytes) -> Batch:
        try:
            rows = json.loads(body)["numbers"]
            numbers = array("f", [float(one) for a, b, c in rows for one in (a, b, c)])
        except (ValueError, TypeError, KeyError) as error:
            raise RequestError(400, f'Send {{"numbers": [[1, 2, 3]]}}: {error}.') from error
        noted = [{"spread": max(row) - min(row)} for row in rows]
        return Batch(len(rows), [((len(rows), 3), numbers.tobytes())], noted)

    def encode(
        self, kind: str, outputs: Sequence[Tensor], batch: Batch, *, prediction_s: float
    ) -> tuple[bytes, Sequence[dict[str, float]]]:
        flat = memoryview(outputs[0][1]).cast("f").tolist()
        rows = [flat[at : at + 3] for at in range(0, len(flat), 3)]
        said = [{"place": row.index(max(row)), "shares": row} for row in rows]
        noted = [
            {**before, "place": row.index(max(row)), "confidence": max(row)}
            for before, row in zip(batch.noted, rows, strict=True)
        ]
        return json.dumps({"predictions": said}).encode(), noted
