"""The rules about what an image carries that it need not: leftovers, and the model itself."""

from collections import Counter
from typing import Final

from lab.contract import sources
from lab.contract.layers.saved import MODEL_PLACE, Saved
from lab.contract.model import Judged, Rule, Verdict
from lab.contract.running.session import Rules
from lab.units import format_bytes

_NEGLIGIBLE: Final = 10_000_000
_SHOWN: Final = 3

LEFTOVERS = Rule(
    id="leftovers",
    title="Nothing stays in the layers that was only needed to build it",
    why="It is pulled and unpacked at every cold start that has not the image; removing it in a "
    "later step takes nothing off.",
    change="Build in one stage and copy the result into another; or remove caches in the step "
    "that fills them (`pip install --no-cache-dir`, `rm -rf /var/lib/apt/lists/*`).",
    source=sources.LAB,
)
MODEL_DATA = Rule(
    id="model-data",
    title="The model comes in the model archive, not in the image",
    why=f"What the image has in /{MODEL_PLACE.rstrip('/')} is hidden by the model that SageMaker "
    "mounts there; a model elsewhere in it makes every new version a new image.",
    change="Pack the model as model.tar.gz and name it in ModelDataUrl; if it is baked in on "
    f"purpose, keep it out of /{MODEL_PLACE.rstrip('/')}.",
    source=sources.INFERENCE_CODE,
)


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


RULES: Rules = (
    (LEFTOVERS, lambda session: judge_leftovers(session.saved())),
    (MODEL_DATA, lambda session: judge_model_data(session.saved())),
)
