"""Training in minutes on two cores.

From scratch, grades alone teach a backbone too slowly. The drawings know where every lesion is,
so the backbone first learns, on small pieces, which kinds of lesion each cell of 32x32 pixels
shows; then the head learns the grade from whole pictures, whose pooled features are computed once.
"""

from collections.abc import Callable
from typing import Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.retinopathy.data import CALIBRATING, Pictures, take
from models.retinopathy.lesions import Lesion
from models.retinopathy.network import CELL, GRADES, Architecture, calibrate

Say = Callable[[str], None]

_LOOK: Final = 20
_EPOCHS: Final = 40
_BATCH: Final = 32
_DOUBT: Final = 0.05
"""Share of every truth that is spread over all grades: graders err, and 100 % is never right."""
_NOISE: Final = np.float32(0.2)
_CALIBRATION: Final = 32
_TOLD: Final = 10


def start(
    backbone: keras.Model, architecture: Architecture, pictures: Pictures, *, seed: int
) -> np.random.Generator:
    """Random weights that carry a signal, the same for the same seed and first pictures."""
    rng = np.random.default_rng(seed)
    first = take(pictures, range(min(len(pictures.grades), CALIBRATING)))
    pieces, _ = _pieces(first, architecture, _CALIBRATION, rng)
    calibrate(backbone, architecture.preprocess(tf.constant(pieces)), seed=seed)
    return rng


def pretrain(
    backbone: keras.Model, architecture: Architecture, pictures: Pictures, *, seed: int, say: Say
) -> None:
    """Teach the backbone to see lesions."""
    rng = start(backbone, architecture, pictures, seed=seed)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # few steps: the statistics must follow quickly
    lesions = keras.layers.Conv2D(2 * len(Lesion), 1, name="lesions")
    model = keras.Sequential([backbone, lesions])
    steps = architecture.crops // architecture.batch
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, steps, warmup_target=architecture.learning_rate, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def learn(images: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            said = tf.reshape(model(architecture.preprocess(images), training=True), cells.shape)
            there = tf.nn.weighted_cross_entropy_with_logits(
                cells[..., 0, :], said[..., 0, :], pos_weight=2.0
            )
            # Amounts add up over cells as pooling does: they are what the head will need.
            amount = tf.square(cells[..., 1, :] - said[..., 1, :])
            loss = tf.reduce_mean(there) + tf.reduce_mean(amount)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses = []
    for step in range(1, steps + 1):
        images, cells = _pieces(pictures, architecture, architecture.batch, rng)
        losses.append(float(learn(tf.constant(images), tf.constant(cells))))
        if step % _TOLD == 0:
            loss = np.mean(losses[-_TOLD:])
            say(f"teaching the backbone, step {step}/{steps}, loss {loss:.3f}")


def _pieces(
    pictures: Pictures, architecture: Architecture, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Random squares on the grid of cells, mirrored at random, and their cells."""
    if pictures.cells is None:
        message = "only drawings know where their lesions are"
        raise ValueError(message)
    wide = architecture.crop // CELL
    most = pictures.cells.shape[1] - wide
    images, cells = [], []
    for index in rng.integers(0, len(pictures.grades), count):
        row, column = rng.integers(0, most + 1, 2)
        piece = pictures.images[
            index,
            row * CELL : (row + wide) * CELL,
            column * CELL : (column + wide) * CELL,
        ]
        cell = pictures.cells[index, row : row + wide, column : column + wide]
        for axis in (0, 1):
            if rng.random() < 0.5:
                piece, cell = np.flip(piece, axis), np.flip(cell, axis)
        images.append(piece)
        cells.append(cell)
    return np.stack(images), np.stack(cells)


def pooled(
    backbone: keras.Model, architecture: Architecture, images: NDArray[np.uint8], *, say: Say
) -> NDArray[np.float32]:
    """The backbone's answer, averaged over the picture: [n, channels]."""

    @tf.function(autograph=False)
    def look(batch: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(backbone(architecture.preprocess(batch), training=False), (1, 2))

    parts = []
    for at in range(0, len(images), _LOOK):
        parts.append(look(tf.constant(images[at : at + _LOOK])).numpy())
        say(f"looking at picture {min(at + _LOOK, len(images))}/{len(images)}")
    return np.concatenate(parts)


def train_head(
    head: keras.Model,
    features: NDArray[np.float32],
    grades: NDArray[np.int64],
    *,
    seed: int,
    say: Say,
) -> None:
    """Teach the head on pooled features: grades as such, and their order.

    The features are scaled to mean 0 and deviation 1 while learning; the scaling is then folded
    into the first layer's weights, so that the served model is the plain one.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3 * features.std()
    scaled = tf.constant((features - mean) / deviation)
    wanted = tf.one_hot(grades, GRADES) * (1 - _DOUBT) + _DOUBT / GRADES
    level = tf.constant(grades, tf.float32)
    rarity = len(grades) / (GRADES * np.maximum(np.bincount(grades, minlength=GRADES), 1))
    weights = tf.constant(rarity[grades], tf.float32)
    steps = _EPOCHS * (len(grades) // _BATCH)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=2e-2
    )
    optimizer.build(head.trainable_variables)
    levels = tf.range(GRADES, dtype=tf.float32)

    @tf.function(autograph=False)
    def learn(at: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            answer = head(tf.gather(scaled, at) + noise, training=True)
            miss = keras.losses.categorical_crossentropy(tf.gather(wanted, at), answer)
            distance = tf.reduce_sum(answer * levels, 1) - tf.gather(level, at)
            loss = tf.reduce_mean(tf.gather(weights, at) * (miss + 0.3 * distance**2))
        gradients = tape.gradient(loss, head.trainable_variables)
        optimizer.apply_gradients(zip(gradients, head.trainable_variables, strict=True))
        return loss

    rng = np.random.default_rng(seed)
    for epoch in range(_EPOCHS):
        order = rng.permutation(len(grades))
        for at in range(0, len(order) - _BATCH + 1, _BATCH):
            noise = rng.standard_normal((_BATCH, features.shape[1]), np.float32) * _NOISE
            learn(tf.constant(order[at : at + _BATCH]), tf.constant(noise))
        say(f"teaching the head, epoch {epoch + 1}/{_EPOCHS}")
    first = head.layers[0]
    first.kernel.assign(first.kernel / deviation[:, None])
    first.bias.assign(first.bias - tf.linalg.matvec(first.kernel, mean, transpose_a=True))
