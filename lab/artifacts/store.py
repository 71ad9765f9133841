"""The built models on disk: which there are, and where their archives lie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.contenttype import content_type_of
from lab.errors import UsageError
from lab.images.variants import serving
from lab.spec import Runtime

DEFAULT: Final = "retinopathy-mobilenet"
"""Which model it is where nobody names one: the one whose endpoints `lab up` makes."""
STUDY: Final = (DEFAULT, "retinopathy-vgg19")
"""The published study's two, as they were."""

CARD: Final = "card.json"
DESCRIPTION: Final = "model.json"
IMPORTED: Final = "imported.json"
"""Beside the card of a model that a user has imported: what from."""
CODE: Final = "code"
"""The model's own task, if it has one."""

SERVED: Final[Mapping[Runtime, str]] = {
    Runtime.TENSORFLOW: "saved_model",
    Runtime.ONNX: "model.onnx",
}
"""What each runtime loads, by name in the model's folder and archive."""

DATA: Final = "model.data"
"""Beside an ONNX model whose weights are not in the graph's own file."""

_BUILD: Final = "Build it: `lab models build`."


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A ``model.tar.gz`` as SageMaker takes it."""

    model: str
    runtime: Runtime
    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A request body that the model can answer."""

    path: Path
    content_type: str


@dataclass(frozen=True, kw_only=True)
class AnswerTolerance:
    """By how much two platforms' answers to the same input may differ."""

    label: str
    """What a prediction calls what must be the same."""
    scores: str
    """What it calls the numbers that may differ a little."""
    max_abs_difference: float
    least_agreement: float
    """The share of inputs, 0 to 1, whose label must be the same."""


def models() -> tuple[str, ...]:
    """All models: those that the project builds, and what a user has imported."""
    return tuple(sorted((*buildable(), *imported())))


def buildable() -> tuple[str, ...]:
    """The models that the project can build: one folder of ``models/`` each."""
    found = paths.MODELS.glob("*/model.py")
    return tuple(sorted(path.parent.name.replace("_", "-") for path in found))


def imported() -> tuple[str, ...]:
    """The models that a user has imported: nothing here can build them again."""
    ours = buildable()
    return tuple(
        sorted(
            path.parent.name
            for path in paths.artifacts().glob(f"*/{IMPORTED}")
            if path.parent.name not in ours
        )
    )


def base(model: str) -> tuple[str, int | None]:
    """The model that one is a size of, and the size: ``recommender-niser-1000`` has 1,000 items.

    A name without a number, or with one that is part of a model's own name, is its own base.
    """
    name, _, size = model.rpartition("-")
    if model not in models() and name in buildable() and size.isdecimal():
        return name, int(size)
    return model, None


def known(model: str) -> bool:
    """Whether there is such a model, of whatever size."""
    return base(model)[0] in models()


def folder(model: str) -> Path:
    """Where a model lies once built. Raises ``UsageError`` for a name that there is not."""
    if not known(model):
        raise UsageError(f"There is no model {model!r}.", remedy=f"Choose from {_names()}.")
    return paths.artifacts() / model


def archive_name(runtime: Runtime) -> str:
    """The archive's file name."""
    return f"model-{runtime.value}.tar.gz"


def card(model: str) -> Mapping[str, Any]:
    """What the model says of itself. Raises ``UsageError`` when it is not built."""
    file = folder(model) / CARD
    try:
        content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"The model {model} is not built.", remedy=_BUILD) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}.", remedy="Build it again: `lab models build --force`."
        ) from error
    return content


def find(model: str, runtime: Runtime) -> Archive:
    """A model's archive for a runtime.

    Raises ``UsageError`` when the model is not built, or has none: then with who serves it.
    """
    name = archive_name(runtime)
    check(model, runtime)
    sums = card(model)["sha256"]
    path = folder(model) / name
    if not path.is_file() or name not in sums:
        raise UsageError(f"The model {model} has no archive for {runtime.value}.", remedy=_BUILD)
    return Archive(
        model=model, runtime=runtime, path=path, sha256=sums[name], bytes=path.stat().st_size
    )


def archives(model: str) -> Sequence[Archive]:
    """All that a model has. Raises ``UsageError`` when it is not built."""
    sums = card(model)["sha256"]
    return [find(model, runtime) for runtime in Runtime if archive_name(runtime) in sums]


def check(model: str, *runtimes: Runtime | None) -> None:
    """Refuse a runtime that a built model has no archive for, before anything is made for it.

    Raises ``UsageError`` that names the variants that serve the model; says nothing of a model
    that is not built, and of None, which needs no model.
    """
    if not (folder(model) / CARD).is_file():
        return
    sums = card(model).get("sha256", {})
    there = [runtime for runtime in Runtime if archive_name(runtime) in sums]
    lacking = [runtime.value for runtime in runtimes if runtime and runtime not in there]
    if there and lacking:
        able = [variant for variant, runtime in serving().items() if runtime in there]
        raise UsageError(
            f"The model {model} has no archive for {lacking[0]}.",
            remedy=f"It is served by these variants: {', '.join(able)}.",
        )


def content(folder: Path, runtime: Runtime) -> Sequence[str]:
    """What a runtime's archive holds, by name in ``folder``; nothing if it cannot run the model."""
    if not (folder / SERVED[runtime]).exists():
        return []
    code = [CODE] if (folder / CODE).is_dir() else []
    return [DESCRIPTION, *(onnx(folder) if runtime is Runtime.ONNX else [SERVED[runtime]]), *code]


def onnx(folder: Path) -> Sequence[str]:
    """The ONNX model's files, by name in ``folder``."""
    return [name for name in (SERVED[Runtime.ONNX], DATA) if (folder / name).is_file()]


def tolerance(model: str) -> AnswerTolerance:
    """How alike answers must be.

    Raises ``UsageError`` when the model is not built, or nobody knows what its answers decide.
    """
    found = AnswerTolerance(**_of(model, "tolerance"))
    if not found.label:
        raise UsageError(
            f"Which of {model}'s numbers is its answer is not known: it was imported.",
            remedy=f"Compare one of the lab's own: {', '.join(buildable())}.",
        )
    return found


def payload(model: str) -> Payload:
    """What a real client sends. Raises ``UsageError`` when the model is not built."""
    path = folder(model) / str(_of(model, "samples")["payload"])
    if not path.is_file():
        raise UsageError(f"The model {model} is not built.", remedy=_BUILD)
    return _payload(path)


def held_out(model: str) -> Sequence[Payload]:
    """What the model was tested on: traffic without drift, of which the first are like all.

    Raises ``UsageError`` when it is not built.
    """
    found = _samples(model, "held_out")
    if not found:
        raise UsageError(f"The model {model} has no samples to send.", remedy=_BUILD)
    return found


def shifted(model: str) -> Sequence[Payload]:
    """Inputs unlike those that the model was tested on; none if it has none."""
    return _samples(model, "shifted")


def _samples(model: str, kind: str) -> Sequence[Payload]:
    name = _of(model, "samples").get(kind)
    return [_payload(path) for path in sorted((folder(model) / name).glob("*"))] if name else []


def _payload(path: Path) -> Payload:
    return Payload(path=path, content_type=content_type_of(path))


def _of(model: str, key: str) -> Mapping[str, Any]:
    """A part of the card that cards of an older lab have not."""
    try:
        found: Mapping[str, Any] = card(model)[key]
    except KeyError as error:
        raise UsageError(f"The model {model} was built by an older lab.", remedy=_BUILD) from error
    return found


def _names() -> str:
    return ", ".join(models()) or "none"
