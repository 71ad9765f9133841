"""Asking the engine, while a container starts, whether it still runs."""

import threading
from typing import Final, Self

from lab.engine.api import Container
from lab.errors import EngineError
from lab.start.boot import BootWatch

POLL_S: Final = 0.25
"""How often the engine is asked whether the container still runs: gently, since each question
takes the engine a millisecond of processor time that the container could have used."""


class StartWatch:
    """Asks in a thread of its own, from entering the block to ``stop`` or the block's end."""

    def __init__(self, container: Container, boot: BootWatch | None = None) -> None:
        """``boot`` looks at what runs in it as often, and once more at ``stop``."""
        self._container = container
        self._boot = boot
        self._done = threading.Event()
        self._gone = False
        self._thread = threading.Thread(target=self._look, daemon=True, name="watch")

    def gone(self) -> bool:
        return self._gone

    def stop(self) -> None:
        """Ask no more, without waiting for a question that is under way."""
        self._done.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(POLL_S):
            try:
                state = self._container.state()
                if not state.running:
                    self._gone = True
                elif self._boot is not None and not self._done.is_set():
                    self._boot.look(state.pid)
            except EngineError:
                # The engine is gone or the container removed: whoever asks next will say so.
                self._gone = True
            if self._gone:
                return
        if self._boot is not None:
            self._boot.count()
