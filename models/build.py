"""Makes one model: pictures, training, conversion, checks, card.

``python -m models.build retinopathy-mobilenet --out DIR [--data DIR]``, inside the trainer image.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from models.common import data, fundus, metrics
from models.common.reference import reference

SEED: Final = 20190907
WEIGHTS: Final = "weights.npz"
SMALLEST_KAPPA: Final = 0.6
LABELS: Final = ("no DR", "mild", "moderate", "severe", "proliferative")
STATEMENTS: Final = {
    "drawn": "Trained and tested on eyes drawn by this project. Not a medical device.",
    "APTOS 2019": "Trained and tested on APTOS 2019, Gaussian-filtered. Not a medical device.",
}
PHOTO_SIDE: Final = 1024
PARITY_IMAGES: Final = 64


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def main() -> None:
    """Build the model named on the command line."""
    parser = argparse.ArgumentParser(prog="models.build")
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument(
        "--train",
        choices=("none", "head", "all"),
        default="none",
        help="none: use the weights in the repository; head: on a seeded random backbone",
    )
    options = parser.parse_args()
    begin = time.monotonic()
    build(options.model, out=options.out, folder=options.data, train=options.train, begin=begin)


def build(name: str, *, out: Path, folder: Path | None, train: str, begin: float) -> None:
    """Leave the card, ``model.json``, the SavedModel, the ONNX model and samples in ``out``.

    What was trained is left there as ``weights.npz``, too, and is served as that file holds it.
    """
    module = importlib.import_module(f"models.{name.replace('-', '_')}.architecture")
    architecture = module.ARCHITECTURE
    if folder:
        train = "all"
    # Before TensorFlow does anything: pictures are made by forked processes.
    photographs = data.aptos(folder) if folder else None
    grades = data.grades_drawn(architecture.pictures + architecture.held_out)
    learning, testing = data.split(grades, architecture.held_out / len(grades), SEED)
    if train == "none":
        learning = learning[: data.CALIBRATING]
    learn, held_out = (data.drawn(some, first_seed=SEED) for some in (learning, testing))
    say(f"{len(learn.grades) + len(held_out.grades)} eyes drawn")

    from models.common.network import build as build_network

    settle()
    backbone, head = build_network(architecture)
    networks = {"backbone": backbone, "head": head}
    if train == "none":
        weights = Path(__file__).with_name(name.replace("-", "_")) / WEIGHTS
        training = stored_weights(networks, architecture, learn, weights)
    else:
        origin, backbone_from = "drawn", "random"
        if photographs and folder and pretrained(backbone, architecture, folder):
            origin, backbone_from = "APTOS 2019", "ImageNet"
            share = architecture.held_out / len(photographs.grades)
            learning, testing = data.split(photographs.grades, share, SEED)
            learn, held_out = (data.take(photographs, some) for some in (learning, testing))
        elif train == "all":
            backbone_from = "random, taught on drawings"
        training = {
            "origin": origin,
            "statement": STATEMENTS[origin],
            "backbone": backbone_from,
            "images": len(learn.grades),
        }
        teach(networks, architecture, learn, backbone_from)
        training["minutes"] = round((time.monotonic() - begin) / 60, 2)
        keep(networks, training, out / WEIGHTS)
        training["weights"] = "retrained"
    training |= {"held_out": len(held_out.grades), "seed": SEED}
    finish(name, architecture, networks, held_out, training, out)


def stored_weights(
    networks: Any, architecture: Any, learn: data.Pictures, file: Path
) -> dict[str, Any]:
    """Give the networks what the repository holds; what the card shall say of their training."""
    from models.common import stored, train

    if not stored.holds_backbone(file):
        train.start(networks["backbone"], architecture, learn, seed=SEED)
    return {**stored.load(networks, file, seed=SEED), "weights": "stored"}


def teach(networks: Any, architecture: Any, learn: data.Pictures, backbone_from: str) -> None:
    """Train the backbone, unless it stays random or has ImageNet's weights; then the head."""
    from models.common import train

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


def keep(networks: Any, training: dict[str, Any], file: Path) -> None:
    """Write the weights that cannot be made again, and go on with what the file holds of them."""
    from models.common import stored

    made_again = {"backbone"} if training["backbone"] == "random" else set()
    stored.save(
        {name: one for name, one in networks.items() if name not in made_again}, training, file
    )
    stored.load(networks, file, seed=SEED)


def finish(
    name: str,
    architecture: Any,
    networks: Any,
    held_out: data.Pictures,
    training: dict[str, Any],
    out: Path,
) -> None:
    """Export, check, describe."""
    from models.common import export

    grader = export.Grader(architecture, networks["backbone"], networks["head"])
    say("exporting")
    export.save_tensorflow(grader, out / "saved_model")
    say("converting")
    export.save_onnx(grader, out / "model.onnx")
    say("checking")
    answers = export.run_onnx(out / "model.onnx", held_out.images)
    export.check_answers(answers)
    some = held_out.images[:PARITY_IMAGES]
    apart = float(
        np.abs(export.run_tensorflow(out / "saved_model", some) - answers[: len(some)]).max()
    )
    if apart > export.PARITY_LIMIT:
        sys.exit(f"ONNX and TensorFlow differ by {apart:.2g}")
    table = metrics.confusion(held_out.grades, answers.argmax(axis=1), fundus.GRADES)
    kappa = metrics.quadratic_weighted_kappa(table)
    say(f"kappa {kappa:.3f}, accuracy {metrics.accuracy(table):.3f}, parity {apart:.2g}")
    if kappa < SMALLEST_KAPPA:
        sys.exit(f"quadratic weighted kappa is {kappa:.3f}, below {SMALLEST_KAPPA}")

    described = {**describe(name), "reference": reference(held_out.images, answers)}
    write_json(out / "model.json", described)
    samples(out / "samples", held_out)
    write_json(
        out / "card.json",
        {
            **described,
            "parameters": architecture.parameters,
            "training": training,
            "metrics": {
                "qwk": round(kappa, 4),
                "accuracy": round(metrics.accuracy(table), 4),
                "confusion": table.tolist(),
            },
            "parity": {"max_abs_difference": apart, "n": len(some)},
            "sha256": {"weights": export.weights_sha256(grader)},
            "versions": {
                "python": platform.python_version(),
                **{
                    tool: version(tool)
                    for tool in (
                        "tensorflow-cpu",
                        "keras",
                        "tf2onnx",
                        "onnx",
                        "onnxruntime",
                        "numpy",
                    )
                },
            },
        },
    )


def settle() -> None:
    """The same numbers every time: seeds, order of additions, threads."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(os.cpu_count() or 1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(SEED)


def pretrained(backbone: Any, architecture: Any, folder: Path) -> bool:
    """Load ImageNet's weights if they can be had; whether they could."""
    from models.common.weights import load_imagenet

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


def describe(name: str) -> dict[str, Any]:
    """The part of the card that a server needs."""
    return {
        "schema": 1,
        "name": name,
        "task": "image-classification",
        "input": {
            "name": "image",
            "dtype": "uint8",
            "shape": [None, fundus.SIZE, fundus.SIZE, 3],
            "layout": "NHWC",
            "colour": "RGB",
            "resize": "bilinear",
        },
        "output": {"name": "probabilities", "shape": [None, fundus.GRADES]},
        "labels": list(LABELS),
    }


def samples(folder: Path, held_out: data.Pictures) -> None:
    """A held-out picture of each grade, one the size that a camera takes, and all held-out ones.

    Sent to the model, the latter look like its reference: traffic without drift.
    """
    (folder / "held-out").mkdir(parents=True, exist_ok=True)
    for place, (image, grade) in enumerate(zip(held_out.images, held_out.grades, strict=True)):
        # PNG: what JPEG loses, the model is less sure of, and that alone would look like drift.
        Image.fromarray(image).save(folder / "held-out" / f"{place:04d}-grade-{grade}.png")
    for grade in range(fundus.GRADES):
        index = int(np.flatnonzero(held_out.grades == grade)[0])
        Image.fromarray(held_out.images[index]).save(folder / f"grade-{grade}.png")
    photo = fundus.draw(2, SEED - 1, PHOTO_SIDE)
    Image.fromarray(photo.image).save(folder / "photo-size.jpg", quality=90)


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Readable and the same bytes every time."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
