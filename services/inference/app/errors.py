"""What can go wrong on purpose: a request that gets an error, a service that cannot start."""


class RequestError(Exception):
    """A request that is answered with ``status`` and ``{"error": reason}``."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class StartError(Exception):
    """The service cannot start; the message says why, in one line, to whoever reads the log."""
