"""MobileNet (Howard et al. 2017) as a grader of diabetic retinopathy."""

import keras
import tensorflow as tf

from models.common.built import BuildOrder, Built
from models.retinopathy import classifier
from models.retinopathy.network import Architecture


def preprocess(pixels: tf.Tensor) -> tf.Tensor:
    """Raw RGB bytes to -1..1, as MobileNet was trained on ImageNet."""
    return tf.cast(pixels, tf.float32) * (1 / 127.5) - 1.0


ARCHITECTURE = Architecture(
    name="retinopathy-mobilenet",
    parameters=3_377_221,
    backbone=keras.applications.MobileNet,
    preprocess=preprocess,
    crop=128,
    crops=4000,
    batch=16,
    learning_rate=5e-3,
    pictures=1000,
    held_out=200,
    mirrored=True,
    weights_file="mobilenet_1_0_224_tf_no_top.h5",
)


def build(order: BuildOrder) -> Built:
    """Leave what is served in ``order.out``."""
    return classifier.build(ARCHITECTURE, order)
