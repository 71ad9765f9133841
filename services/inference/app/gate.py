"""How many requests may be in the house at once, so that bodies cannot fill the memory."""

import threading


class Gate:
    """Counts requests and the bytes of their bodies. Safe to use from several threads."""

    def __init__(self, *, requests: int, size: int) -> None:
        self._lock = threading.Lock()
        self._requests = requests
        self._bytes = size

    def enter(self, size: int) -> bool:
        """Let in a request with a body of ``size`` bytes; False if the house is full."""
        with self._lock:
            if self._requests < 1 or self._bytes < size:
                return False
            self._requests -= 1
            self._bytes -= size
            return True

    def leave(self, size: int) -> None:
        """A request that was let in with ``size`` is answered."""
        with self._lock:
            self._requests += 1
            self._bytes += size
