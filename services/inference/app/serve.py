"""``serve``: reads the knobs and hands over to the HTTP server that this image was built with."""

import os
import signal
import sys

from . import settings as knobs
from .errors import StartError
from .service import log_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from .marks import Marks

_USAGE = "usage: serve\n\nStarts the inference server; its knobs are environment variables."
_EXIT_USAGE = 2
_EXIT_START = 3


def main(arguments: "Sequence[str]", marks: "Marks") -> int:
    """Serve until told to stop; the exit code."""
    if list(arguments) != ["serve"]:
        print(_USAGE, file=sys.stderr)
        return _EXIT_USAGE
    # Process 1 ignores signals that it does not handle: without this, a container that is
    # stopped while it starts would have to be killed.
    signal.signal(signal.SIGTERM, _stop_at_once)
    try:
        settings = knobs.Settings(os.environ)
        if settings.http == "slim":
            from . import slim  # only what this image has

            return slim.run(settings, marks)
        if settings.nginx:
            from . import nginx

            return nginx.run(settings, marks)
        from . import workers

        return workers.run(settings, marks)
    except StartError as error:
        log_error(str(error))
        return _EXIT_START


def _stop_at_once(_signal: int, _frame: "FrameType | None") -> None:
    os._exit(0)
