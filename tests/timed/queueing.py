"""Queues with one server: what theory says of their waiting times, and a real one."""

import math
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SOURCE = Path(__file__).parent / "queue.c"


def lindley(arrivals: Floats, services: Floats) -> Floats:
    """How long each request waits: ``max(0, wait + service - gap)`` of the one before it.

    Source: Lindley, *The theory of queues with a single server* (1952).
    """
    steps = services[:-1] - np.diff(arrivals)
    walk = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(walk - np.minimum.accumulate(walk))


def mean_wait(rate: float, services: Floats) -> float:
    """Of Poisson arrivals: Pollaczek and Khinchine's formula."""
    use = rate * float(services.mean())
    return rate * float((services**2).mean()) / (2 * (1 - use))


def md1_wait(q: float, *, rate: float, service_s: float) -> float:
    """The q-quantile of the wait in M/D/1, whose distribution is Erlang's (1909)."""
    use = rate * service_s

    def below(x: float) -> float:
        terms = (
            (rate * (k * service_s - x)) ** k
            / math.factorial(k)
            * math.exp(rate * (x - k * service_s))
            for k in range(int(x / service_s) + 1)
        )
        return (1 - use) * math.fsum(terms)

    return _inverted(below, q, high=30 * service_s)


def mm1_wait(q: float, *, rate: float, service_s: float) -> float:
    """The q-quantile of the wait in M/M/1: exponential but for those who do not wait."""
    use = rate * service_s
    return max(0.0, math.log(use / (1 - q)) * service_s / (1 - use))


def _inverted(below: Callable[[float], float], q: float, *, high: float) -> float:
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < q else (low, middle)
    return high


@dataclass(kw_only=True)
class Queue:
    """A server that is up; what its services took is known once it is down."""

    port: int
    took_s: Floats


@contextmanager
def serving(services: Sequence[float] | Floats, folder: Path) -> Iterator[Queue]:
    """One place, a queue before it, and these service times, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    program, times, out = folder / "queue", folder / "times", folder / "took"
    times.write_bytes(np.asarray(services, dtype=np.float64).tobytes())
    compiled(_SOURCE, program)
    with subprocess.Popen([program, times, out], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        found = Queue(port=int(child.stdout.readline()), took_s=np.empty(0))
        try:
            yield found
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait()
    found.took_s = np.frombuffer(out.read_bytes(), dtype=np.float64)


def compiled(source: Path, program: Path) -> None:
    """Skips where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here, and an interpreter would not keep its times")
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)
