"""MobileNet (Howard et al. 2017) as a grader of diabetic retinopathy."""

import keras
import tensorflow as tf

from models.common.network import Architecture


def preprocess(pixels: tf.Tensor) -> tf.Tensor:
    """Raw RGB bytes to -1..1, as MobileNet was trained on ImageNet."""
    return tf.cast(pixels, tf.float32) * (1 / 127.5) - 1.0


ARCHITECTURE = Architecture(
    name="retinopathy-mobilenet",
    parameters=3_377_221,
    backbone=keras.applications.MobileNet,
    preprocess=preprocess,
    crop=128,
    crops=6400,
    batch=32,
    learning_rate=2e-3,
    photographs=1000,
)
