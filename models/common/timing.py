"""What a processor can do, and how long two models take on it: in fresh processes, by turns."""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROUNDS: Final = 7
_T: Final = 2.447
"""Student's t for 95 % and ``ROUNDS`` - 1 degrees of freedom."""
_RUNS: Final = 20
_VNNI: Final = ("avx512_vnni", "avx_vnni")


@dataclass(frozen=True, kw_only=True)
class Processor:
    """What a file was made for, and timed on."""

    architecture: str
    """As ``platform.machine`` calls it: an int8 file is made for one."""
    model: str
    vnni: bool
    """Whether it multiplies 8 by 8 bits without saturating; every arm64 does."""

    @property
    def reduce_range(self) -> bool:
        """Whether weights need to stay below 7 bits."""
        return not self.vnni


def processor(cpuinfo: str, architecture: str) -> Processor:
    """From ``/proc/cpuinfo``'s text."""
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    told = {key.strip(): value.strip() for key, _, value in lines if value}
    flags = told.get("flags", "").split()
    return Processor(
        architecture=architecture,
        model=told.get("model name", "unknown"),
        vnni=architecture not in {"x86_64", "AMD64"} or any(one in flags for one in _VNNI),
    )


def this_processor() -> Processor:
    """The one that this runs on."""
    return processor(Path("/proc/cpuinfo").read_text(encoding="utf-8"), platform.machine())


def timed(models: Mapping[str, Path], one: NDArray[Any]) -> Mapping[str, Mapping[str, float]]:
    """Milliseconds to load, of the first and of a warm prediction of ``one`` [1, ...].

    Each in a process of its own, by turns; medians over the rounds, and under ``ratio`` the warm
    predictions' ratio of the second model to the first with its 95 % interval.
    """
    rounds: list[Mapping[str, Mapping[str, float]]] = []
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, one)
        file.flush()
        for count in range(ROUNDS):
            turn = list(models) if count % 2 else list(models)[::-1]
            rounds.append({name: _once(models[name], file.name) for name in turn})
    found: dict[str, Mapping[str, float]] = {
        name: {
            key: round(statistics.median(each[name][key] for each in rounds), 3)
            for key in ("load_ms", "first_ms", "warm_ms")
        }
        for name in models
    }
    first, second = models
    found["ratio"] = interval([each[second]["warm_ms"] / each[first]["warm_ms"] for each in rounds])
    return found


def interval(ratios: Sequence[float]) -> Mapping[str, float]:
    """The geometric mean of ``ROUNDS`` ratios, with Student's interval of their logarithms."""
    logs = [log(one) for one in ratios]
    middle, half = statistics.fmean(logs), _T * statistics.stdev(logs) / sqrt(len(logs))
    low, value, high = (round(exp(one), 3) for one in (middle - half, middle, middle + half))
    return {"value": value, "low": low, "high": high}


def verdict(ratio: Mapping[str, float]) -> str:
    """What int8 is worth on this processor, in words."""
    said = (
        f"{ratio['value']:.2f}x the float model's time, {ratio['low']:.2f} to {ratio['high']:.2f}"
    )
    if ratio["high"] < 1:
        return f"smaller and faster on this processor ({said})"
    if ratio["low"] > 1:
        return f"smaller, and slower on this processor ({said})"
    return f"smaller, not faster on this processor ({said}: no difference shown)"


def _once(model: Path, file: str) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED, str(model), file, str(_RUNS)],
        check=True,
        capture_output=True,
        text=True,
    )
    measured: Mapping[str, float] = json.loads(done.stdout)
    return measured


_TIMED: Final = """
import json, statistics, sys, time
import numpy, onnxruntime
model, file, runs = sys.argv[1:]
one, clock = numpy.load(file), time.perf_counter
begun = clock()
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
name, took = session.get_inputs()[0].name, []
loaded = clock()
for _ in range(int(runs) + 1):
    before = clock()
    session.run(None, {name: one})
    took.append(1e3 * (clock() - before))
warm = statistics.median(took[1:])
print(json.dumps({"load_ms": 1e3 * (loaded - begun), "first_ms": took[0], "warm_ms": warm}))
"""
