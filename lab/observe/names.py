"""Names that more than one part of the observation relies on: a bench's metrics, tags.

The emulator and the inference service keep their metrics in registries of their own; what is
pushed has no registry to ask and is listed here.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple

CELL: Final = ("variant", "model", "platform", "tier", "start_kind", "emulated")
"""What the trials behind a figure of a bench had in common."""


class Gauge(NamedTuple):
    """A gauge's labels that a query may ask for, and its help text."""

    labels: tuple[str, ...]
    help: str


BENCH: Final[Mapping[str, Gauge]] = {
    "lab_bench_start_seconds": Gauge(
        (*CELL, "quantile"),
        "Cold start, from asking for the container to its first prediction:"
        " quantiles that the run has enough samples for.",
    ),
    "lab_bench_start_seconds_lower": Gauge(
        CELL, "Lower end of the 95 % interval of the median start."
    ),
    "lab_bench_start_seconds_upper": Gauge(
        CELL, "Upper end of the 95 % interval of the median start."
    ),
    "lab_bench_previous_start_seconds": Gauge(
        CELL,
        "Median start of the same cell in the finished run of the"
        " same plan before this one, on a machine and an engine like this run's.",
    ),
    "lab_bench_start_phase_seconds": Gauge((*CELL, "phase"), "Median of each phase of a start."),
    "lab_bench_image_compressed_bytes": Gauge(
        ("variant", "platform"), "What is pulled: the layers as the registry has them."
    ),
    "lab_bench_image_unpacked_bytes": Gauge(("variant", "platform"), "What is written to disk."),
    "lab_bench_image_read_bytes": Gauge(
        CELL,
        "What an on-demand start fetched of the unpacked image up to its first prediction, in"
        " whole chunks: the median start's.",
    ),
    "lab_bench_chunks": Gauge(
        (*CELL, "phase"), "Chunks of the image that an on-demand start fetched in each phase."
    ),
    "lab_bench_chunk_wait_seconds": Gauge(
        (*CELL, "phase"), "How long in each phase something of the image was being fetched."
    ),
    "lab_bench_samples": Gauge(CELL, "Starts that the figures are made of."),
    "lab_bench_failures": Gauge(CELL, "Starts that failed."),
    "lab_bench_run_info": Gauge(("run", "plan"), "1; which run the figures are of."),
    "lab_bench_end_timestamp_seconds": Gauge((), "When the last start of the run ended."),
    "lab_bench_trial_start_seconds": Gauge(
        CELL, "One start, at the time when it ended. Only of replayed runs."
    ),
}
"""What a bench pushes or a replay brings."""

LOADED: Final = ("target", "size", "schedule", "loop", "emulated")
"""What a load was of; ``loop`` is ``open`` or ``closed``."""

_PART: Final = (*LOADED, "requests", "quantile")

LOAD: Final[Mapping[str, Gauge]] = {
    "lab_load_latency_seconds": Gauge(
        _PART,
        "Latency from the instant at which a request was due (closed loops: was sent), of all"
        " answers, warm or cold ones: quantiles that their number supports.",
    ),
    "lab_load_latency_seconds_lower": Gauge(_PART, "Lower end of its 95 % interval."),
    "lab_load_latency_seconds_upper": Gauge(
        _PART, "Upper end of its 95 % interval; absent where nothing bounds it."
    ),
    "lab_load_offered_per_second": Gauge(LOADED, "Requests that were due each second."),
    "lab_load_achieved_per_second": Gauge(LOADED, "Requests that were answered each second."),
    "lab_load_requests": Gauge(
        (*LOADED, "outcome"), "Requests that were answered, throttled, or failed."
    ),
    "lab_load_cold_ratio": Gauge(
        LOADED, "The share of the answers that waited for a container to be started."
    ),
    "lab_load_late_seconds": Gauge(
        LOADED, "By how much the generator missed its instants, p99. Of open loops."
    ),
    "lab_load_valid": Gauge(
        LOADED,
        "1 where the generator kept its schedule; of a load that is 0 nothing else is told.",
    ),
    "lab_load_run_info": Gauge((*LOADED, "run"), "1; which load the figures are of."),
    "lab_load_end_timestamp_seconds": Gauge(LOADED, "When the load ended."),
}
"""What a load pushes."""

PUSHED: Final[Mapping[str, Gauge]] = {**BENCH, **LOAD}

DISCOVERED: Final = ("endpoint", "variant", "server", "model", "kind")
"""Labels that service discovery puts on what a model container tells."""


@unique
class Tag(StrEnum):
    """Tags of Grafana's annotations. Every one of ours has both."""

    LAB = "inference-lab"
    BENCH = "bench"
