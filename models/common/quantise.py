"""Static int8 of an ONNX model: calibrated, searched for the layers to leave out, and timed.

QDQ, signed weights and activations, a scale for each channel of a weight: what ONNX Runtime's
documentation recommends for convolutions. On x86-64 processors without VNNI products of 8 by 8 bits
are added up in 16 bits and may saturate: there weights get 7 bits (``reduce_range``).
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization import qdq_loss_debug
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.common.built import say
from models.common.timing import Processor

LAYERS: Final = ("Conv", "Gemm", "MatMul")
"""Operators with weights; whatever lies before the first of them is preprocessing, left as it is.
"""
TRIED: Final = (0, 1, 2, 4, 8)
"""How many layers are left out once it is repaired, until that is good enough: the search's budget.
"""
MATCHED: Final = 4
"""Inputs whose activations are compared, all of which are held in memory."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The model that was kept, and how it was found."""

    excluded: tuple[str, ...]
    """Layers that stayed float."""
    repaired: bool
    """Whether ``Repair`` had to help."""
    tried: tuple[Mapping[str, Any], ...]
    """What each try left out, and the loss that it had."""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What makes up for the loss, when leaving nothing out is not good enough."""

    last: int
    """So many layers at the end stay float, to be changed."""
    change: Callable[[Path, Sequence[str]], None]
    """Changes them in a quantised file, by name."""


def search(
    source: Path,
    target: Path,
    *,
    inputs: NDArray[Any],
    on: Processor,
    loss: Callable[[Path], float],
    most: float,
    repair: Repair,
) -> Found:
    """Quantise ``source`` until ``loss`` is at most ``most``: all of it, then repaired, then with
    more and more of the most damaged layers left out.

    ``inputs`` [n, ...] calibrate. The last try is left in ``target``, good enough or not: whoever
    asks judges it on inputs that nothing here has seen.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        # Symbolic shapes would need sympy, and are known: only the batch is free.
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        before, layers = ends(onnx.load(prepared, load_external_data=False).graph)
        inner, last = layers[: -repair.last], layers[-repair.last :]
        ranked: Sequence[str] = []
        excluded: tuple[str, ...] = ()
        tried: list[Mapping[str, Any]] = []
        for count in (None, *TRIED):
            if count and not ranked:
                ranked = by_damage(prepared, target, inputs[:MATCHED], inner)
            excluded = () if count is None else (*ranked[:count], *last)
            _quantise(prepared, target, inputs, on, [*before, *excluded])
            if count is not None:
                repair.change(target, last)
            lost = loss(target)
            tried.append({"left_out": list(excluded), "loss": round(lost, 4)})
            say(f"{len(excluded)} layers left out: loss {lost:.4f}")
            if lost <= most:
                break
    return Found(excluded=excluded, repaired=count is not None, tried=tuple(tried))


def ends(graph: Any) -> tuple[Sequence[str], Sequence[str]]:
    """The names of the nodes before the first layer, and of the layers with weights."""
    kept = {one.name for one in graph.initializer}
    layers = [
        one.name for one in graph.node if one.op_type in LAYERS and kept.intersection(one.input)
    ]
    names = [one.name for one in graph.node]
    return names[: names.index(layers[0])], layers


def by_damage(
    exact: Path, quantised: Path, inputs: NDArray[Any], layers: Sequence[str]
) -> Sequence[str]:
    """The layers, the one first whose activations differ most from the exact model's."""
    with tempfile.TemporaryDirectory() as folder:
        seen = []
        for model in (exact, quantised):
            tapped = Path(folder) / model.name
            qdq_loss_debug.modify_model_output_intermediate_tensors(str(model), str(tapped))
            seen.append(qdq_loss_debug.collect_activations(str(tapped), _Reader(exact, inputs)))
    matched = qdq_loss_debug.create_activation_matching(seen[1], seen[0])
    noise = {
        name: value["xmodel_err"]
        for name, value in qdq_loss_debug.compute_activation_error(matched).items()
    }
    outputs = {one.name: list(one.output) for one in onnx.load(exact).graph.node}
    # Signal to noise in dB: the lowest is the worst. Fused away, a layer's output has no match.
    return sorted(layers, key=lambda name: min([noise.get(one, np.inf) for one in outputs[name]]))


def _quantise(
    source: Path, target: Path, inputs: NDArray[Any], on: Processor, excluded: Sequence[str]
) -> None:
    quantization.quantize_static(
        str(source),
        str(target),
        _Reader(source, inputs),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=on.reduce_range,
        nodes_to_exclude=list(excluded),
    )


class _Reader(quantization.CalibrationDataReader):
    """Inputs, one by one."""

    def __init__(self, model: Path, inputs: NDArray[Any]) -> None:
        self._name = onnx.load(model, load_external_data=False).graph.input[0].name
        self._inputs: Iterator[NDArray[Any]] = iter(inputs)

    def get_next(self) -> Mapping[str, NDArray[Any]] | None:
        one = next(self._inputs, None)
        return None if one is None else {self._name: one[None]}


def answers(model: Path, inputs: NDArray[Any], *, at_once: int = 16) -> NDArray[Any]:
    """The first output for all ``inputs``."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [
        session.run(None, {name: inputs[at : at + at_once]})[0]
        for at in range(0, len(inputs), at_once)
    ]
    return np.concatenate(parts)
