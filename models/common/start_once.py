"""One start of a model in a process of its own: an order on standard input, its figures as JSON.

By the backend of the image that starts fastest: nothing but the runtime's library is loaded, so
that what is measured is the model's own.
"""

import ctypes
import json
import os
import sys
import time
from typing import Any

from app import card
from app.backends import onnx_capi


def main() -> None:
    """Load the model, predict, and predict again."""
    order = json.load(sys.stdin)
    described = card.card(order["description"])
    inputs = [(tuple(shape), bytes.fromhex(data)) for shape, data in order["inputs"]]
    ctypes.CDLL(order["library"])  # which takes as long for every option
    bare = _peak_bytes()
    before = _clocks()
    backend = onnx_capi.load(
        order["folder"], described, threads=order["threads"], library=order["library"]
    )
    loaded = _clocks()
    answer = backend.predict(inputs)
    first = _clocks()
    runs: list[tuple[float, float]] = []
    while len(runs) < order["runs"] and _clocks()[0] - first[0] < order["runs_s"]:
        begun = _clocks()
        backend.predict(inputs)
        ended = _clocks()
        runs.append((_ms(begun, ended, 0), _ms(begun, ended, 1)))
    figures: dict[str, Any] = {
        "load_ms": _ms(before, loaded, 0),
        "load_cpu_ms": _ms(before, loaded, 1),
        "first_ms": _ms(loaded, first, 0),
        "first_cpu_ms": _ms(loaded, first, 1),
        "warm_ms": _median([wall for wall, _ in runs]),
        "warm_cpu_ms": _median([cpu for _, cpu in runs]),
        "peak_bytes": _peak_bytes() - bare,
    }
    outputs = [[list(shape), data.hex()] for shape, data in answer]
    print(json.dumps({"figures": figures, "outputs": outputs}), flush=True)
    os._exit(0)  # the runtime's threads need not be waited for


def _clocks() -> tuple[float, float]:
    """Now, and the processor time of all threads so far, in seconds."""
    return time.perf_counter(), time.process_time()


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _ms(begun: tuple[float, float], ended: tuple[float, float], which: int) -> float:
    return (ended[which] - begun[which]) * 1000


def _peak_bytes() -> int:
    """Not ``ru_maxrss``: that begins with what the process had that started this one."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
