"""Series that boards show and that no registry of the lab's can be asked for."""

from typing import Final

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
    "endpoint_feature:drift_inputs:5m": ("endpoint", "feature"),
}
"""What Prometheus's recording rules make, of those that a board shows."""

BUILT_IN: Final = {
    "ALERTS": ("alertname", "alertstate"),
    "up": ("job", "instance"),
    "scrape_duration_seconds": ("job", "instance"),
}
"""What Prometheus has of itself."""
