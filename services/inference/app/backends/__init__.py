"""What runs the model: one small interface, one module per runtime, loaded by name."""

import os

# The official builds of ONNX Runtime report to their maker as soon as they are loaded, unless told
# not to before: that is nobody's business but the user's, costs start-up time, leaves files in
# /tmp and fails where there is no network.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from app.card import Card
    from app.tasks import Tensor

    class Backend(Protocol):
        """A loaded model. ``predict`` may be called from several threads at once."""

        def predict(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            """The model's outputs, in the card's order and types; ``tensors`` are its inputs, in
            the card's order.
            """

    class BackendModule(Protocol):
        """A module of this package. Importing it imports its runtime."""

        def load(self, model_dir: str, card: Card, *, threads: int, library: str) -> Backend:
            """Load the model in ``model_dir``; raises ``StartError``."""


def module(name: str) -> "BackendModule":
    """Import the backend called ``name`` and with it the runtime it needs."""
    if name == "onnx-capi":
        from . import onnx_capi  # only the one that is used

        return onnx_capi
    if name == "onnx":
        from . import onnx_numpy

        return onnx_numpy
    from . import tensorflow

    return tensorflow
