"""Removing what a run made: at its end, and what a killed one left behind."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from lab import paths
from lab.coldstart.executor import ROLE_TRIAL
from lab.coldstart.folder import RUN_FILE
from lab.engine.api import Container, Engine
from lab.errors import EngineError
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE

_ROLES: Final = (ROLE_TRIAL, "coldhost", "link")


def sweep(engine: Engine, owner: str) -> int:
    """Remove every container that carries this run's label; how many there were."""
    return _remove(engine.containers({LABEL_OWNER: owner}))


def remove_leftovers(engine: Engine, progress: Progress) -> None:
    """Remove the containers and unpacked models of runs that were killed.

    Call it only with the bench lock held: then no run of this machine is alive, and whatever
    carries the label of a run that has a folder here is nobody's any more.
    """
    left = [
        container
        for role in _ROLES
        for container in engine.containers({LABEL_ROLE: role})
        if _ended(container.labels.get(LABEL_OWNER))
    ]
    count = _remove(left)
    shutil.rmtree(paths.cache() / "trials", ignore_errors=True)
    if count:
        progress.note(f"Removed {count} containers that a killed run had left behind.")


def _ended(owner: str | None) -> bool:
    return bool(owner) and (paths.runs() / str(owner) / RUN_FILE).is_file()


def _remove(containers: Sequence[Container]) -> int:
    for container in containers:
        with suppress(EngineError):
            container.remove()
    return len(containers)
