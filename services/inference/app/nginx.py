"""NGINX in front of Gunicorn: process 1 starts both and stops both, in the right order.

NGINX is told to finish first, while Gunicorn still answers it; then Gunicorn is told to stop.
"""

import os
import shutil
import signal
import time

from .errors import StartError
from .service import log_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .marks import Marks
    from .settings import Settings

_GIVE_UP_S = 28
"""After SIGTERM; SageMaker kills everything after 30 s, and then nobody would clean up."""

_STOPPED = (0, -signal.SIGQUIT, -signal.SIGTERM)
"""How those end who are told to: by the signal itself if it comes before they listen to it."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def configuration(settings: "Settings", folder: str) -> str:
    """NGINX's configuration file, filled in."""
    template = f"{os.path.dirname(__file__)}/nginx.conf"  # noqa: PTH120
    with open(template, encoding="utf-8") as file:  # noqa: PTH123
        text = file.read()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    for name, value in {
        # Started by root, its workers would become nobody and could not reach the socket.
        "USER": "user root root;" if os.geteuid() == 0 else "",
        "FOLDER": folder,
        "SOCKET": f"{folder}/gunicorn.sock",
        "ADDRESS": f"{host}:{settings.port}",
        "BODY": str(settings.max_body_bytes),
        "TIMEOUT": str(max(settings.timeout_s, 60) + 5),
        "LEVEL": {"warning": "error", "critical": "crit"}.get(
            settings.log_level, settings.log_level
        ),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


def run(settings: "Settings", marks: "Marks") -> int:
    """Serve until told to stop; the exit code."""
    binary = shutil.which("nginx", path=os.environ.get("PATH", _PATH) + os.pathsep + _PATH)
    if binary is None:
        raise StartError("LAB_NGINX is set, but this image has no nginx.")
    folder = f"{settings.temporary}/nginx-{os.getpid()}-{time.time_ns():x}"
    os.makedirs(folder, mode=0o700)  # noqa: PTH103
    parent = os.getpid()
    try:
        return _Pair(settings, marks, binary, folder).run()
    finally:
        if os.getpid() == parent:
            shutil.rmtree(folder, ignore_errors=True)


class _Pair:
    """The two children, and what their ends mean."""

    def __init__(self, settings: "Settings", marks: "Marks", binary: str, folder: str) -> None:
        self._settings = settings
        self._marks = marks
        self._stopping = False
        path = f"{folder}/nginx.conf"
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(configuration(settings, folder))
        self._nginx_command = (binary, "-e", "stderr", "-c", path)
        self._bind = f"unix:{folder}/gunicorn.sock"
        self._gunicorn = self._nginx = 0

    def run(self) -> int:
        """Start both, wait for both; the exit code."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGALRM, self._give_up)
        self._gunicorn = self._fork_gunicorn()
        self._nginx = os.posix_spawn(
            self._nginx_command[0],
            self._nginx_command,
            os.environ,
            setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGALRM),
        )
        code = 0
        while self._gunicorn or self._nginx:
            pid, status = os.waitpid(-1, 0)
            ended = os.waitstatus_to_exitcode(status)
            if pid == self._nginx:
                name, self._nginx, other = "NGINX", 0, self._gunicorn
            elif pid == self._gunicorn:
                name, self._gunicorn, other = "Gunicorn", 0, self._nginx
            else:
                continue  # an orphan that process 1 inherited
            if not self._stopping:  # nobody asked it to: the other is of no use alone
                log_error(f"{name} ended with code {ended}.")
                self._stopping = True
                code = ended if ended > 0 else 1
            elif ended not in _STOPPED:
                code = code or 1
            self._signal(other, signal.SIGTERM)
        return code

    def _fork_gunicorn(self) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.signal(signal.SIGTERM, lambda _signal, _frame: os._exit(0))
            from . import workers  # only the child needs it

            code = workers.run(self._settings, self._marks, bind=self._bind, pid=parent)
        except StartError as error:
            log_error(str(error))
        finally:
            os._exit(code)

    def _stop(self, _signal: int, _frame: object) -> None:
        self._stopping = True
        signal.alarm(_GIVE_UP_S)
        self._signal(self._nginx or self._gunicorn, signal.SIGQUIT if self._nginx else _signal)

    def _give_up(self, _signal: int, _frame: object) -> None:
        log_error("Requests in flight did not end in time.")
        for pid in (self._nginx, self._gunicorn):
            self._signal(pid, signal.SIGKILL)

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        if pid:
            os.kill(pid, number)
