"""What tasks of any kind do alike: JSON in, JSON out, a tensor's rows."""

import json

from app.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.tasks import Tensor


def read_json(body: bytes) -> object:
    """What the body says; raises ``RequestError`` 400 for one that is not JSON."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        fault = str(error)[:200] or "nested too deeply"
        raise RequestError(400, f"The body is not JSON: {fault}.") from error
    return value


def write_json(
    predictions: "Sequence[dict[str, object]]", *, model: str, prediction_s: float
) -> bytes:
    """The body of an answer with an object for each instance."""
    value = {
        "predictions": predictions,
        "prediction_seconds": round(prediction_s, 6),
        "model": model,
    }
    return json.dumps(value, separators=(",", ":")).encode()


def rows(tensor: "Tensor", code: str) -> "list[list[float]]":
    """The rows of an array of two dimensions, of numbers of ``code``: see Python's ``array``."""
    (count, columns), data = tensor
    numbers = memoryview(data).cast(code).tolist()  # type: ignore[call-overload]
    return [numbers[at * columns : (at + 1) * columns] for at in range(count)]
