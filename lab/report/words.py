"""Numbers as people read them: one way for the page, the tables and the sentences."""

import math
from typing import Final

from lab.coldstart.summary import Pair, RatioFigures, Row
from lab.spec import Phase, StartKind
from lab.stats.ratios import RatioVerdict
from lab.units import format_bytes, format_seconds

NOTHING: Final = "—"

KINDS: Final = {kind: kind.value for kind in StartKind} | {
    StartKind.DISKCOLD: "disk-cold",
    StartKind.ONDEMAND: "on-demand",
}
BARE_MEANING: Final = {
    StartKind.RESTART: "the same server, stopped and started again",
    StartKind.FRESH: "a new process, its environment already on the machine",
    StartKind.DISKCOLD: "a new process, and nothing of its environment in the page cache",
    StartKind.ONDEMAND: "needs containers",
    StartKind.PULL: "needs containers",
}
"""What the kinds are with plain processes."""
KIND_MEANING: Final = {
    StartKind.RESTART: "the same container, stopped and started again",
    StartKind.FRESH: "a new container, image already on the machine",
    StartKind.DISKCOLD: "a new container, and nothing of the image in the page cache",
    StartKind.ONDEMAND: "an image that comes chunk by chunk as it is read, as on serverless",
    StartKind.PULL: "a machine that has never seen a layer of the image, as a new instance",
}
MET_BY: Final = (
    "A serverless endpoint loads its image on demand: what is never read is never waited for. "
    "Instances (real-time, asynchronous) pull all of it."
)
"""Which kind a target meets: AWS, On-demand Container Loading in AWS Lambda (USENIX ATC 2023)."""
PHASES: Final = {phase: phase.replace("_", " ") for phase in Phase}
PHASE_MEANING: Final = {
    Phase.IMAGE_MOUNT: "the image's file system is mounted, its first chunks fetched",
    Phase.IMAGE_PULL: "the layers are downloaded",
    Phase.IMAGE_UNPACK: "the last layers are unpacked after the download has ended",
    Phase.MODEL_FETCH: "model.tar.gz is fetched and unpacked, as SageMaker does",
    Phase.CREATE: "the engine makes the container",
    Phase.START: "the engine starts it, up to the first instruction of process 1",
    Phase.BOOT: "everything inside a container that tells nothing, until /ping answers 200",
    Phase.INTERPRETER: "Python starts",
    Phase.IMPORTS: "the server's libraries are imported",
    Phase.MODEL_LOAD: "the model is loaded, and warmed up with one inference",
    Phase.SERVE: "the server opens its socket",
    Phase.READY: "until the first /ping that answers 200",
    Phase.FIRST_PREDICTION: "the first /invocations, sent to received",
}
EMULATED_WHY: Final = (
    "QEMU translated these instructions for another processor, slower by a factor that nobody "
    "knows: they prove that an image starts, not how fast, and are in no other table and in no "
    "plot."
)

SIGNS: Final = {RatioVerdict.SAME: "=", RatioVerdict.UNKNOWN: "?"}
"""What a narrow column has in place of a ratio that shows no difference."""

COMMAND_WIDTH: Final = 160
"""Of a command in a table of layers."""

_TEN = 9.95
_HUNDRED = 99.5


def times(ratio: float) -> str:
    """``7.42x`` below 10, ``13.4x`` below 100, ``136x`` above."""
    size = abs(ratio)
    digits = 2 if size < _TEN else 1 if size < _HUNDRED else 0
    return f"{ratio:.{digits}f}x"


def seconds(value: float | None) -> str:
    """Seconds, or a dash."""
    return NOTHING if value is None else format_seconds(value)


def count_bytes(value: float | None) -> str:
    """Bytes, or a dash."""
    return NOTHING if value is None else format_bytes(value)


def seconds_pair(pair: Pair | None) -> str:
    """``2.91 to 3.05 s``: the unit once if both ends share it."""
    if pair is None:
        return NOTHING
    low, high = (format_seconds(end) for end in pair)
    number, _, unit = low.partition(" ")
    return f"{number} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def ratio_pair(pair: Pair | None) -> str:
    """``7.21 to 7.66x``."""
    return NOTHING if pair is None else f"{times(pair[0])[:-1]} to {times(pair[1])}"


def bounds(low: float | None, high: float | None) -> str:
    """``203 to 224 ms``; ``203 ms or more`` where nothing bounds it from above."""
    if low is None:
        return NOTHING if high is None else f"{seconds(high)} or less"
    return f"{seconds(low)} or more" if high is None else seconds_pair((low, high))


def per_second(value: float | None) -> str:
    """``77.9 requests/s``."""
    return NOTHING if value is None else f"{rate(value)[:-2]} requests/s"


def rate(per_s: float) -> str:
    """``77.9/s``."""
    return f"{per_s:.0f}/s" if per_s >= _HUNDRED else f"{per_s:.3g}/s"


def significant(value: float) -> str:
    """``0.00393``: three figures, never with an exponent."""
    digits = 2 if value == 0 else max(2, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def percent(share: float) -> str:
    """``54 %``, ``0.6 %``."""
    return f"{share * 100:.0f} %" if abs(share) >= 0.0095 else f"{share * 100:.1f} %"


def ratio_or_sign(one: RatioFigures) -> str:
    """``7.42x``; where no difference is shown, a sign in its place."""
    return times(one.ratio) if one.shown else SIGNS[one.verdict]


def name_of(row: Row) -> str:
    """The variant's, and that it is there to compare with."""
    return f"{row.variant} (reference)" if row.reference else row.variant


def ratio_interval(one: RatioFigures) -> str:
    """The interval as the tables print it, with its coverage when that is not 95 %."""
    if one.interval is None:
        return "too few samples" if one.verdict is RatioVerdict.UNKNOWN else "exact"
    text = ratio_pair(one.interval)
    if one.ci95 is None and one.coverage is not None:
        return f"{text} (at least {percent(one.coverage)})"
    return text


def median_interval(row: Row) -> str:
    """The median's interval as the tables print it, with its coverage when below 95 %."""
    spread = row.total_s
    if spread.p50_ci95 is not None:
        return seconds_pair(spread.p50_ci95)
    if spread.range_coverage is None or spread.min is None or spread.max is None:
        return "too few" if row.n else NOTHING
    return f"{seconds_pair((spread.min, spread.max))} ({percent(spread.range_coverage)})"


def tier(name: str) -> str:
    """``2048 MB``, or ``all memory of the host``."""
    return f"{name} MB" if name.isdecimal() else "no limit"


def shortened(text: str, width: int) -> str:
    """The beginning of a longer text."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def plural(count: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def start_of(row: Row) -> str:
    """``fresh, retinopathy-mobilenet, 2048 MB``."""
    return f"{KINDS[row.start_kind]}, {row.model}, {tier(row.tier)}"
