"""A process that plays a container."""

import os
import shutil
import signal as signals
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lab.engine.api import (
    HEAD_BYTES,
    ContainerLoad,
    ContainerState,
    EngineEvent,
    Usage,
    files_below,
)
from lab.engine.process import memcg, proctree
from lab.engine.process.logs import FileLogStream
from lab.errors import CommandError, EngineError
from lab.host import memory_bytes
from lab.process import Process, run, spawn

_POLL_S = 0.02
_SIGNALLED = 128
_KILL_S = 10.0


Starter = Callable[[], Process]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a process beyond the life of the command that made it."""

    id: str
    name: str
    labels: Mapping[str, str]
    argv: Sequence[str]
    env: Mapping[str, str]
    port: int
    cpus: int | None
    memory_bytes: int | None
    created_at_ns: int
    owner: int
    """The lab's process."""
    owner_born: int
    pid: int | None = None
    born: int = 0
    started_at_ns: int | None = None
    cgroup: Path | None = None
    log_begin: int = 0
    """Where in its log the newest start begins."""

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        part = folder / "container.part"
        part.write_bytes(_RECORD.dump_json(self))
        part.rename(folder / "container.json")

    @classmethod
    def load(cls, folder: Path) -> "Record | None":
        """Read it; None when there is none, or one of another version of the lab."""
        try:
            return _RECORD.validate_json((folder / "container.json").read_bytes())
        except (OSError, ValidationError):
            return None


_RECORD = TypeAdapter(Record)


class ProcessContainer:
    """One process and those it starts, in a session of their own."""

    def __init__(
        self, folder: Path, record: Record, *, start: Callable[[Starter], Process]
    ) -> None:
        """``start`` runs a starter in the thread whose end ends the process."""
        self.id = record.id
        self.name = record.name
        self.labels = record.labels
        self._folder = folder
        self._record = record
        self._run_in_thread = start
        self._child: Process | None = None
        self._group = memcg.at(record.cgroup) if record.cgroup else None
        self._events = [EngineEvent(action="create", at_ns=record.created_at_ns)]
        self._exit_code: int | None = None

    def start(self) -> None:
        """Start the process; nothing happens when it runs."""
        if self._running():
            return
        self._forget_group()
        self._group = memcg.make(self.id, self._record.memory_bytes)
        if self._group is None and self._record.memory_bytes is not None:
            raise EngineError(f"{self.name}: its memory limit cannot be set any more.")
        begun, written = time.time_ns(), self._written()
        try:
            self._child = self._run_in_thread(self._spawn)
        except CommandError as error:
            raise EngineError(f"{self.name} cannot be started: {error.what}") from error
        self._exit_code = None
        self._record = replace(
            self._record,
            pid=self._child.pid,
            born=proctree.born(self._child.pid),
            started_at_ns=begun,
            cgroup=self._group.folder if self._group else None,
            log_begin=written,
        )
        self._record.save(self._folder)
        self._events.append(EngineEvent(action="start", at_ns=begun))

    def stop(self, *, grace_s: float = 30.0) -> None:
        """SIGTERM to the first process, as an engine does; SIGKILL to all after ``grace_s``."""
        self.kill("TERM")
        self._wait(grace_s)
        self._kill_all()

    def kill(self, signal: str = "KILL") -> None:
        pid = self._record.pid
        if pid is not None and self._running():
            with suppress(ProcessLookupError):
                os.kill(pid, signals.Signals[f"SIG{signal.removeprefix('SIG')}"])

    def remove(self) -> None:
        self._kill_all()
        self._forget_group()
        shutil.rmtree(self._folder, ignore_errors=True)

    def resize(self, *, memory_bytes: int | None, cpus: float | None) -> None:
        """A process keeps what it was started with."""
        del memory_bytes, cpus
        raise EngineError(
            f"{self.name} is a process: its limits cannot be changed while it runs.",
            remedy="Start it again at the other size.",
        )

    def address(self, port: int | None = None) -> tuple[str, int]:
        """Where it listens: every port of the spec is the one chosen for it."""
        del port
        return "127.0.0.1", self._record.port

    def state(self) -> ContainerState:
        running = self._running()
        return ContainerState(
            running=running,
            pid=self._record.pid if running else None,
            started_at_ns=self._record.started_at_ns,
            exit_code=None if running else self._exit_code,
            oom_killed=self._group is not None and self._group.oom_killed(),
        )

    def logs(self, *, tail: int = 50, since_ns: int = 0) -> str:
        """Of one that was started more than once, ``since_ns`` leaves out the starts before."""
        try:
            raw = self._log.read_bytes()
        except FileNotFoundError:
            return ""
        text = raw[self._record.log_begin if since_ns else 0 :].decode(errors="replace")
        return "".join(text.splitlines(keepends=True)[-tail:])

    def follow_logs(self, *, since_ns: int = 0) -> FileLogStream:
        """Both its streams until it ends; a line that is there already is stamped as it is read.

        A process keeps no stamps: ``since_ns`` is 0 for the whole, else this start's, or the end.
        """
        begin = 0
        if since_ns:
            fresh = since_ns <= (self._record.started_at_ns or 0)
            begin = self._record.log_begin if fresh else self._written()
        return FileLogStream(self._log, runs=self._running, begin=begin)

    def load(self) -> ContainerLoad | None:
        """What its session uses now, from ``/proc``."""
        if self._record.pid is None or not self._running():
            return None
        limit = self._record.memory_bytes or memory_bytes().get("MemTotal", 0)
        found = proctree.load(self._record.pid, memory_limit_bytes=limit)
        kills = self._group.oom_kills() if self._group else 0
        return None if found is None else replace(found, oom_kills=kills)

    def usage(self) -> Usage:
        """What its session used; the peak is the cgroup's where there is one."""
        if self._record.pid is None or not self._running():
            return Usage()
        used = proctree.usage(self._record.pid)
        peak = self._group.peak_bytes() if self._group else None
        return used if peak is None else replace(used, peak_memory_bytes=peak)

    def events(self, since_ns: int) -> Sequence[EngineEvent]:
        """``create``, ``start`` and ``die`` as this command saw them."""
        self._running()
        return [event for event in self._events if event.at_ns >= since_ns]

    def execute(self, command: Sequence[str]) -> tuple[int, str]:
        try:
            done = run(command, env=self._record.env, cwd=self._folder, check=False)
        except CommandError as error:
            raise EngineError(f"{self.name}: {error.what}") from error
        return done.code, done.stdout + done.stderr

    def mounted(self, folder: str) -> Sequence[str] | None:
        """The model's files: a process finds them where it is told, whatever ``folder`` is."""
        del folder
        source = self._record.env.get("LAB_MODEL_DIR")
        return files_below(Path(source)) if source else ()

    def head(self, path: str) -> bytes:
        try:
            with (self._folder / path).open("rb") as file:
                return file.read(HEAD_BYTES)
        except OSError as error:
            raise EngineError(f"{self.name}: {path} cannot be read: {error}.") from error

    def disk_free(self) -> int | None:
        return shutil.disk_usage(self._folder).free

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _written(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _spawn(self) -> Process:
        """Start it; called in the starter's thread, whose CPUs the process inherits."""
        command = list(self._record.argv)
        setpriv = shutil.which("setpriv")
        if setpriv is not None:
            command = [setpriv, "--pdeathsig", "TERM", "--", *command]
        if self._group is not None:
            join = 'echo $$ >"$0" && exec "$@"'
            command = ["sh", "-c", join, str(self._group.members), *command]
        with _confined(self._record.cpus):
            return spawn(
                command, log=self._log, env=self._record.env, cwd=self._folder, clean_env=True
            )

    def _running(self) -> bool:
        """Whether it runs; an ended child is waited for, so that no zombie stays."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return True
            if self._exit_code is None:
                self._exit_code = code if code >= 0 else _SIGNALLED - code
                self._events.append(EngineEvent(action="die", at_ns=time.time_ns()))
            return False
        pid = self._record.pid
        return pid is not None and proctree.runs(pid, self._record.born)

    def _wait(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self._running():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _kill_all(self) -> None:
        """Kill every process of the session, the first one's children included."""
        pid = self._record.pid
        if pid is None:
            return
        leader = proctree.read(pid)
        if leader is not None and leader.born != self._record.born:
            return  # the number belongs to another program by now
        if self._running():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signals.SIGKILL)
        deadline = time.monotonic() + _KILL_S
        while (members := proctree.session(pid)) and time.monotonic() < deadline:
            for member in members:
                with suppress(ProcessLookupError):
                    os.kill(member.pid, signals.SIGKILL)
            self._wait(_POLL_S)
            time.sleep(_POLL_S / 2)
        self._wait(_POLL_S)

    def _forget_group(self) -> None:
        if self._group is not None:
            self._group.remove()
            self._group = None


@contextmanager
def _confined(cpus: int | None) -> Iterator[None]:
    """Leave this thread only so many CPUs, the last ones; what it starts inherits them."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[-cpus:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)
