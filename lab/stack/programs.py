"""Programs that outlive the command that started them, each known by a file in the state folder."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import httpx

from lab import tls
from lab.engine.process import proctree
from lab.errors import EndpointError
from lab.process import detach, log_tail

_POLL_S: Final = 0.05
_READY_S: Final = 60.0
_LOG_LINES: Final = 12


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, and where it says that it is ready."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str
    """A URL."""
    mark: str = ""
    """Of what else decides its behaviour: another mark starts it anew."""


@dataclass(frozen=True, kw_only=True)
class _Record:
    pid: int
    born: int
    made_from: str


class Programs:
    """The programs of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ensure(self, program: Program) -> bool:
        """Have it running and ready; False when it was so already.

        Raises ``EndpointError`` with the last lines of its log.
        """
        made_from = _made_from(program)
        record = self._alive(program.name)
        if record is not None and record.made_from == made_from and _answers(program.ready):
            return False
        self.stop(program.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self.log(program.name)
        log.unlink(missing_ok=True)
        pid = detach(program.argv, log=log, env=program.env)
        record = _Record(pid=pid, born=proctree.born(pid), made_from=made_from)
        self._file(program.name).write_text(json.dumps(asdict(record)), encoding="utf-8")
        self._wait(program)
        return True

    def runs(self, name: str) -> bool:
        return self._alive(name) is not None

    def stop(self, name: str, *, grace_s: float = 75.0) -> bool:
        """SIGTERM, SIGKILL after ``grace_s``, and wait for its end; False when it did not run."""
        record = self._alive(name)
        if record is not None:
            self._signal(record, signal.SIGTERM)
            deadline = time.monotonic() + grace_s
            while self._alive(name) is not None and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            for member in proctree.session(record.pid):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(member.pid, signal.SIGKILL)
        self._file(name).unlink(missing_ok=True)
        return record is not None

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _wait(self, program: Program) -> None:
        deadline = time.monotonic() + _READY_S
        while not _answers(program.ready):
            dead = self._alive(program.name) is None
            if dead or time.monotonic() > deadline:
                how = "ended at once" if dead else f"did not answer within {_READY_S:g} s"
                log = self.log(program.name)
                raise EndpointError(
                    f"{program.name} {how}:\n{log_tail(log, lines=_LOG_LINES)}",
                    remedy=f"The whole log is {log}.",
                )
            time.sleep(_POLL_S)

    def _alive(self, name: str) -> _Record | None:
        try:
            record = _Record(**json.loads(self._file(name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return record if proctree.runs(record.pid, record.born) else None

    def _signal(self, record: _Record, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _made_from(program: Program) -> str:
    said = json.dumps([list(program.argv), dict(program.env), program.mark], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, verify=tls.context(), trust_env=False).is_success
    except httpx.HTTPError:
        return False
