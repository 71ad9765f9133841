"""The built models on disk: which there are, and where their archives lie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.errors import UsageError
from lab.spec import Runtime

CARD: Final = "card.json"
DESCRIPTION: Final = "model.json"
PHOTO: Final = "samples/photo-size.jpg"
HELD_OUT: Final = "samples/held-out"

CONTENT: Final[Mapping[Runtime, tuple[str, ...]]] = {
    Runtime.TENSORFLOW: (DESCRIPTION, "saved_model"),
    Runtime.ONNX: (DESCRIPTION, "model.onnx"),
}
"""What each runtime's archive holds, by name in the model's folder."""

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


def models() -> tuple[str, ...]:
    """The models that the project can build: one folder of ``models/`` each."""
    found = paths.MODELS.glob("*/architecture.py")
    return tuple(sorted(path.parent.name.replace("_", "-") for path in found))


def folder(model: str) -> Path:
    """Where a model lies once built. Raises ``UsageError`` for a name that the project has not."""
    if model not in models():
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
    """A model's archive for a runtime. Raises ``UsageError`` when it is not built."""
    name = archive_name(runtime)
    sums = card(model)["sha256"]
    path = folder(model) / name
    if not path.is_file() or name not in sums:
        raise UsageError(f"The model {model} has no archive for {runtime.value}.", remedy=_BUILD)
    return Archive(
        model=model, runtime=runtime, path=path, sha256=sums[name], bytes=path.stat().st_size
    )


def payload(model: str) -> Payload:
    """A picture as large as a camera takes it. Raises ``UsageError`` when it is not built."""
    path = folder(model) / PHOTO
    if not path.is_file():
        raise UsageError(f"The model {model} is not built.", remedy=_BUILD)
    return Payload(path=path, content_type="image/jpeg")


def pictures(model: str) -> Sequence[Path]:
    """Pictures that the model was tested on, as PNG files: traffic without drift.

    Raises ``UsageError`` when it is not built.
    """
    found = sorted((folder(model) / HELD_OUT).glob("*.png"))
    if not found:
        raise UsageError(f"The model {model} has no pictures to send.", remedy=_BUILD)
    return found


def _names() -> str:
    return ", ".join(models()) or "none"
