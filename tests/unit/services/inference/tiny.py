"""A tiny model in the real format: uint8 images in, probabilities that depend on the image out.

The file is written byte by byte (ONNX is Protocol Buffers), so no test needs the onnx package.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABELS = ["no DR", "mild", "moderate", "severe", "proliferative"]
SIDE = 224
WEIGHTS = np.linspace(-6.0, 6.0, 15, dtype=np.float32).reshape(3, 5)
"""From mean red, green and blue (0 to 1) to the five classes' logits."""

REFERENCE = {
    "schema": 1,
    "images": 200,
    "features": {
        "grade": {"edges": [1, 2, 3, 4], "share": [0.2] * 5},
        "confidence": {"edges": [0.5, 0.9], "share": [0.1, 0.4, 0.5]},
        "brightness": {"edges": [0.25, 0.5], "share": [0.1, 0.6, 0.3]},
        "contrast": {"edges": [0.25, 0.5], "share": [0.3, 0.6, 0.1]},
        "pixels": {"edges": [16384, 65536, 262144], "share": [0, 1, 0, 0]},
    },
}

_FLOAT, _UINT8 = 1, 2


def write(folder: Path, *, slow: int = 0, changes: Mapping[str, object] | None = None) -> Path:
    """Write ``model.onnx`` and ``model.json`` into ``folder``; ``changes`` go over the card.

    Each of ``slow`` convolutions, which change nothing, adds some milliseconds per image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model(slow=slow))
    (folder / "model.json").write_text(json.dumps(card() | dict(changes or {})))
    return folder


def model(*, slow: int = 0) -> bytes:
    nodes = [
        _node("Cast", ["image"], "pixels", to=_FLOAT),
        _node("Transpose", ["pixels"], "planes0", perm=[0, 3, 1, 2]),
    ]
    nodes += [
        _node("Conv", [f"planes{layer}", "kernel"], f"planes{layer + 1}", pads=[4] * 4)
        for layer in range(slow)
    ]
    nodes += [
        _node("GlobalAveragePool", [f"planes{slow}"], "pooled"),
        _node("Flatten", ["pooled"], "means"),
        _node("MatMul", ["means", "weights"], "logits"),
        _node("Softmax", ["logits"], "probabilities", axis=1),
    ]
    kernel = np.zeros((3, 3, 9, 9), np.float32)
    for channel in range(3):
        kernel[channel, channel, 4, 4] = 1.0
    constants = [_tensor("weights", WEIGHTS / np.float32(255.0)), _tensor("kernel", kernel)]
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"tiny")
    graph += b"".join(_bytes(5, constant) for constant in constants)
    graph += _bytes(11, _value("image", _UINT8, ["n", SIDE, SIDE, 3]))
    graph += _bytes(12, _value("probabilities", _FLOAT, ["n", len(LABELS)]))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, 17))


def card() -> dict[str, Any]:
    return {
        "schema": 2,
        "name": "tiny",
        "task": "image-classification",
        "inputs": [
            {
                "name": "image",
                "dtype": "uint8",
                "shape": [None, SIDE, SIDE, 3],
                "layout": "NHWC",
                "colour": "RGB",
                "resize": "bilinear",
            }
        ],
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": [None, len(LABELS)]}],
        "labels": LABELS,
        "reference": REFERENCE,
    }


def expected(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the model answers to [n, side, side, 3], computed the plain way."""
    logits = images.astype(np.float64).mean(axis=(1, 2)) / 255.0 @ WEIGHTS.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    answer: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return answer


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _node(kind: str, inputs: list[str], output: str, **attributes: int | list[int]) -> bytes:
    node = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    node += _bytes(4, kind.encode())
    for name, value in attributes.items():
        if isinstance(value, int):
            body = _number(3, value) + _number(20, 2)
        else:
            body = b"".join(_number(8, item) for item in value) + _number(20, 7)
        node += _bytes(5, _bytes(1, name.encode()) + body)
    return node


def _tensor(name: str, values: NDArray[np.float32]) -> bytes:
    numbers = struct.pack(f"<{values.size}f", *values.ravel())
    dimensions = b"".join(_number(1, size) for size in values.shape)
    return dimensions + _number(2, _FLOAT) + _bytes(8, name.encode()) + _bytes(9, numbers)


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size.encode()))
        for size in shape
    )
    tensor = _number(1, kind) + _bytes(2, dimensions)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))
