"""Training in minutes on two cores.

From scratch, grades alone teach a backbone too slowly. The drawings know where every lesion is,
so the backbone first learns, on small pieces, which kinds of lesion each cell of 32x32 pixels
shows; then the head learns the grade from whole pictures, whose pooled features are computed once.
"""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.common.data import Pictures
from models.common.network import CELL, GRADES, Architecture, calibrate

Say = Callable[[str], None]


def pretrain(
    backbone: keras.Model, architecture: Architecture, pictures: Pictures, *, seed: int, say: Say
) -> None:
    """Teach the backbone to see lesions."""
    rng = np.random.default_rng(seed)
    pieces, _ = _pieces(pictures, architecture, 32, rng)
    calibrate(backbone, architecture.preprocess(tf.constant(pieces)), seed=seed)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # few steps: the statistics must follow quickly
    lesions = keras.layers.Conv2D(5, 1, name="lesions")
    model = keras.Sequential([backbone, lesions])
    steps = architecture.crops // architecture.batch
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, steps, warmup_target=architecture.learning_rate, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function
    def learn(images: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(architecture.preprocess(images), training=True)
            loss = tf.reduce_mean(
                tf.nn.weighted_cross_entropy_with_logits(cells, logits, pos_weight=2.0)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    begin, losses = time.monotonic(), []
    for step in range(steps):
        images, cells = _pieces(pictures, architecture, architecture.batch, rng)
        losses.append(float(learn(tf.constant(images), tf.constant(cells))))
        if step % 20 == 19:  # noqa: PLR2004
            took = time.monotonic() - begin
            say(f"step {step + 1}/{steps} loss {np.mean(losses[-20:]):.3f} {took:.0f} s")


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
            if rng.random() < 0.5:  # noqa: PLR2004
                piece, cell = np.flip(piece, axis), np.flip(cell, axis)
        images.append(piece)
        cells.append(cell)
    return np.stack(images), np.stack(cells)


def pooled(
    backbone: keras.Model, architecture: Architecture, images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """The backbone's answer, averaged over the picture: [n, channels]."""

    @tf.function
    def look(batch: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(backbone(architecture.preprocess(batch), training=False), (1, 2))

    parts = [look(tf.constant(images[at : at + 20])).numpy() for at in range(0, len(images), 20)]
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
    wanted = tf.constant(grades)
    weights = tf.constant(
        (len(grades) / (GRADES * np.bincount(grades, minlength=GRADES)))[grades], tf.float32
    )
    epochs, batch = 60, 32
    steps = epochs * (len(grades) // batch)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=2e-2
    )
    optimizer.build(head.trainable_variables)
    levels = tf.range(GRADES, dtype=tf.float32)

    @tf.function
    def learn(at: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            answer = head(tf.gather(scaled, at) + noise, training=True)
            truth = tf.gather(wanted, at)
            miss = keras.losses.sparse_categorical_crossentropy(truth, answer)
            distance = tf.reduce_sum(answer * levels, 1) - tf.cast(truth, tf.float32)
            loss = tf.reduce_mean(tf.gather(weights, at) * (miss + 0.3 * distance**2))
        gradients = tape.gradient(loss, head.trainable_variables)
        optimizer.apply_gradients(zip(gradients, head.trainable_variables, strict=True))
        return loss

    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(len(grades))
        losses = []
        for at in range(0, len(order) - batch + 1, batch):
            noise = rng.standard_normal((batch, features.shape[1]), np.float32) * np.float32(0.15)
            losses.append(float(learn(tf.constant(order[at : at + batch]), tf.constant(noise))))
        if epoch % 10 == 9:  # noqa: PLR2004
            say(f"head epoch {epoch + 1}/{epochs} loss {np.mean(losses):.3f}")
    first = head.layers[0]
    first.bias.assign(first.bias - tf.linalg.matvec(first.kernel, mean / deviation, transpose_a=True))
    first.kernel.assign(first.kernel / deviation[:, None])
