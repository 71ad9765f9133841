"""Gunicorn with Uvicorn workers, in this process: a signal to process 1 arrives at Gunicorn."""

import asyncio
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.workers.base import Worker  # type: ignore[import-untyped]

from .service import Service, log_error
from .startup import EXIT_CODE, Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from .marks import Marks
    from .settings import Settings

_DRAIN_S = 25
"""How long requests in flight get after SIGTERM; SageMaker kills after 30 s."""

_KEEP_ALIVE_S = 75
"""Longer than any usual client or proxy keeps an idle connection: it is they who close it."""

_METRICS_AFTER_S = 2.0
"""When a lone worker brings in prometheus-client: once the first requests are through."""


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """What Gunicorn needs to know."""

    def __init__(
        self, settings: "Settings", marks: "Marks", *, bind: str, folder: str, pid: int
    ) -> None:
        self.settings = settings
        self.marks = marks
        self.folder = folder
        self.bind = bind
        self.pid = pid
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn's settings; its command line and files are never read."""
        settings = self.settings
        for name, value in {
            "bind": [self.bind],
            "workers": settings.workers,
            "worker_class": UvicornWorker,
            "timeout": settings.timeout_s,
            "graceful_timeout": _DRAIN_S + 2,
            "keepalive": _KEEP_ALIVE_S,
            "loglevel": settings.log_level,
            "worker_tmp_dir": self.folder,
            "control_socket_disable": True,
            "proc_name": "inference",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> "Callable[..., Any]":
        """Gunicorn asks each worker for its application: there is nothing to do here."""
        return lambda: None


class UvicornWorker(Worker):  # type: ignore[misc]
    """Uvicorn under Gunicorn's eyes: Uvicorn's own module for that is deprecated."""

    app: Application

    def init_signals(self) -> None:
        """Leave signals to Uvicorn: before it comes and after it drained, they end the process."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)

    def init_process(self) -> None:
        """Start to load the model before anything else."""
        self.init_signals()  # the parent's handlers, inherited, would swallow SIGTERM
        self._service = Service(self.app.settings)
        self._start = Start(
            self._service,
            self.app.marks,
            pid=self.app.pid,
            folder=self.app.folder,
            failed=_give_up,
        )
        self._start.begin()
        super().init_process()

    def run(self) -> None:
        import uvicorn  # while the model loads

        from . import predictor, server  # noqa: F401

        settings = self.app.settings
        if settings.workers > 1:
            self._service.metrics.open()
        self._start.imported()
        # Among several, a worker that cannot predict yet must not take connections: those that
        # can have told the world already that the container is ready.
        while settings.workers > 1 and not self._start.loaded.wait(1):
            self.notify()
        pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="predict")
        config = uvicorn.Config(
            server.create_app(self._service, pool),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_notify=1,
            callback_notify=self._beat,
        )
        service, start = self._service, self._start

        class Server(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets=sockets)
                start.listening()
                loop = asyncio.get_running_loop()
                loop.call_later(_METRICS_AFTER_S, loop.run_in_executor, None, service.metrics.open)

        # Ends by raising the signal that stopped it once more, so with ``_leave``.
        Server(config).run(sockets=[socket.sock for socket in self.sockets])

    async def _beat(self) -> None:
        self.notify()


def run(
    settings: "Settings", marks: "Marks", *, bind: str | None = None, pid: int | None = None
) -> int:
    """Serve until told to stop; the exit code.

    ``bind`` is an address for Gunicorn, the settings' port if None; ``pid`` is the process that
    the container began with, this one if None.
    """
    folder = f"{settings.temporary}/inference-{os.getpid()}-{time.time_ns():x}"
    os.makedirs(f"{folder}/metrics", mode=0o700)  # noqa: PTH103
    if settings.workers > 1:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{folder}/metrics"
    application = Application(
        settings,
        marks,
        bind=bind or f"{settings.host}:{settings.port}",
        folder=folder,
        pid=pid or os.getpid(),
    )
    master = os.getpid()
    try:
        application.run()
    except SystemExit as ended:
        code = ended.code
        return code if isinstance(code, int) else 1
    finally:
        if os.getpid() == master:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _leave(_signal: int, _frame: object) -> None:
    os._exit(0)


def _give_up(fault: str) -> None:
    log_error(fault)
    os._exit(EXIT_CODE)
