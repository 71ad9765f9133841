"""One model, loaded a second time where cores are contended for: alone a prediction is to use all
cores, in a crowd one each.

A prediction that is spread over the cores waits for its slowest part some thirty times. Alone that
is worth it, and the helping threads spin in between: to wake them each time would take longer than
some of the parts. With a prediction for every core there is nothing to be won by spreading, and
spinning takes the cores from the others: on two cores single-threaded runs answer a tenth more.
"""

import threading

from .service import log_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .backends import Backend


class Crowd:
    """Counts requests that are being worked on (``with crowd:``) and says what to run one on."""

    def __init__(
        self, backend: "Backend", *, cores: int = 1, another: "Callable[[], Backend] | None" = None
    ) -> None:
        """``another`` loads the single-threaded one, at the first crowd; None is never."""
        self._backend = backend
        self._cores = cores
        self._another = another
        self._single: Backend | None = None
        self._inside = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1

    @property
    def backend(self) -> "Backend":
        """What a prediction that begins now is to be run on."""
        if self._inside < self._cores:
            return self._backend
        if self._another is not None:
            with self._lock:
                another, self._another = self._another, None
            if another is not None:
                # While it loads, requests are served as before.
                threading.Thread(target=self._load, args=(another,), daemon=True).start()
        return self._single or self._backend

    def _load(self, another: "Callable[[], Backend]") -> None:
        try:
            self._single = another()
        except Exception as error:  # noqa: BLE001  # the one there is serves as well, only slower
            log_error(f"The model cannot be loaded twice: {type(error).__name__}: {error}")
