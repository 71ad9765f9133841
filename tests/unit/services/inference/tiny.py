"""A tiny model in the real format: uint8 images in, probabilities that depend on the image out."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = ["no DR", "mild", "moderate", "severe", "proliferative"]
SIDE = 224
WEIGHTS = np.linspace(-6.0, 6.0, 15, dtype=np.float32).reshape(3, 5)
"""From mean red, green and blue (0 to 1) to the five classes' logits."""


def write(folder: Path, *, slow: int = 0, **changes: object) -> Path:
    """Write ``model.onnx`` and ``model.json`` into ``folder``; ``changes`` go over the card.

    ``slow`` convolutions make a prediction take that many times some 10 ms.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    constants = [numpy_helper.from_array(WEIGHTS / np.float32(255.0), "weights")]
    last = "planes"
    if slow:
        constants.append(numpy_helper.from_array(_identity(), "kernel"))
    for layer in range(slow):
        nodes.append(helper.make_node("Conv", [last, "kernel"], [f"conv{layer}"], pads=[4] * 4))
        last = f"conv{layer}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(LABELS)])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    (folder / "model.json").write_text(json.dumps(card() | changes))
    return folder


def card() -> dict[str, object]:
    return {
        "schema": 1,
        "name": "tiny",
        "task": "image-classification",
        "input": {
            "name": "image",
            "dtype": "uint8",
            "shape": [None, SIDE, SIDE, 3],
            "layout": "NHWC",
            "colour": "RGB",
            "resize": "bilinear",
        },
        "output": {"name": "probabilities", "shape": [None, len(LABELS)]},
        "labels": LABELS,
    }


def expected(
    images: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]",
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """What the model answers to [n, side, side, 3], computed the plain way."""
    logits = images.astype(np.float64).mean(axis=(1, 2)) / 255.0 @ WEIGHTS.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _identity() -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    kernel = np.zeros((3, 3, 9, 9), np.float32)
    for channel in range(3):
        kernel[channel, channel, 4, 4] = 1.0
    return kernel
