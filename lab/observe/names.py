"""Names that more than one part of the observation relies on: metrics, recording rules, tags.

The emulator and the inference service keep their metrics in registries of their own; what has no
registry to ask, because it is pushed or recorded, is listed here.
"""

from enum import StrEnum, unique
from typing import Final

CELL: Final = ("variant", "model", "platform", "tier", "start_kind", "emulated")
"""What the trials behind a figure of a bench had in common."""

BENCH: Final = {
    "lab_bench_start_seconds": (*CELL, "quantile"),
    "lab_bench_start_seconds_lower": CELL,
    "lab_bench_start_seconds_upper": CELL,
    "lab_bench_previous_start_seconds": CELL,
    "lab_bench_start_phase_seconds": (*CELL, "phase"),
    "lab_bench_image_compressed_bytes": ("variant", "platform"),
    "lab_bench_image_unpacked_bytes": ("variant", "platform"),
    "lab_bench_samples": CELL,
    "lab_bench_failures": CELL,
    "lab_bench_run_info": ("run", "plan"),
    "lab_bench_end_timestamp_seconds": (),
    "lab_bench_trial_start_seconds": CELL,
}
"""What a bench pushes or a replay brings: gauges, and the labels that a query may ask for."""

_CONTAINER: Final = ("endpoint", "variant", "server")

CONTAINERS: Final = {
    "sagemaker_container_cpu_seconds_total": _CONTAINER,
    "sagemaker_container_memory_bytes": _CONTAINER,
    "sagemaker_container_memory_limit_bytes": _CONTAINER,
    "sagemaker_container_threads": _CONTAINER,
    "sagemaker_container_start_phase_last_seconds": (*_CONTAINER, "phase"),
}
"""What the emulator tells of each container, of what a board shows."""

RECORDED: Final = {
    "endpoint_feature:drift_psi:5m": ("endpoint", "feature"),
    "endpoint_feature:drift_psi:1h": ("endpoint", "feature"),
    "endpoint_feature:drift_images:5m": ("endpoint", "feature"),
}
"""What Prometheus's recording rules make, of those that a board shows."""

BUILT_IN: Final = {
    "ALERTS": ("alertname", "alertstate"),
    "up": ("job", "instance"),
    "scrape_duration_seconds": ("job", "instance"),
}
"""What Prometheus has of itself."""

DISCOVERED: Final = ("endpoint", "variant", "server", "model", "kind")
"""Labels that service discovery puts on what a model container tells."""


@unique
class Tag(StrEnum):
    """Tags of Grafana's annotations. Every one of ours has both."""

    LAB = "inference-lab"
    BENCH = "bench"
