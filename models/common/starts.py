"""How a model starts quickest on this processor: every way measured, and one of them chosen.

A way is a form of the file and options of the runtime's session. Each start is a process of its
own; all ways take turns, in an order drawn anew for each round, so that no hour of the machine is
one way's alone. A figure is the least of all rounds: the rest is what other work added. One thread
computes: where several do, they wait for each other in a loop, and that counts as work.

The form of the file must not change with the weather: it is chosen by processor time and memory,
by margins far wider than what differs from build to build.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from app.backends.options import LEVEL, MAPPED
from app.processor import family
from models.common.built import say
from models.common.mapped import GRAPH, files, is_quantised, save_ahead, save_mapped

PLAIN: Final = "as is"
_MB: Final = 1_000_000
_ROUNDS: Final = (3, 6)
"""At least, and at most where they are quick."""
_BUDGET_S: Final = 12.0
_RUNS: Final = 15
_RUNS_S: Final = 0.4
"""Warm predictions of a process: so many, or for so long."""
_SEED: Final = 17
_ORT: Final = {
    "session.load_model_format": "ORT",
    MAPPED: "1",
    "session.use_ort_model_bytes_for_initializers": "1",
}

CLEARLY: Final = 0.8
"""A way that loads with less than this share of another's processor time is clearly quicker."""
SMALLER: Final = 0.9
"""The same of peak memory, which varies less."""
WORSE: Final = 1.15
"""A start or a warm prediction that computes more than this many times as long is clearly worse."""
HEAVIER: Final = 1.05
"""The same of peak memory."""
_LEAST_MS: Final = 2.0
_LEAST_BYTES: Final = _MB
"""A gain below both is none."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to start."""

    name: str
    form: str
    """The file: ``plain``, ``mapped``, ``ahead``, ``family``, ``ort`` or ``ort-family``."""
    session: Mapping[str, str] = field(default_factory=dict)
    portable: bool = True
    """The file runs on every processor of the architecture, whatever it was made on."""
    most_bytes: int | None = None
    """It is not tried with a model that is larger: to measure it would take too long."""


_SMALL: Final = 40 * _MB
_LARGE: Final = 200 * _MB
WAYS: Final = (
    Way(name=PLAIN, form="plain"),
    Way(name="mapped", form="mapped"),
    Way(
        name="mapped, not pre-packed",
        form="mapped",
        session={"session.disable_prepacking": "1"},
    ),
    Way(
        name="mapped, optimised ahead",
        form="ahead",
        session={LEVEL: "layout"},
        most_bytes=_LARGE,
    ),
    Way(
        name="mapped, optimised ahead, no layout",
        form="ahead",
        session={LEVEL: "none"},
        most_bytes=_SMALL,
    ),
    Way(name="mapped, basic", form="mapped", session={LEVEL: "basic"}, most_bytes=_SMALL),
    Way(name="mapped, not optimised", form="mapped", session={LEVEL: "none"}, most_bytes=_SMALL),
    Way(name="ORT format", form="ort", session=_ORT, most_bytes=_SMALL),
    Way(
        name="mapped, for this family",
        form="family",
        session={LEVEL: "none"},
        portable=False,
        most_bytes=_LARGE,
    ),
    Way(
        name="ORT format, for this family",
        form="ort-family",
        session=_ORT,
        portable=False,
        most_bytes=_SMALL,
    ),
)
"""Those that change less come first: a later one must be clearly better than the best before it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one way came to."""

    name: str
    portable: bool
    same: bool
    """Its answers are the plain model's."""
    bytes: int
    """Of the model's files."""
    load_ms: float
    load_cpu_ms: float
    first_ms: float
    first_cpu_ms: float
    warm_ms: float
    """The median of a process's warm predictions."""
    warm_cpu_ms: float
    peak_bytes: int
    """Of a process that loads and predicts, beyond one that has only loaded the runtime."""

    @property
    def start_cpu_ms(self) -> float:
        """What a cold start computes."""
        return self.load_cpu_ms + self.first_cpu_ms


@dataclass(frozen=True, kw_only=True)
class Starts:
    """The figures, and what follows from them."""

    processor: str
    family: str
    rounds: int
    rows: Sequence[Row]
    chosen: str
    why: str

    def card(self) -> Mapping[str, Any]:
        """As the card says it."""
        return asdict(self)

    @property
    def peak_bytes(self) -> int:
        """Of the chosen way."""
        return next(row.peak_bytes for row in self.rows if row.name == self.chosen)


def settle(
    folder: Path,
    description: Mapping[str, Any],
    inputs: Sequence[tuple[tuple[int, ...], bytes]],
    *,
    tolerance: float,
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Measure, and leave ``model.onnx`` in ``folder`` in the form that was chosen.

    What ``model.json`` gets (``session``), and what the card does (``starts``, ``memory``).
    """
    with TemporaryDirectory(prefix="starts-", dir=folder) as place:
        found = measure(folder, Path(place), description, inputs, tolerance=tolerance)
        way = next(way for way in WAYS if way.name == found.chosen)
        if way.form != "plain":
            for file in files(Path(place) / way.form):
                shutil.move(file, folder / file.name)
    say(f"start: {found.chosen} ({found.why})")
    session = {"session": {"any": dict(way.session)}} if way.session else {}
    return session, {"memory": {"peak_bytes": found.peak_bytes}, "starts": found.card()}


def measure(
    folder: Path,
    place: Path,
    description: Mapping[str, Any],
    inputs: Sequence[tuple[tuple[int, ...], bytes]],
    *,
    tolerance: float,
) -> Starts:
    """Every way's row for the ``model.onnx`` in ``folder``; other forms of it go to ``place``."""
    ways = list(_tried(folder, place))
    order = {
        "inputs": [[list(shape), bytes(data).hex()] for shape, data in inputs],
        "threads": 1,
        "library": str(_library()),
        "runs": _RUNS,
        "runs_s": _RUNS_S,
    }
    results: dict[str, list[Mapping[str, Any]]] = {way.name: [] for way in ways}
    turns = random.Random(_SEED)  # an order, no secret
    begun = time.monotonic()
    rounds = 0
    while rounds < _ROUNDS[0] or (
        rounds < _ROUNDS[1] and time.monotonic() - begun < _BUDGET_S * rounds / (rounds + 1)
    ):
        for way in turns.sample(ways, len(ways)):
            say(f"starting: {way.name}, round {rounds + 1}")
            own = place / way.form if way.form != "plain" else folder
            asked = {**description, "session": {"any": dict(way.session)}}
            result = _start({**order, "folder": str(own), "description": asked})
            if result is not None:
                results[way.name].append(result)
        rounds += 1
    plain = results[PLAIN][0]["outputs"]
    dtypes = [one["dtype"] for one in description["outputs"]]
    rows = [
        _row(
            way,
            results[way.name],
            size=_size(folder if way.form == "plain" else place / way.form),
            same=alike(results[way.name][0]["outputs"], plain, dtypes, tolerance),
        )
        for way in ways
        if len(results[way.name]) == rounds
    ]
    chosen, why = choose(rows)
    return Starts(
        processor=_processor(),
        family=family(),
        rounds=rounds,
        rows=rows,
        chosen=chosen,
        why=why,
    )


def choose(rows: Sequence[Row]) -> tuple[str, str]:
    """The way that the archive takes, and why.

    The first row's, unless a later one's answers are the same, its file is for any processor, it
    is nowhere clearly worse, and loads clearly quicker or in clearly less memory.
    """
    best, *others = rows
    for row in others:
        if row.same and row.portable and _better(row, best):
            best = row
    plain = rows[0]
    if best is plain:
        return best.name, "no other way for any processor is clearly better and nowhere worse"
    return best.name, (
        f"loads with {best.load_cpu_ms:.0f} ms of a processor instead of {plain.load_cpu_ms:.0f} "
        f"and in {best.peak_bytes / _MB:.0f} MB instead of {plain.peak_bytes / _MB:.0f}; the first "
        f"prediction takes {best.first_cpu_ms:.0f} and {plain.first_cpu_ms:.0f} ms, a warm one "
        f"{best.warm_cpu_ms:.1f} and {plain.warm_cpu_ms:.1f}"
    )


def _better(one: Row, other: Row) -> bool:
    if (
        one.start_cpu_ms > other.start_cpu_ms * WORSE
        or one.warm_cpu_ms > other.warm_cpu_ms * WORSE
        or one.peak_bytes > other.peak_bytes * HEAVIER
    ):
        return False
    quicker = one.load_cpu_ms <= other.load_cpu_ms * CLEARLY
    lighter = one.peak_bytes <= other.peak_bytes * SMALLER
    return (quicker and other.load_cpu_ms - one.load_cpu_ms >= _LEAST_MS) or (
        lighter and other.peak_bytes - one.peak_bytes >= _LEAST_BYTES
    )


def _tried(folder: Path, place: Path) -> Iterator[Way]:
    """The ways that a model of this size is measured with, their files made."""
    size, failed = _size(folder), set[str]()
    for way in WAYS:
        if way.most_bytes is not None and size > way.most_bytes:
            continue
        own = place / way.form
        if way.form not in {"plain", *failed} and not own.exists():
            own.mkdir(parents=True)
            try:
                made = (
                    save_mapped(folder / GRAPH, own)
                    if way.form == "mapped"
                    else save_ahead(folder / GRAPH, own, way.form)
                )
            except Exception as error:  # noqa: BLE001  # the runtime's errors share no base class
                say(f"note: no start {way.name!r}: {' '.join(str(error).split())[:200]}")
                made = False
            if not made:
                failed.add(way.form)
        if way.form in failed:
            continue
        if way.form == "ahead" and is_quantised(folder / GRAPH):
            # What becomes of a quantised graph depends on the processor.
            yield Way(name=way.name, form=way.form, session=way.session, portable=False)
        else:
            yield way


def _start(order: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """One process's figures; None if it could not start so."""
    done = subprocess.run(
        [sys.executable, "-m", "models.common.start_once"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        say(done.stderr.strip().rpartition("\n")[2])
        return None
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def _row(way: Way, results: Sequence[Mapping[str, Any]], *, size: int, same: bool) -> Row:
    least = {name: min(one["figures"][name] for one in results) for name in results[0]["figures"]}
    figures = {
        name: value if name == "peak_bytes" else round(value, 2) for name, value in least.items()
    }
    return Row(name=way.name, portable=way.portable, same=same, bytes=size, **figures)


def alike(mine: Any, plain: Any, dtypes: Sequence[str], tolerance: float) -> bool:
    """Whether all numbers differ by at most ``tolerance``, those that count or name by nothing."""
    for (shape, data), (other, expected), dtype in zip(mine, plain, dtypes, strict=True):
        if shape != other:
            return False
        a, b = (np.frombuffer(bytes.fromhex(text), dtype) for text in (data, expected))
        if np.issubdtype(a.dtype, np.floating):
            if not np.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True):
                return False
        elif not np.array_equal(a, b):
            return False
    return True


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in files(folder))


def _library() -> Path:
    """The C library inside the Python package, found without importing it."""
    found = find_spec("onnxruntime")
    folders = found.submodule_search_locations if found else None
    return next(path for one in folders or () for path in Path(one).glob("capi/libonnxruntime.so*"))


def _processor() -> str:
    """What the maker calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "")
