"""A small network of Keras's, as a SavedModel and by tf2onnx: ``keras_dense.py FOLDER``."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx

folder = Path(sys.argv[1])
keras.utils.set_random_seed(5)
network = keras.Sequential(
    [
        keras.Input((4,), name="flower"),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dense(3, activation="softmax", name="shares"),
    ]
)
network.export(folder / "exported", verbose=False)
signature = [tf.TensorSpec((None, 4), tf.float32, name="flower")]
function = tf.function(network.call, input_signature=signature)
tf2onnx.convert.from_function(
    function, input_signature=signature, opset=17, output_path=str(folder / "dense.onnx")
)
asked = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
(folder / "asked.json").write_text(json.dumps({"instances": asked.tolist()}))
(folder / "said.json").write_text(json.dumps(network(asked).numpy().tolist()))
