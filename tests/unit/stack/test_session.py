"""What `lab down` leaves, and how it is known whose containers there are."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.endpoint.emulator import STORE_FILE
from lab.endpoint.store import SqliteStore
from lab.errors import UsageError
from lab.progress import Silent
from lab.stack import session
from lab.stack.identity import identity
from lab.stack.processes import Processes
from lab.stack.settings import Settings


def test_the_identity_is_that_of_the_emulators_store(tmp_path: Path) -> None:
    assert identity(tmp_path) is None
    store = SqliteStore(tmp_path / STORE_FILE)
    own = store.identity()
    store.close()
    assert identity(tmp_path) == own


def test_a_state_folder_that_nobody_here_may_remove_is_said_and_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    backend = Processes(Settings(state=tmp_path, env={}), Silent())
    with pytest.raises(UsageError, match="Permission denied") as refused:
        session._remove(tmp_path, backend)
    assert f"sudo rm -r {tmp_path}" in refused.value.remedy


def test_the_state_is_nobody_elses_to_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with session.alone(state):
        assert state.stat().st_mode & 0o777 == 0o700
