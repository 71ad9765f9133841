"""The classifiers' common shape, and weights that carry a signal before any training.

A backbone without top, average pooling, Dense(128, relu), Dense(128, relu), Dense(5, softmax).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np
import tensorflow as tf

SIZE: Final = 224
GRADES: Final = 5
CELL: Final = 32
"""Both backbones shrink a picture by this much: one output cell looks at about 32x32 pixels."""

_COLOURS: Final = 3
_THROUGH: Final = 0.7
"""How much of what comes in a new convolution passes on at its centre."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What one model's folder says of itself."""

    name: str
    parameters: int
    backbone: Callable[..., keras.Model]
    """A ``keras.applications`` constructor."""
    preprocess: Callable[[tf.Tensor], tf.Tensor]
    """Raw uint8 RGB pixels [n, h, w, 3] to what the backbone was made for, float32."""
    crop: int
    """Side of the square pieces on which the backbone learns, a multiple of 32."""
    crops: int
    """How many such pieces it sees."""
    batch: int
    learning_rate: float
    pictures: int
    """How many whole pictures are drawn to learn from."""
    held_out: int
    """How many others are drawn to test it."""
    mirrored: bool
    """Does the head see each picture mirrored too? Costs as much again."""
    weights_file: str
    """ImageNet's weights without top, as ``keras.applications`` names them."""


def build(architecture: Architecture) -> tuple[keras.Model, keras.Model]:
    """The backbone (any size in, cells out) and the head (pooled features in, five out)."""
    backbone = architecture.backbone(
        include_top=False, weights=None, input_shape=(None, None, _COLOURS)
    )
    head = keras.Sequential(
        [
            keras.layers.Input((backbone.output_shape[-1],)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(GRADES, activation="softmax"),
        ],
        name="head",
    )
    found = backbone.count_params() + head.count_params()
    if found != architecture.parameters:
        message = f"{architecture.name} has {found} parameters, not {architecture.parameters}"
        raise ValueError(message)
    return backbone, head


def calibrate(backbone: keras.Model, images: tf.Tensor, *, seed: int) -> None:
    """Set random weights so that the signal reaches the last layer (LSUV, Mishkin & Matas 2015).

    Each convolution starts as 'pass on what came in' plus noise, and is scaled until its output
    varies by 1 on real input; batch normalisation gets that input's mean and variance. Untouched
    random weights would let the signal vanish: every image would get the same answer.
    """
    rng = np.random.default_rng(seed)
    signal = images
    for layer in backbone.layers[1:]:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            _pass_on_each(layer, rng)
            _scale(layer, signal)
        elif isinstance(layer, keras.layers.Conv2D):
            _pass_on(layer, rng)
            _scale(layer, signal)
        elif isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = tf.nn.moments(signal, axes=(0, 1, 2))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        signal = layer(signal, training=False)


def _pass_on(layer: keras.layers.Conv2D, rng: np.random.Generator) -> None:
    height, width, inputs, outputs = layer.kernel.shape
    kernel = rng.normal(0, np.sqrt(1 / (height * width * inputs)), layer.kernel.shape)
    if inputs == _COLOURS:
        # Most of the first filters look at differences: lesions are small, the light is not.
        edges = kernel[..., : outputs * 3 // 4]
        edges -= edges.mean(axis=(0, 1), keepdims=True)
    else:
        order = np.concatenate([rng.permutation(inputs) for _ in range(-(-outputs // inputs))])
        kernel[height // 2, width // 2, order[:outputs], np.arange(outputs)] += _THROUGH
    layer.kernel.assign(kernel.astype(np.float32))


def _pass_on_each(layer: keras.layers.DepthwiseConv2D, rng: np.random.Generator) -> None:
    kernel = rng.normal(0, 0.25, layer.kernel.shape)
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] += _THROUGH
    layer.kernel.assign(kernel.astype(np.float32))


def _scale(layer: keras.layers.Layer, signal: tf.Tensor) -> None:
    """Per channel where a channel is alive, so that none drowns the others."""
    out = layer(signal)
    mean, variance = tf.nn.moments(out, axes=(0, 1, 2))
    gain = 1.0 / np.sqrt(np.maximum(variance.numpy(), 1e-6))
    kernel = layer.kernel
    if kernel.shape[-1] == 1:  # depthwise: [h, w, channels, 1]
        kernel.assign(kernel * gain[:, None])
    else:
        kernel.assign(kernel * gain)
    if layer.bias is not None:
        layer.bias.assign(0.5 - mean * gain)
