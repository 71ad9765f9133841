"""A user's own model: checked, described by the trainer, packed, and one of the lab's from then on.

What can be refused for nothing is refused before anything is built or started. What the file holds
is judged inside the trainer (``models/imported.py``), which has ONNX and TensorFlow.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab import paths
from lab.artifacts import store, trainer
from lab.contenttype import guess
from lab.engine.api import ContainerSpec, Engine, Mount
from lab.errors import UsageError
from lab.images.build import ensure as ensure_images
from lab.images.variants import image_ref
from lab.lock import heavy_work
from lab.progress import Progress
from lab.units import format_bytes

LONGEST: Final = 63 - len("-serverless")
"""Of a name, in characters: SageMaker's limit of an endpoint's."""
MOST_BYTES: Final = 2 * 1024**3 - 1
"""Of one ONNX file: protobuf's limit, so that no program reads a larger one."""
MOST_PAYLOAD: Final = 25 * 1024**2
"""What a real-time endpoint takes."""

_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_GRAPH: Final = "saved_model.pb"
_IN: Final = "/in"
_SENT: Final = "/payload"
_MOST_LINKS: Final = 64


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """What the user wants imported."""

    model: Path
    """An ONNX file, whose external data lie beside it; or the folder of a SavedModel."""
    name: str
    payload: Path | None = None
    """A body that it can answer; None lets the trainer make one of the graph's own inputs."""
    force: bool = False
    """Replace an imported model of that name."""


def check(order: ImportOrder) -> None:
    """Raise ``UsageError`` for what needs no look inside: paths, sizes and the name."""
    _check_model(order.model)
    _check_name(order)
    if order.payload is not None:
        _check_payload(order.payload)


def bring(order: ImportOrder, *, engine: Engine, progress: Progress) -> Path:
    """Leave the model in ``artifacts``, whole or not at all; its folder.

    Raises ``UsageError`` with the trainer's reason for a model that the lab's images cannot serve.
    """
    check(order)
    platform = engine.facts().platform
    with heavy_work("The import of a model", progress), trainer.alone(progress):
        _check_name(order)  # another import may have ended meanwhile
        for left in engine.containers(trainer.labels()):  # by a command that was killed
            left.remove()
        ensure_images([trainer.ROLE], platform=platform, engine=engine, progress=progress)
        with (
            trainer.unfinished(order.name) as folder,
            progress.step(f"Importing {order.model.name} as {order.name}") as step,
        ):
            image = image_ref(trainer.ROLE, platform)
            ended = trainer.run(engine, _spec(order, engine, image=image, folder=folder), step)
            _raise_refusal(order, ended)
            ended.check()
            step.detail("packing")
            _finish(order, folder)
            trainer.replace(folder, paths.artifacts() / order.name)
    for note in ended.lines("note"):
        progress.note(note)
    return paths.artifacts() / order.name


def remove(model: str, progress: Progress) -> None:
    """Remove an imported model. Raises ``UsageError`` for any other."""
    with trainer.alone(progress):
        if model not in store.imported():
            store.folder(model)  # that there is none of the name is said first
            raise UsageError(
                f"{model} was not imported: the lab can build it again at any time.",
                remedy="`lab clean` removes all that was built.",
            )
        with trainer.unfinished(model) as aside:
            (paths.artifacts() / model).rename(aside)


def _check_model(path: Path) -> None:
    try:
        graph = path / _GRAPH if path.is_dir() else path
        if not graph.exists():
            fault = f"holds no {_GRAPH}: it is no SavedModel" if path.is_dir() else "does not exist"
            raise UsageError(
                f"{path} {fault}.", remedy="Name an ONNX file, or the folder of a SavedModel."
            )
        if not graph.is_file():
            raise UsageError(f"{graph} is no file.", remedy="Name an ONNX file.")
        size = graph.stat().st_size
        with graph.open("rb") as content:
            content.read(1)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a model that you may read."
        ) from error
    if size == 0:
        raise UsageError(f"{graph} is empty.", remedy="Export or download the model again.")
    if size > MOST_BYTES:
        raise UsageError(
            f"{graph} has {format_bytes(size)}; protobuf, and so ONNX, ends at 2 GiB a file.",
            remedy="Is it a model? If so, export it with its weights in a file beside it.",
        )


def _check_name(order: ImportOrder) -> None:
    name, place = order.name, paths.artifacts() / order.name
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"{name!r} is no name for a model.",
            remedy=f"Take letters, digits and single hyphens between them, at most {LONGEST}: "
            "SageMaker takes no others.",
        )
    ours = store.buildable()
    # Where a disk does not tell A from a, they would lie in one folder.
    if name.lower() in ours or store.base(name.lower())[0] in ours:
        raise UsageError(f"{name} is one of the lab's own models.", remedy="Choose another --name.")
    if not place.exists():
        return
    if not (place / store.IMPORTED).is_file():
        raise UsageError(
            f"{place} is there, and no imported model.",
            remedy="Choose another --name, or move it away.",
        )
    if not order.force:
        raise UsageError(
            f"There is an imported model {name}.",
            remedy=f"Add --force to replace it, or remove it: `lab models remove {name}`.",
        )


def _check_payload(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as content:
            content.read(1)
    except OSError as error:
        raise UsageError(
            f"The payload {path} cannot be read: {error.strerror}.",
            remedy="Name a file with a request body that the model can answer.",
        ) from error
    if guess(path) is None:
        raise UsageError(
            f"What the payload {path} holds cannot be told from its name.",
            remedy="Name it .json or .npy: by that its Content-Type is known.",
        )
    if not 0 < size <= MOST_PAYLOAD:
        raise UsageError(
            f"The payload {path} has {format_bytes(size)}.",
            remedy=f"A body has at least a byte, and at most {format_bytes(MOST_PAYLOAD)}.",
        )


def _spec(order: ImportOrder, engine: Engine, *, image: str, folder: Path) -> ContainerSpec:
    model = order.model.absolute()
    words = ["models.imported", trainer.seen(engine, model, f"{_IN}/{model.name}")]
    words += ["--name", order.name, "--out", trainer.seen(engine, folder, trainer.OUT)]
    mounts = [*_model_mounts(model)]
    if order.payload is not None:
        payload = order.payload.absolute()
        inside = f"{_SENT}/{payload.name}"
        words += ["--payload", trainer.seen(engine, payload, inside)]
        mounts.append(Mount(source=str(payload.resolve()), target=inside))
    return trainer.spec(engine, words, image=image, folder=folder, mounts=mounts)


def _model_mounts(model: Path) -> Sequence[Mount]:
    """The folder of an ONNX file: its external data are beside it. A SavedModel's own."""
    if model.is_dir():
        return [Mount(source=str(model.resolve()), target=f"{_IN}/{model.name}")]
    if not model.is_symlink():
        return [Mount(source=str(model.parent.resolve()), target=_IN)]
    # As in the caches of Hugging Face, where the files beside it are links, too: inside a
    # container they would lead nowhere.
    beside = [one for one in sorted(model.parent.iterdir()) if one.is_file() and one != model]
    return [
        Mount(source=str(one.resolve()), target=f"{_IN}/{one.name}")
        for one in (model, *beside[:_MOST_LINKS])
    ]


def _raise_refusal(order: ImportOrder, ended: trainer.Ended) -> None:
    if refused := ended.lines("refused"):
        # Paths inside the container are none that the user knows.
        what = refused[-1].replace(f"{_IN}/", f"{order.model.absolute().parent}/")
        raise UsageError(what, remedy=(*ended.lines("remedy"), "")[0])


def _finish(order: ImportOrder, folder: Path) -> None:
    """Complete what the trainer wrote: it knows neither the day nor the user's paths."""
    file = folder / store.IMPORTED
    origin = {
        **json.loads(file.read_text(encoding="utf-8")),
        "file": str(order.model.absolute()),
        "imported": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(origin, indent=2, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")
    trainer.finish(folder, {"sources": origin["sha256"], "data": None})
