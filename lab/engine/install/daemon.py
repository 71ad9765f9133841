"""The lab's private engine: a ``dockerd`` in a session of its own, with its own folders."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.engine.install import privilege
from lab.engine.install.locate import ping
from lab.engine.install.places import Places
from lab.engine.process import proctree
from lab.errors import CommandError, EngineError
from lab.process import detach, log_tail

_READY_S: Final = 30.0
_STOP_S: Final = 60.0
_LOCK_S: Final = 60.0
_POLL_S: Final = 0.1
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str = "dockerd") -> str | None:
    """Where a program is, also when the system's folders are not on the user's PATH."""
    return shutil.which(name) or shutil.which(name, path=_SBIN)


class Daemon:
    """One private engine.

    ``within`` is a command to run it by. Engines on one machine share a bridge, and the last to
    come or go rearranges it for all: a test runs its own in a network namespace of its own.
    """

    def __init__(self, places: Places | None = None, *, within: Sequence[str] = ()) -> None:
        self.places = places or Places.here()
        self._within = tuple(within)

    def answers(self) -> bool:
        try:
            ping(self.places.address)
        except EngineError:
            return False
        return True

    def pid(self, *, proc: Path = Path("/proc")) -> int | None:
        """Its process, or None. A process id that by now is another program's does not count."""
        try:
            number = int(self.places.pid_file.read_text())
            words = (proc / str(number) / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        ours = os.fsencode(self.places.pid_file) in words
        return number if ours and Path(os.fsdecode(words[0])).name == "dockerd" else None

    def start(self) -> None:
        """Start it unless it answers, and wait until it does.

        Safe against others who do the same at the same time. Raises ``EngineError`` with the
        last lines of its log when it does not come up within 30 s.
        """
        self.places.check()
        if self.answers():
            return
        fault = cgroup_fault()
        if fault is not None:
            raise EngineError(
                f"No container can be started here: {fault}.",
                remedy="Mount the cgroup file system writable, or set LAB_ENGINE=process.",
            )
        privilege.own_folder(self.places.run)
        privilege.own_folder(self.places.data)
        with self._alone():
            if self.answers():
                return
            started = self.pid() or self._launch()
            self._wait_ready(started)

    def stop(self) -> bool:
        """Stop it and its containers, and wait for its end. False when it did not run."""
        if not self.places.run.is_dir():
            return False
        with self._alone():
            pid = self.pid()
            if pid is None:
                return False
            _signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_S
            while self.pid() == pid and _alive(pid):
                if time.monotonic() > deadline:
                    raise EngineError(
                        f"The engine (process {pid}) did not stop within {_STOP_S:g} s.",
                        remedy=f"See {self.places.log}.",
                    )
                time.sleep(_POLL_S)
        return True

    def _launch(self) -> int:
        found = program()
        before = privilege.prefix()
        if found is None or before is None:
            raise EngineError(
                "A private engine needs dockerd and root.",
                remedy="Install the packages that `lab doctor` names.",
            )
        places = self.places
        self._forget_stale()
        command = [
            *before,
            # dockerd starts containerd, runc and iptables by name.
            *("env", f"PATH={os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}"),
            *self._within,
            found,
            *("--host", places.address),
            *("--data-root", str(places.data_root)),
            *("--exec-root", str(places.exec_root)),
            *("--pidfile", str(places.pid_file)),
            *(("--group", str(os.getegid())) if before else ()),
        ]
        try:
            return detach(command, log=places.log)
        except CommandError as error:
            raise EngineError(f"dockerd cannot be started: {error.what}") from error

    def _forget_stale(self) -> None:
        """Remove process ids of a former life: dockerd would believe them, even when the numbers
        now belong to other programs, refuse to start and wait for their end.
        """
        containerd = self.places.exec_root / "containerd" / "containerd.pid"
        for file, name in ((self.places.pid_file, b"dockerd"), (containerd, b"containerd")):
            try:
                number = int(file.read_text())
                alive = name in Path(f"/proc/{number}/comm").read_bytes()
            except (OSError, ValueError):
                alive = False
            if not alive or file == self.places.pid_file:
                try:
                    file.unlink(missing_ok=True)
                except PermissionError:
                    privilege.as_root(["rm", "-f", file])

    def _wait_ready(self, pid: int) -> None:
        deadline = time.monotonic() + _READY_S
        while not self.answers():
            gone = not _alive(pid)
            if gone or time.monotonic() > deadline:
                how = "ended at once" if gone else f"did not answer within {_READY_S:g} s"
                raise EngineError(
                    f"The private engine {how}. Its last words:\n{log_tail(self.places.log)}",
                    remedy=f"The whole log is {self.places.log}.",
                )
            time.sleep(_POLL_S)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            raise EngineError(
                f"{self.places.run} belongs to another user's engine.",
                remedy="Run as that user, or set LAB_ENGINE_ROOT to a folder of your own.",
            ) from error
        try:
            deadline = time.monotonic() + _LOCK_S
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise EngineError(
                        "Another command has been starting or stopping the engine for a minute.",
                        remedy="Stop that command, then run this one again.",
                    )
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(descriptor)


def cgroup_fault(*, root: Path = Path("/sys/fs/cgroup")) -> str | None:
    """Why no container can get a cgroup, or None: it is not mounted, or is read-only."""
    unified = (root / "cgroup.controllers").exists()
    if not unified and not (root / "memory").is_dir():
        return f"no cgroup file system with a memory controller is mounted at {root}"
    tree = root if unified else root / "memory"
    read_only = bool(os.statvfs(tree).f_flag & os.ST_RDONLY)
    return f"{tree} is read-only" if read_only else None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: int) -> bool:
    process = proctree.read(pid)
    return process is not None and process.alive


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except PermissionError:
        privilege.as_root(["kill", f"-{number}", str(pid)])
    except ProcessLookupError:
        pass
