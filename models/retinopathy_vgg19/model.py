"""VGG19 (Simonyan & Zisserman 2014) as a grader of diabetic retinopathy."""

import keras
import tensorflow as tf

from models.common.built import BuildOrder, Built
from models.retinopathy import classifier
from models.retinopathy.network import Architecture

_BGR_MEANS = (103.939, 116.779, 123.68)


def preprocess(pixels: tf.Tensor) -> tf.Tensor:
    """Raw RGB bytes to BGR less ImageNet's mean colour, as VGG19 was trained on ImageNet."""
    bgr = tf.gather(tf.cast(pixels, tf.float32), [2, 1, 0], axis=-1)
    return bgr - tf.constant(_BGR_MEANS)


ARCHITECTURE = Architecture(
    name="retinopathy-vgg19",
    parameters=20_107_205,
    backbone=keras.applications.VGG19,
    preprocess=preprocess,
    crop=96,
    crops=1600,
    batch=16,
    learning_rate=3e-4,
    pictures=500,
    held_out=100,
    mirrored=False,
    weights_file="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
)


def build(order: BuildOrder) -> Built:
    """Leave what is served in ``order.out``."""
    return classifier.build(ARCHITECTURE, order)
