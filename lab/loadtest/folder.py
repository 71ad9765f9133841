"""The run folder of a load: ``runs/<UTC time>-load/``."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from lab import paths
from lab.load.arrivals.schedule import Schedule
from lab.load.job import SenderState
from lab.load.requests import Requests
from lab.loadtest.record import Load, PoolReading, Sitting
from lab.runfiles import Lines, find_run, new_folder, parse, read_bytes, write_whole

LOAD_FILE: Final = "load.json"
REQUESTS_FILE: Final = "requests.csv"
SCHEDULE_FILE: Final = "schedule.csv"
SUMMARY_FILE: Final = "summary.json"


class LoadFolder:
    """``load.json`` and the schedule first, then a line a request as it is answered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        again = f"Free some space, then `lab load run --resume {path.name}`."
        self._sittings = Lines(path / "sittings.jsonl", Sitting, full=again)
        self._pool = Lines(path / "pool.jsonl", PoolReading, full=again)

    @classmethod
    def create(cls, load: Load, schedule: Schedule | None, *, root: Path | None = None) -> Self:
        """Make it. Raises ``DiskFullError`` and ``BusyError``."""
        folder = cls(new_folder((root or paths.runs()) / load.id))
        write_whole(folder.path / LOAD_FILE, load.to_json())
        if schedule is not None:
            schedule.write(folder.path / SCHEDULE_FILE)
        return folder

    @classmethod
    def find(cls, name: str | Path, *, root: Path | None = None) -> Self:
        """By its id, its path, or as ``latest``. Raises ``UsageError`` naming those there are."""
        runs = root or paths.runs()
        return cls(find_run(name, root=runs, file=LOAD_FILE, what="load", make="lab load"))

    def load(self) -> Load:
        """``load.json``. Raises ``UsageError`` when it is not this version's."""
        path = self.path / LOAD_FILE
        return parse(Load, read_bytes(path), of=path)

    def schedule(self) -> Schedule | None:
        """None is a closed loop."""
        path = self.path / SCHEDULE_FILE
        return Schedule.read(path) if path.exists() else None

    @property
    def requests_path(self) -> Path:
        return self.path / REQUESTS_FILE

    def requests(self) -> Requests:
        """All that were recorded."""
        return Requests.read(self.requests_path)

    def sittings(self) -> Sequence[Sitting]:
        return self._sittings.read()

    def states(self) -> Sequence[SenderState]:
        """How each sitting of the sender ended."""
        known = {field.name for field in dataclasses.fields(SenderState)} - {"refusal"}
        return [SenderState(**{name: one.state[name] for name in known}) for one in self.sittings()]

    def append_sitting(self, sitting: Sitting) -> None:
        self._sittings.append(sitting)

    def pool(self) -> Sequence[PoolReading]:
        return self._pool.read()

    def append_pool(self, reading: PoolReading) -> None:
        self._pool.append(reading)

    def mend(self) -> None:
        """Cut off what a crash has torn, so that it can be gone on with."""
        self._sittings.mend()
        self._pool.mend()
        path = self.requests_path
        if path.exists():
            data = path.read_bytes()
            if data and not data.endswith(b"\n"):
                write_whole(path, data[: data.rfind(b"\n") + 1])
