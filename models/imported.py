"""Makes a card and what an archive holds of a stranger's model.

``python -m models.imported MODEL --name N --out DIR [--payload FILE]``, inside the trainer image.
MODEL is an ONNX file or the folder of a SavedModel. What cannot be served ends it with code 1 and
two lines, ``refused: ...`` and ``remedy: ...``; what was changed is told as ``note: ...``.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from app import backends, tasks
from app.card import card
from app.errors import RequestError, StartError
from app.settings import Settings
from models import imported_trial as trial
from models.common.built import Samples, Tolerance, say
from models.common.served import ServedModel
from models.imported_ends import Refused, Source

SCHEMA: Final = 2
TASK: Final = "tensors"
TOOLS: Final = ("onnx", "onnxruntime", "tensorflow-cpu", "numpy")
TOLERANCE: Final = Tolerance(label="", scores="", max_abs_difference=1e-3)
"""Whatever the answers are called: nobody knows which of a stranger's numbers is the label."""


def main() -> None:
    """Import the model named on the command line."""
    parser = argparse.ArgumentParser(prog="models.imported")
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--payload", type=Path, help="a request body: .json, .npy or .csv")
    options = parser.parse_args()
    try:
        bring(options.model, options.name, options.out, options.payload)
    except Refused as refused:
        refuse(refused.what, refused.remedy)
    except OSError as error:
        refuse(f"{error.filename} cannot be read: {error.strerror}.", "Name files that are there.")


def refuse(what: str, remedy: str) -> NoReturn:
    """End the program with its two lines."""
    say(f"refused: {' '.join(what.split())}")
    say(f"remedy: {' '.join(remedy.split())}")
    sys.exit(1)


def bring(model: Path, name: str, out: Path, payload: Path | None) -> None:
    """Leave the model, its descriptions and its samples in ``out``; raises ``Refused``."""
    out.mkdir(parents=True, exist_ok=True)
    say(f"reading {model.name}")
    source = read(model, out)
    notes = list(source.notes)
    batched = trial.is_batch(source.inputs)
    description = describe(name, trial.described(source, None, (), (), batched=batched))
    say("loading")
    tried = trial.Trial(source=source, backend=_loaded(source, out, description))
    if payload is None:
        arrays = tried.made(batched=batched)
        suffix, body = trial.body(source.inputs, arrays, batched=batched)
        notes.append("No payload was given: random numbers of the graph's shapes are one.")
    else:
        suffix, body = payload.suffix.lower(), payload.read_bytes()
        arrays = _decoded(description, payload, body, source, batched=batched)
    say("answering")
    try:
        answers = tried.run(arrays)
    except Exception as error:
        raise Refused(
            f"The model does not answer the payload: {trial.text(error)}",
            f"Give a body that it can answer, like {trial.example(source.inputs, batched=batched)}",
        ) from error
    tried.warm(arrays)
    rows: Sequence[bool] = [False] * len(answers)
    if batched:
        source, rows, more = trial.settled(tried, arrays)
        notes += more
        batched = any(rows)
    description = describe(name, trial.described(source, arrays, answers, rows, batched=batched))
    (out / "samples/held-out").mkdir(parents=True)
    samples = Samples(payload=f"samples/payload{suffix}", held_out="samples/held-out")
    for file in (out / samples.payload, out / samples.held_out / f"0{suffix}"):
        file.write_bytes(body)
    answer(ServedModel(out, description), source, out / samples.payload)
    finish(model, source, out, description, samples, notes)


def read(model: Path, out: Path) -> Source:
    """The model, in ``out``; raises ``Refused``."""
    if model.is_dir():
        from models import imported_saved  # TensorFlow takes seconds to come in

        return imported_saved.read(model, out)
    from models import imported_onnx

    return imported_onnx.read(model, out)


def describe(name: str, ends: Mapping[str, Any]) -> dict[str, Any]:
    """What ``model.json`` holds."""
    return {"schema": SCHEMA, "name": name, "task": TASK, **ends, "labels": []}


def answer(served: ServedModel, source: Source, payload: Path) -> None:
    """Send the payload through the service's own code, to the end."""
    try:
        batches = served.decoded([payload])
    except RequestError as error:
        raise Refused(
            f"The payload does not fit: {error.reason}", "Give a smaller one as --payload."
        ) from error
    (outputs,) = served.answers(source.runtime, batches)
    for spec, (shape, _) in zip(served.card.outputs, outputs, strict=True):
        if not spec.fits(shape):
            raise Refused(
                f"The output {spec.name} came as {list(shape)} and before as {list(spec.shape)}.",
                "Export a model whose answers have the same shape every time.",
            )
    body, _ = served.task.encode("application/json", outputs, batches[0], prediction_s=0.0)
    say(f"the answer to the payload has {len(body)} bytes")


def finish(
    model: Path,
    source: Source,
    out: Path,
    description: Mapping[str, Any],
    samples: Samples,
    notes: Sequence[str],
) -> None:
    """Write what is told of the model."""
    graph = model / "saved_model.pb" if model.is_dir() else model
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    write(out / "model.json", description)
    write(
        out / "card.json",
        {
            **description,
            "samples": asdict(samples),
            "tolerance": asdict(TOLERANCE),
            "training": {
                "origin": "imported",
                "weights": "imported",
                "statement": f"Imported from {model.name}: what it has learnt is its maker's word.",
            },
            "parameters": source.parameters,
            "metrics": {},
            "parity": {},
            "sha256": {"weights": digest},
            "versions": {"python": platform.python_version()}
            | dict(filter(all, map(_tool, TOOLS))),
        },
    )
    write(
        out / "imported.json",
        {
            "schema": 1,
            "file": model.name,
            "sha256": digest,
            "runtime": source.runtime,
            **source.facts,
            "notes": list(notes),
        },
    )
    for note in notes:
        say(f"note: {note}")


def write(file: Path, content: Mapping[str, Any]) -> None:
    """Readable and the same bytes every time."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _loaded(source: Source, out: Path, description: Mapping[str, Any]) -> Any:
    try:
        return backends.module(source.runtime).load(
            str(out), card(dict(description)), threads=os.cpu_count() or 1, library=""
        )
    except StartError as error:
        if source.runtime != "onnx":
            raise Refused(str(error), "Save the model again.") from error
        from models.imported_onnx import fault

        raise fault(str(error)) from error


def _decoded(
    description: Mapping[str, Any], payload: Path, body: bytes, source: Source, *, batched: bool
) -> trial.Arrays:
    specs, settings = card(dict(description)), Settings({})
    settings.max_instances = len(body)  # whether it is instances is not known yet
    task = tasks.fit(tasks.task_class(specs, ""), specs, settings)
    fitting = f"Send, for example, {trial.example(source.inputs, batched=batched)}"
    kind = trial.kind_of(payload)
    if kind is None or kind not in task.taken:
        raise Refused(
            f"The payload {payload.name} is of a type that this model's inputs cannot come as "
            f"(they can as {', '.join(task.taken)}).",
            fitting,
        )
    try:
        batch = task.decode(kind, body)
    except RequestError as error:
        raise Refused(
            f"The payload {payload.name} does not fit: {error.reason}", fitting
        ) from error
    return [
        np.frombuffer(data, spec.dtype).reshape(shape)
        for spec, (shape, data) in zip(specs.inputs, batch.tensors, strict=True)
    ]


def _tool(name: str) -> tuple[str, str]:
    try:
        return name, version(name)
    except PackageNotFoundError:
        return name, ""


if __name__ == "__main__":
    main()
