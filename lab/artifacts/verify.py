"""Checks a built model against its own card."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.artifacts import archive, store
from lab.errors import ArchiveError
from lab.spec import Runtime


def problems(model: str) -> Sequence[str]:
    """What is wrong with it, a sentence each; nothing if all is well.

    Raises ``UsageError`` when it is not built.
    """
    card = store.card(model)
    folder = store.folder(model)
    return [
        *_description(card, folder),
        *_sums(card, folder),
        *(line for runtime in Runtime for line in _archive(folder, runtime)),
    ]


def _description(card: object, folder: Path) -> Iterator[str]:
    """``model.json`` must be there, and say what the card says."""
    try:
        described = json.loads((folder / store.DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield f"{store.DESCRIPTION} cannot be read: {error}"
        return
    if not isinstance(described, dict) or not isinstance(card, dict):
        yield f"{store.DESCRIPTION} or the card is not an object"
        return
    for key in ("schema", "name", "task", "inputs", "outputs", "labels"):
        if key not in described:
            yield f"{store.DESCRIPTION} lacks {key!r}"
        elif described[key] != card.get(key):
            yield f"{store.DESCRIPTION} and the card disagree about {key!r}"
    if described.get("reference") != card.get("reference"):
        yield f"{store.DESCRIPTION} and the card disagree about 'reference'"


def _sums(card: object, folder: Path) -> Iterator[str]:
    if not isinstance(card, dict):
        return
    made = [one for one in Runtime if store.content(folder, one)]
    sums = card.get("sha256", {})
    told = {name for name in sums if name != "weights"}
    for name in sorted(told | set(store.onnx(folder)) | {*map(store.archive_name, made)}):
        wanted = sums.get(name)
        if not (folder / name).is_file():
            yield f"{name} is missing"
        elif wanted is None:
            yield f"the card has no sha256 of {name}"
        elif archive.sha256(folder / name) != wanted:
            yield f"{name} is not what the card says (sha256 differs)"


def _archive(folder: Path, runtime: Runtime) -> Iterator[str]:
    """It must open, and hold the very files that lie beside it."""
    name = store.archive_name(runtime)
    if not (folder / name).is_file():
        return  # said already
    wanted = set(_files(folder, store.content(folder, runtime)))
    with TemporaryDirectory(prefix="inference-lab-") as place:
        try:
            archive.extract(folder / name, Path(place))
        except ArchiveError as error:
            yield error.what
            return
        found = set(_files(Path(place), [path.name for path in Path(place).iterdir()]))
        for path in sorted(wanted ^ found):
            yield f"{name} {'lacks' if path in wanted else 'holds the unexpected'} {path}"
        for path in sorted(wanted & found):
            if archive.sha256(folder / path) != archive.sha256(Path(place) / path):
                yield f"{name} holds another {path} than the folder"


def _files(folder: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        top = folder / name
        paths = top.rglob("*") if top.is_dir() else [top]
        yield from (path.relative_to(folder).as_posix() for path in paths if path.is_file())
