"""What a model was made from, as a digest: equal digests, nothing to build."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab.artifacts import store
from lab.paths import MODELS, REQUIREMENTS, SERVICES

_MADE_OF: Final = re.compile(r"^(?:from|import) models\.(\w+)", re.MULTILINE)


def sources(model: str) -> str:
    """What models share, the model's own folder, what the trainer image is made from, and the
    service's code that stands between an input and the model.
    """
    own = _folders(store.base(model)[0].replace("-", "_"))
    shared = [one for one in sorted(MODELS.iterdir()) if not (one / "model.py").is_file()]
    service = SERVICES / "inference" / "app"
    files = [
        MODELS / "build.py",
        *(file for folder in (*shared, *own, service / "tasks") for file in _code(folder)),
        *(service / name for name in ("card.py", "npy.py", "reference.py")),
        REQUIREMENTS / "trainer.txt",
        SERVICES / "trainer" / "Dockerfile",
    ]
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _folders(name: str) -> Iterator[Path]:
    """A model's folder, and those of the models that it says it is made of."""
    yield MODELS / name
    for other in sorted(set(_MADE_OF.findall((MODELS / name / "model.py").read_text()))):
        if other != name and (MODELS / other / "model.py").is_file():
            yield from _folders(other)


def data(folder: Path | None) -> str | None:
    """A folder of a data set by names, sizes and times: reading them all would take too long."""
    if folder is None:
        return None
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state = path.stat()
            total.update(
                f"{path.relative_to(folder)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode()
            )
    return total.hexdigest()


def _code(folder: Path) -> Iterator[Path]:
    """And the weights that are stored beside it."""
    return iter(sorted([*folder.glob("*.py"), *folder.glob("*.npz")]))
