"""A tiny model in the real format: uint8 images in, probabilities that depend on the image out.

The file is written byte by byte (ONNX is Protocol Buffers), so no test needs the onnx package.
"""

import json
import struct
from collections.abc import Mapping, Sequence
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
    "inputs": 200,
    "features": {
        "grade": {"edges": [1, 2, 3, 4], "share": [0.2] * 5},
        "confidence": {"edges": [0.5, 0.9], "share": [0.1, 0.4, 0.5]},
        "brightness": {"edges": [0.25, 0.5], "share": [0.1, 0.6, 0.3]},
        "contrast": {"edges": [0.25, 0.5], "share": [0.3, 0.6, 0.1]},
        "pixels": {"edges": [16384, 65536, 262144], "share": [0, 1, 0, 0]},
    },
}

KINDS = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "string": 8, "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13,
}  # fmt: skip
_FLOAT = KINDS["float32"]

End = tuple[str, str, Sequence[str | int]]
"""Name, type and shape of an input or output; a string is a size that is free."""


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
        node("Cast", ["image"], "pixels", to=_FLOAT),
        node("Transpose", ["pixels"], "planes0", perm=[0, 3, 1, 2]),
    ]
    nodes += [
        node("Conv", [f"planes{layer}", "kernel"], f"planes{layer + 1}", pads=[4] * 4)
        for layer in range(slow)
    ]
    nodes += [
        node("GlobalAveragePool", [f"planes{slow}"], "pooled"),
        node("Flatten", ["pooled"], "means"),
        node("MatMul", ["means", "weights"], "logits"),
        node("Softmax", ["logits"], "probabilities", axis=1),
    ]
    kernel = np.zeros((3, 3, 9, 9), np.float32)
    for channel in range(3):
        kernel[channel, channel, 4, 4] = 1.0
    constants = [constant("weights", WEIGHTS / np.float32(255.0)), constant("kernel", kernel)]
    return graph(
        nodes,
        [("image", "uint8", ["n", SIDE, SIDE, 3])],
        [("probabilities", "float32", ["n", len(LABELS)])],
        constants,
    )


def graph(
    nodes: Sequence[bytes],
    inputs: Sequence[End],
    outputs: Sequence[End],
    constants: Sequence[bytes] = (),
) -> bytes:
    """An ONNX file of nodes made by ``node`` and constants made by ``constant``."""
    parts = b"".join(_bytes(1, one) for one in nodes) + _bytes(2, b"tiny")
    parts += b"".join(_bytes(5, one) for one in constants)
    parts += b"".join(_bytes(11, _value(*one)) for one in inputs)
    parts += b"".join(_bytes(12, _value(*one)) for one in outputs)
    return _number(1, 8) + _bytes(7, parts) + _bytes(8, _bytes(1, b"") + _number(2, 17))


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


def node(kind: str, inputs: list[str], output: str, **attributes: int | list[int]) -> bytes:
    node = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    node += _bytes(4, kind.encode())
    for name, value in attributes.items():
        if isinstance(value, int):
            body = _number(3, value) + _number(20, 2)
        else:
            body = b"".join(_number(8, item) for item in value) + _number(20, 7)
        node += _bytes(5, _bytes(1, name.encode()) + body)
    return node


def constant(name: str, values: NDArray[np.float32]) -> bytes:
    numbers = struct.pack(f"<{values.size}f", *values.ravel())
    dimensions = b"".join(_number(1, size) for size in values.shape)
    return dimensions + _number(2, _FLOAT) + _bytes(8, name.encode()) + _bytes(9, numbers)


def whole(name: str, values: Sequence[int]) -> bytes:
    """A constant of whole numbers, int64 in one dimension."""
    numbers = struct.pack(f"<{len(values)}q", *values)
    kind = _number(1, len(values)) + _number(2, KINDS["int64"])
    return kind + _bytes(8, name.encode()) + _bytes(9, numbers)


def _value(name: str, dtype: str, shape: Sequence[str | int]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size.encode()))
        for size in shape
    )
    tensor = _number(1, KINDS[dtype]) + _bytes(2, dimensions)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))
