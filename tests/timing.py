"""How long something takes where nothing else gets in its way."""

import time
from collections.abc import Callable


def quickest(work: Callable[[], object], *, times: int = 5) -> float:
    """The shortest of a few goes, in seconds: a stall of the machine is in one of them, not all."""

    def once() -> float:
        begun = time.monotonic()
        work()
        return time.monotonic() - begun

    return min(once() for _ in range(times))
