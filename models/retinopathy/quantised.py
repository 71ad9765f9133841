"""A grader in int8: made of the float one, and refused if it grades worse."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.common import quantise, timing
from models.common.built import BuildOrder, Built, Tolerance, no_size, say
from models.common.quantise import Found
from models.retinopathy import classifier, data, fundus, head, metrics
from models.retinopathy.gate import agreement, gate, refuse_unlike
from models.retinopathy.network import Architecture

CALIBRATING: Final = 100
VALIDATING: Final = 100
"""Eyes that the model learnt from, other than those that calibrate: what is left out is chosen on
them, so that the held-out ones stay unseen until the gate."""
AIM: Final = 0.005
"""On the eyes that choose: half, for those at the gate are others."""


def build(architecture: Architecture, order: BuildOrder) -> Built:
    """The float model's build, in a folder beside; then int8, gated and timed against it."""
    no_size(order)
    learning, _ = split(architecture)
    # Before TensorFlow does anything, as the float model's build says.
    eyes = data.drawn(learning, first_seed=classifier.SEED)
    photographs = data.aptos(order.data) if order.data else None
    with TemporaryDirectory(dir=order.out) as beside:
        exact = Path(beside)
        built = classifier.build(
            architecture, replace(order, name=architecture.name, base=architecture.name, out=exact)
        )
        if photographs is not None and built.card["training"]["origin"] != "drawn":
            share = architecture.held_out / len(photographs.grades)
            taken, _ = data.split(photographs.grades, share, classifier.SEED)
            rng = np.random.default_rng(classifier.SEED)
            eyes = data.take(photographs, list(rng.permutation(taken)))
        for name in ("samples", "weights.npz"):
            if (exact / name).exists():
                shutil.move(exact / name, order.out / name)
        held_out = _pictures(order.out / built.samples.held_out)
        refuse_unlike(eyes.images, held_out)
        made = quantised(exact / "model.onnx", order.out / "model.onnx", architecture, eyes)
        figures = compared(exact / "model.onnx", order.out / "model.onnx", held_out)

    def judge(outputs: Sequence[NDArray[Any]]) -> Mapping[str, Any]:
        """Of int8, and at the gate against the float model."""
        graded = built.judge(outputs)
        gate(figures["float"]["qwk"], graded["qwk"])
        return graded

    # What the float model makes of the held-out eyes is judged in the order they lie.
    figures["float"] = {**figures["float"], **built.judge([figures.pop("answers")])}
    say(f"note: {figures['verdict']}")
    return replace(
        built,
        # Int8 rounds: a last bit that differs between processors moves a probability more.
        tolerance=Tolerance(
            label="grade", scores="probabilities", max_abs_difference=0.05, least_agreement=0.97
        ),
        judge=judge,
        card={**built.card, "quantised": {"of": architecture.name, **asdict(made), **figures}},
    )


def split(architecture: Architecture) -> tuple[Sequence[int], Sequence[int]]:
    """The numbers of the eyes to learn from, and of those held out."""
    grades = data.grades_drawn(architecture.pictures + architecture.held_out)
    return data.split(grades, architecture.held_out / len(grades), classifier.SEED)


def quantised(exact: Path, target: Path, architecture: Architecture, eyes: data.Pictures) -> Found:
    """Search on the eyes: the first calibrate, some others choose what is left out; all of them
    teach the head again, if that is needed.
    """
    choosing = slice(CALIBRATING, CALIBRATING + VALIDATING)
    calibrating, validating = eyes.images[:CALIBRATING], eyes.images[choosing]
    grades = eyes.grades[choosing]
    if len(validating) == 0:
        sys.exit(f"{len(eyes.images)} images are too few to calibrate with: {CALIBRATING} and more")
    whole = kappa(grades, quantise.answers(exact, validating))
    return quantise.search(
        exact,
        target,
        inputs=calibrating,
        on=timing.this_processor(),
        loss=lambda model: whole - kappa(grades, quantise.answers(model, validating)),
        most=AIM,
        repair=quantise.Repair(
            last=head.LAYERS,
            change=lambda model, layers: head.teach(
                model, layers, architecture, eyes, seed=classifier.SEED
            ),
        ),
    )


def compared(exact: Path, made: Path, held_out: NDArray[np.uint8]) -> dict[str, Any]:
    """Bytes, times and answers of both; ``answers`` are the float model's."""
    theirs, ours = (quantise.answers(one, held_out) for one in (exact, made))
    times = timing.timed({"float": exact, "int8": made}, held_out[:1])
    same = int((theirs.argmax(axis=1) == ours.argmax(axis=1)).sum())
    on = timing.this_processor()
    return {
        "processor": {**asdict(on), "reduce_range": on.reduce_range},
        "float": {"bytes": exact.stat().st_size, **times["float"]},
        "int8": {"bytes": made.stat().st_size, **times["int8"]},
        "warm_ratio": times["ratio"],
        "agreement": agreement(same, len(held_out)),
        "max_abs_difference": round(float(np.abs(theirs - ours).max()), 4),
        "verdict": timing.verdict(times["ratio"]),
        "answers": theirs,
    }


def kappa(grades: NDArray[np.int64], answers: NDArray[Any]) -> float:
    """Of answers [n, grades]."""
    table = metrics.confusion(grades, answers.argmax(axis=1), fundus.GRADES)
    return metrics.quadratic_weighted_kappa(table)


def _pictures(folder: Path) -> NDArray[np.uint8]:
    """In the order of their names."""
    return np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
