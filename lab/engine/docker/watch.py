"""Notice that a container which others depend on has gone, while they wait for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from docker.errors import NotFound

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.errors import EngineError

_EVERY_S: Final = 1.0


@contextmanager
def watched(
    engine: DockerEngine, name: str, *, on_gone: Callable[[], None]
) -> Iterator[threading.Event]:
    """Look once a second whether a container runs; when it does not, set the event that the block
    is given, and call ``on_gone``.

    A container that is killed may not get to close its connections, and whoever reads from one
    then waits for minutes.
    """
    gone = threading.Event()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_EVERY_S):
            if not _runs(engine, name):
                gone.set()
                on_gone()
                return

    thread = threading.Thread(target=look, name=f"watch {name}", daemon=True)
    thread.start()
    try:
        yield gone
    finally:
        ended.set()
        thread.join()


def _runs(engine: DockerEngine, name: str) -> bool:
    try:
        with translated():
            return bool(engine.client.inspect_container(name)["State"]["Running"])
    except EngineError as error:
        # Only its absence counts: an engine that is slow to answer says nothing about it.
        return not isinstance(error.__cause__, NotFound)
