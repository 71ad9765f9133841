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
HELD_OUT: Final = 200
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
    options = parser.parse_args()
    begin = time.monotonic()
    build(options.model, out=options.out, folder=options.data, begin=begin)


def build(name: str, *, out: Path, folder: Path | None, begin: float) -> None:
    """Leave the card, ``model.json``, the SavedModel, the ONNX model and samples in ``out``."""
    module = importlib.import_module(f"models.{name.replace('-', '_')}.architecture")
    architecture = module.ARCHITECTURE
    # Before TensorFlow is imported: pictures are made by forked processes.
    photographs = data.aptos(folder) if folder else None
    drawn = data.drawn(architecture.pictures + HELD_OUT, first_seed=SEED)
    say(f"{len(drawn.grades)} eyes drawn")

    from models.common import export, train  # noqa: PLC0415
    from models.common.network import build as build_network  # noqa: PLC0415

    settle()
    backbone, head = build_network(architecture)
    weights = "random, taught on drawings"
    if photographs and folder:
        weights = pretrained(backbone, architecture, folder)
    pictures = drawn if weights.startswith("random") or photographs is None else photographs
    learn, held_out = data.split(pictures, HELD_OUT / len(pictures.grades), SEED)
    if pictures is drawn:
        train.pretrain(backbone, architecture, learn, seed=SEED, say=say)
    images, grades = learn.images, learn.grades
    if architecture.mirrored:
        images = np.concatenate([images, images[:, :, ::-1]])
        grades = np.concatenate([grades, grades])
    features = train.pooled(backbone, architecture, images, say=say)
    train.train_head(head, features, grades, seed=SEED, say=say)
    minutes = (time.monotonic() - begin) / 60

    say("exporting")
    grader = export.Grader(architecture, backbone, head)
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
            "training": {
                "origin": "drawn" if pictures is drawn else "APTOS 2019",
                "statement": STATEMENTS["drawn" if pictures is drawn else "APTOS 2019"],
                "backbone": weights,
                "images": len(learn.grades),
                "held_out": len(held_out.grades),
                "seed": SEED,
                "minutes": round(minutes, 2),
            },
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
    import keras  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    tf.config.threading.set_intra_op_parallelism_threads(os.cpu_count() or 1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(SEED)


def pretrained(backbone: Any, architecture: Any, folder: Path) -> str:
    """Load ImageNet's weights if they can be had; what the backbone starts from, in words."""
    from models.common.weights import load_imagenet  # noqa: PLC0415

    try:
        source = load_imagenet(backbone, architecture, folder)
    except (OSError, ValueError) as error:
        say(
            f"note: ImageNet's weights cannot be had ({error}): the photographs are left aside, "
            f"and the model learns from drawings. Put {architecture.weights_file} into the data "
            "folder to use them."
        )
        return "random, taught on drawings"
    say(f"note: ImageNet's weights came from {source}; learning from APTOS 2019.")
    return "ImageNet"


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
