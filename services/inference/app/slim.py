"""The image that starts as fast as it can: what is on the way to the first prediction comes first.

The model loads (in C, without the interpreter's lock) while this thread imports the server and
what the model's task needs (Pillow); prometheus-client waits until the first requests are through.
"""

import os
import signal
import threading

from .errors import StartError
from .service import Service, log_error
from .startup import EXIT_CODE, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .marks import Marks
    from .settings import Settings

_METRICS_AFTER_S = 2.0


def run(settings: "Settings", marks: "Marks") -> int:
    """Serve until told to stop; the exit code."""
    service = Service(settings)
    start = Start(service, marks, pid=os.getpid(), folder=None, failed=_give_up)
    start.begin()
    from .slim_server import Server  # while the model loads

    try:
        server = Server(service, settings.host, settings.port)
    except StartError as error:
        # Not by an ordinary exit: the model is loading in C, and would lose the interpreter.
        _give_up(str(error))
    signal.signal(signal.SIGTERM, lambda _signal, _frame: server.stop())
    signal.signal(signal.SIGINT, lambda _signal, _frame: server.stop())
    from . import predictor  # noqa: F401

    start.imported()
    start.listening()
    later = threading.Timer(_METRICS_AFTER_S, service.metrics.open)
    later.daemon = True
    later.start()
    server.run()
    # The runtime's threads have nothing to save, and waiting for them takes time.
    os._exit(0)


def _give_up(fault: str) -> "NoReturn":
    log_error(fault)
    os._exit(EXIT_CODE)
