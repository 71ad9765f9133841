"""The variables of ``compose.yaml`` where Compose looks for them, so that a person can type
``docker compose ps`` in the checkout.

A checkout has one such file: with several labs (``LAB_PROJECT``) it is that of the last ``lab up``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lab import paths
from lab.runfiles import write_whole

NAME: Final = ".env"

_HEAD: Final = "# Written by `lab up`, removed by `lab down`.\n"
_SECRET: Final = ("KEY", "TOKEN")
_NOT_THERE: Final = ("DOCKER_", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME")
"""Compose does not take them from a file, or would take them amiss."""


def write(variables: Mapping[str, str], folder: Path = paths.ROOT) -> Path | None:
    """Leave them in ``folder``, but for secrets; None where that is not the lab's to do."""
    file = folder / NAME
    if not _ours(file):
        return None
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith(_NOT_THERE) and not any(word in name for word in _SECRET)
    }
    lines = (f"{name}={_quoted(value)}\n" for name, value in sorted(kept.items()))
    try:
        write_whole(file, _HEAD + "".join(lines))
    except OSError:
        return None
    return file


def remove(state: Path, folder: Path = paths.ROOT) -> None:
    """If it is the one of the lab with this state folder."""
    file = folder / NAME
    mine = f"\nLAB_STATE={_quoted(str(state))}\n"
    if file.exists() and _ours(file) and mine in file.read_text(encoding="utf-8"):
        file.unlink()


def _ours(file: Path) -> bool:
    try:
        return file.read_text(encoding="utf-8").startswith(_HEAD)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def _quoted(value: str) -> str:
    """As Compose reads it: nothing between single quotes is expanded."""
    return "'" + value.replace("'", "\\'") + "'"
