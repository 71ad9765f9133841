"""A grader of diabetic retinopathy from an architecture: pictures, training, export, samples."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.common import export
from models.common.built import BuildOrder, Built, Samples, Tolerance, no_size, say
from models.retinopathy import data, fundus, metrics, network, samples, stored, train
from models.retinopathy.network import Architecture
from models.retinopathy.weights import load_imagenet

SEED: Final = 20190907
WEIGHTS: Final = "weights.npz"
SMALLEST_KAPPA: Final = 0.6
LEAST_SPREAD: Final = 0.05
"""Of a grade's probability over the held-out pictures: below it, the pictures hardly count."""
LABELS: Final = ("no DR", "mild", "moderate", "severe", "proliferative")
STATEMENTS: Final = {
    "drawn": "Trained and tested on eyes drawn by this project. Not a medical device.",
    "APTOS 2019": "Trained and tested on APTOS 2019, Gaussian-filtered. Not a medical device.",
}

Networks = dict[str, keras.Model]
"""``backbone`` and ``head``."""


class Grader(tf.Module):
    """What is served: raw pixels in, probabilities out, preprocessing inside."""

    def __init__(self, architecture: Architecture, networks: Networks) -> None:
        super().__init__(name="grader")
        self._preprocess = architecture.preprocess
        # Fixed at 224 pixels, so that the graph has static shapes but for the batch.
        image = keras.layers.Input((fundus.SIZE, fundus.SIZE, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(networks["backbone"](image))
        self.model = keras.Model(image, networks["head"](pooled))

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, fundus.SIZE, fundus.SIZE, 3], tf.uint8, name="image")
        ],
    )
    def serve(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Probabilities [n, 5] of the five grades."""
        return {"probabilities": self.model(self._preprocess(image), training=False)}


def build(architecture: Architecture, order: BuildOrder) -> Built:
    """Leave the models and samples; what was trained is left as ``weights.npz``, too."""
    no_size(order)
    began = time.monotonic()
    how = "all" if order.data else order.train
    # Before TensorFlow does anything: pictures are made by forked processes.
    photographs = data.aptos(order.data) if order.data else None
    grades = data.grades_drawn(architecture.pictures + architecture.held_out)
    learning, testing = data.split(grades, architecture.held_out / len(grades), SEED)
    if how == "none":
        learning = learning[: data.CALIBRATING]
    learn, held_out = (data.drawn(some, first_seed=SEED) for some in (learning, testing))
    say(f"{len(learn.grades) + len(held_out.grades)} eyes drawn")

    settle()
    backbone, head = network.build(architecture)
    networks = {"backbone": backbone, "head": head}
    if how == "none":
        folder = Path(__file__).parents[1] / architecture.name.replace("-", "_")
        training = stored_weights(networks, architecture, learn, folder / WEIGHTS)
    else:
        origin, backbone_from = "drawn", "random"
        if photographs and order.data and pretrained(backbone, architecture, order.data):
            origin, backbone_from = "APTOS 2019", "ImageNet"
            share = architecture.held_out / len(photographs.grades)
            learning, testing = data.split(photographs.grades, share, SEED)
            learn, held_out = (data.take(photographs, some) for some in (learning, testing))
        elif how == "all":
            backbone_from = "random, taught on drawings"
        training = {
            "origin": origin,
            "statement": STATEMENTS[origin],
            "backbone": backbone_from,
            "images": len(learn.grades),
        }
        teach(networks, architecture, learn, backbone_from)
        training["minutes"] = round((time.monotonic() - began) / 60, 2)
        keep(networks, training, order.out / WEIGHTS)
        training["weights"] = "retrained"
    training |= {"held_out": len(held_out.grades), "seed": SEED}
    sent = samples.write(order.out / "samples", held_out, seed=SEED)
    return exported(architecture, networks, held_out.grades[sent], training, order.out)


def exported(
    architecture: Architecture,
    networks: Networks,
    grades: NDArray[np.int64],
    training: dict[str, Any],
    out: Path,
) -> Built:
    """Write both models; ``grades`` are those of the held-out pictures as they lie there."""
    grader = Grader(architecture, networks)
    say("exporting")
    export.save_tensorflow(grader, out / "saved_model")
    say("converting")
    export.save_onnx(grader, out / "model.onnx", inputs=["image"], outputs=["probabilities"])
    return Built(
        task="image-classification",
        inputs=(
            {
                "name": "image",
                "dtype": "uint8",
                "shape": [None, fundus.SIZE, fundus.SIZE, 3],
                "layout": "NHWC",
                "colour": "RGB",
                "resize": "bilinear",
            },
        ),
        outputs=({"name": "probabilities", "dtype": "float32", "shape": [None, fundus.GRADES]},),
        labels=LABELS,
        samples=Samples(
            payload="samples/photo-size.jpg",
            held_out="samples/held-out",
            shifted="samples/shifted",
        ),
        # Float32 in another order differs by some 1e-6 of a probability. 1e-3 leaves room for
        # kernels that sum in lower precision, and catches another resize or byte order.
        tolerance=Tolerance(label="grade", scores="probabilities", max_abs_difference=1e-3),
        card={
            "parameters": architecture.parameters,
            "training": training,
        },
        judge=lambda outputs: judged(grades, outputs[0]),
        weights_sha256=export.weights_sha256(grader.model),
    )


def judged(grades: NDArray[np.int64], answers: NDArray[np.float32]) -> dict[str, Any]:
    """How well the held-out pictures were graded; a model that is worth nothing ends the build."""
    if float(answers.std(axis=0).max()) < LEAST_SPREAD:
        sys.exit("the model's answers hardly depend on the image")
    table = metrics.confusion(grades, answers.argmax(axis=1), fundus.GRADES)
    kappa = metrics.quadratic_weighted_kappa(table)
    say(f"kappa {kappa:.3f}, accuracy {metrics.accuracy(table):.3f}")
    if kappa < SMALLEST_KAPPA:
        sys.exit(f"quadratic weighted kappa is {kappa:.3f}, below {SMALLEST_KAPPA}")
    return {
        "qwk": round(kappa, 4),
        "accuracy": round(metrics.accuracy(table), 4),
        "confusion": table.tolist(),
    }


def stored_weights(
    networks: Networks, architecture: Architecture, learn: data.Pictures, file: Path
) -> dict[str, Any]:
    """Give the networks what the repository holds; what the card shall say of their training."""
    if not stored.holds_backbone(file):
        train.start(networks["backbone"], architecture, learn, seed=SEED)
    return {**stored.load(networks, file, seed=SEED), "weights": "stored"}


def teach(
    networks: Networks, architecture: Architecture, learn: data.Pictures, backbone_from: str
) -> None:
    """Train the backbone, unless it stays random or has ImageNet's weights; then the head."""
    backbone, head = networks["backbone"], networks["head"]
    if backbone_from == "random":
        train.start(backbone, architecture, learn, seed=SEED)
    elif backbone_from != "ImageNet":
        train.pretrain(backbone, architecture, learn, seed=SEED, say=say)
    images, grades = learn.images, learn.grades
    if architecture.mirrored:
        images = np.concatenate([images, images[:, :, ::-1]])
        grades = np.concatenate([grades, grades])
    features = train.pooled(backbone, architecture, images, say=say)
    train.train_head(head, features, grades, seed=SEED, say=say)


def keep(networks: Networks, training: dict[str, Any], file: Path) -> None:
    """Write the weights that cannot be made again, and go on with what the file holds of them."""
    made_again = {"backbone"} if training["backbone"] == "random" else set()
    stored.save(
        {name: one for name, one in networks.items() if name not in made_again}, training, file
    )
    stored.load(networks, file, seed=SEED)


def settle() -> None:
    """The same numbers every time: seeds, order of additions, threads."""
    tf.config.threading.set_intra_op_parallelism_threads(os.cpu_count() or 1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(SEED)


def pretrained(backbone: keras.Model, architecture: Architecture, folder: Path) -> bool:
    """Load ImageNet's weights if they can be had; whether they could."""
    try:
        source = load_imagenet(backbone, architecture, folder)
    except (OSError, ValueError) as error:
        say(
            f"note: ImageNet's weights cannot be had ({error}): the photographs are left aside, "
            f"and the model learns from drawings. Put {architecture.weights_file} into the data "
            "folder to use them."
        )
        return False
    say(f"note: ImageNet's weights came from {source}; learning from APTOS 2019.")
    return True
