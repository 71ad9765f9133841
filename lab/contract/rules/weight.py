"""The rules about what an image carries that it need not: leftovers, and the model itself."""

from collections import Counter
from typing import Final

from lab.contract.layers.saved import MODEL_PLACE, Saved
from lab.contract.model import Judged, Verdict
from lab.contract.running.session import Tries
from lab.units import format_bytes

_NEGLIGIBLE: Final = 10_000_000
_SHOWN: Final = 3


def judge_leftovers(image: Saved) -> Judged:
    """What was left behind, in whichever layer."""
    counted: Counter[str] = Counter()
    for layer in image.layers:
        counted.update(layer.leftovers)
    total = counted.total()
    if total < _NEGLIGIBLE:
        return Verdict.PASS, f"{format_bytes(total)}" if total else "none"
    parts = ", ".join(f"{what} {format_bytes(size)}" for what, size in counted.most_common(_SHOWN))
    return Verdict.WARN, f"{format_bytes(total)}: {parts}"


def judge_model_data(image: Saved) -> Judged:
    """A model in the image, where the mount hides it or elsewhere."""
    hidden = sum(layer.under_mount for layer in image.layers)
    if hidden:
        return Verdict.WARN, f"{format_bytes(hidden)} in /{MODEL_PLACE}, hidden by the mount"
    baked = [one for layer in image.layers for one in layer.models]
    if not baked:
        return Verdict.PASS, "no model in the image"
    path, size = max(baked, key=lambda one: one[1])
    return Verdict.WARN, f"baked in: {len(baked)}, the largest /{path} of {format_bytes(size)}"


TRIES: Tries = {
    "leftovers": lambda session: judge_leftovers(session.saved()),
    "model-data": lambda session: judge_model_data(session.saved()),
}
