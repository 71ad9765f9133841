"""Doing as root what only root may: directly, or by sudo where it asks no password."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from lab.errors import CommandError
from lab.process import Result, run

NO_ROOT: Final = "this user is not root, and sudo is not here or asks for a password"


@cache
def prefix() -> tuple[str, ...] | None:
    """What to put before a command that needs root; None when this user cannot have it."""
    if os.geteuid() == 0:
        return ()
    try:
        allowed = run(["sudo", "-n", "true"], check=False, timeout_s=5).code == 0
    except CommandError:
        return None
    return ("sudo", "-n") if allowed else None


def as_root(command: Sequence[str | Path], *, timeout_s: float | None = None) -> Result:
    """Run a command as root. Raises ``CommandError`` when it fails or root cannot be had."""
    before = prefix()
    if before is None:
        raise CommandError(f"{command[0]} needs root.", remedy="Run it as root, or allow sudo.")
    return run([*before, *command], timeout_s=timeout_s)


def own_folder(path: Path) -> None:
    """Make a folder that this user may write to, wherever it lies."""
    if not path.is_dir():
        try:
            path.mkdir(parents=True, mode=0o711)
        except PermissionError:
            owner = ("-o", str(os.geteuid()), "-g", str(os.getegid()))
            as_root(["install", "-d", "-m", "711", *owner, path])
