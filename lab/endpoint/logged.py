"""What was not foreseen is logged, and whatever must go on goes on."""

from logging import Logger


class logged:  # noqa: N801 - a block, as those of contextlib
    """Log whatever error ends the block, with its traceback, and swallow it.

    For loops and tasks that nobody awaits: a bug in one round must not end all others.
    """

    def __init__(self, log: Logger, message: str, *args: object) -> None:
        self._log = log
        self._message = message
        self._args = args

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Ctrl-C, a cancellation and the like pass."""
        if not isinstance(error, Exception):
            return False
        self._log.error(self._message, *self._args, exc_info=error)
        return True
