"""Makes one model: what its folder builds, checked as the service will run it, and its card.

``python -m models.build retinopathy-mobilenet --out DIR [--data DIR]``, inside the trainer image.
"""

import argparse
import importlib
import json
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.common.built import BuildOrder, Built, say
from models.common.reference import reference
from models.common.served import ServedModel
from models.common.starts import settle

SCHEMA: Final = 2
TOOLS: Final = ("tensorflow-cpu", "keras", "tf2onnx", "onnx", "onnxruntime", "numpy")
PARITY_INPUTS: Final = 64
SAME: Final = 1e-6
"""Answers that vary less than this from input to input are one answer."""


def main() -> None:
    """Build the model named on the command line."""
    parser = argparse.ArgumentParser(prog="models.build")
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--base", help="the model of which this is a size")
    parser.add_argument("--size", type=int, help="as the base understands it")
    parser.add_argument(
        "--train",
        choices=("none", "head", "all"),
        default="none",
        help="none: use the weights in the repository; head, all: train that again",
    )
    options = parser.parse_args()
    build(
        BuildOrder(
            name=options.model,
            base=options.base or options.model,
            size=options.size,
            out=options.out,
            data=options.data,
            train=options.train,
        )
    )


def build(order: BuildOrder) -> None:
    """Leave the card, ``model.json``, the models, their task and samples in ``order.out``."""
    folder = f"models.{order.base.replace('-', '_')}"
    module = importlib.import_module(f"{folder}.model")
    own_task = Path(str(module.__file__)).with_name("task.py")
    if own_task.is_file():
        (order.out / "code").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own_task, order.out / "code/task.py")
    finish(order, module.build(order))


def finish(order: BuildOrder, built: Built) -> None:
    """Check what was built, and describe it."""
    say("checking")
    description = describe(order.name, built)
    served = ServedModel(order.out, description)
    held_out = sorted((order.out / built.samples.held_out).iterdir())
    batches = served.decoded([*held_out])
    answers = served.answers("onnx", batches)
    outputs = served.stacked(answers)
    if not any(float(one.std(axis=0).max()) > SAME for one in outputs):
        sys.exit("The model answers the same to every held-out input.")
    metrics = built.judge(outputs)
    parity: Mapping[str, Any] = {}
    if (order.out / "saved_model").is_dir():
        parity = {"max_abs_difference": apart(served, batches, answers), "n": PARITY_INPUTS}
        if parity["max_abs_difference"] > built.tolerance.max_abs_difference:
            sys.exit(f"ONNX and TensorFlow differ by {parity['max_abs_difference']:.2g}.")
    noted = served.noted(batches, answers)
    description["reference"] = reference(
        served.task.features, noted, labels=len(served.card.labels)
    )
    say("trying ways to start")
    session, starts = settle(
        order.out,
        description,
        batches[0].tensors,
        tolerance=built.tolerance.max_abs_difference,
    )
    description |= session
    write_json(order.out / "model.json", description)
    write_json(
        order.out / "card.json",
        {
            **description,
            "samples": asdict(built.samples),
            "tolerance": asdict(built.tolerance),
            **built.card,
            "metrics": metrics,
            "parity": parity,
            **starts,
            "sha256": {"weights": built.weights_sha256},
            "versions": {"python": platform.python_version()} | dict(filter(all, map(tool, TOOLS))),
        },
    )


def describe(name: str, built: Built) -> dict[str, Any]:
    """The part of the card that a server needs."""
    return {
        "schema": SCHEMA,
        "name": name,
        "task": built.task,
        "inputs": list(built.inputs),
        "outputs": list(built.outputs),
        "labels": list(built.labels),
        **built.described,
    }


def apart(served: ServedModel, batches: Any, answers: Any) -> float:
    """By how much the SavedModel's first answers differ from the ONNX model's, at most.

    In numbers with fractions: of items that are ranked, two that are as good may change places.
    """
    some = slice(PARITY_INPUTS)
    theirs = served.stacked(served.answers("tensorflow", batches[some]))
    ours = served.stacked(answers[some])
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.dtype.kind == "f"]
    return max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0)


def tool(name: str) -> tuple[str, str]:
    """A tool's version; empty for one that this model's build has not."""
    try:
        return name, version(name)
    except PackageNotFoundError:
        return name, ""


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Readable and the same bytes every time."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
