"""``dashboards/*.json`` from the code, and whether what is committed is what the code says."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab.errors import LabError
from lab.paths import ROOT

FOLDER: Final = ROOT / "dashboards"

_MODULES: Final = ("endpoints", "coldstart", "container", "model", "compare", "load")


def rendered() -> Mapping[str, str]:
    """Each board's file name and text, in the order in which they are linked."""
    try:
        encoder = importlib.import_module("grafana_foundation_sdk.cog.encoder")
    except ModuleNotFoundError as error:
        raise LabError(
            "The boards are made with Grafana's foundation SDK, which is not installed.",
            remedy="Set up what tests and generators need: `make setup-test`.",
        ) from error
    layout = importlib.import_module("lab.observe.boards.layout")
    found = {}
    for name in _MODULES:
        board = importlib.import_module(f"lab.observe.boards.{name}").board()
        made = json.loads(json.dumps(layout.assemble(board), cls=encoder.JSONEncoder))
        for annotation in made["annotations"]["list"]:
            annotation.update(layout.DETAILS.get(annotation["name"], {}))
        text = json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False)
        found[f"{board.uid}.json"] = f"{text}\n"
    return found


def write(folder: Path = FOLDER) -> Sequence[Path]:
    """Write what is missing or differs, remove what no code makes, and say which."""
    texts = rendered()
    changed = stale(texts, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in changed:
        if path.name in texts:
            path.write_text(texts[path.name], encoding="utf-8")
        else:
            path.unlink()
    return changed


def stale(texts: Mapping[str, str], folder: Path = FOLDER) -> Sequence[Path]:
    """The files that differ from what the code says: missing, changed or too many."""
    differing = [
        folder / name
        for name, text in texts.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
    too_many = [path for path in sorted(folder.glob("*.json")) if path.name not in texts]
    return [*differing, *too_many]
