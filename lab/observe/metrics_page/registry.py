"""What a prometheus-client registry holds, told without a single sample: names, labels, helps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

_UNITS: Final = {"seconds": "seconds", "bytes": "bytes", "ratio": "ratio", "pixels": "pixels"}
_COUNTER: Final = "_total"


@dataclass(frozen=True, kw_only=True, order=True)
class Metric:
    """A metric as a query names it; of a histogram, without ``_bucket``, ``_sum``, ``_count``."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str

    @property
    def unit(self) -> str:
        """By its name, as Prometheus's conventions have it; empty for plain numbers."""
        stem = self.name.removesuffix(_COUNTER)
        return next((unit for end, unit in _UNITS.items() if f"_{end}_" in f"{stem}_"), "")


def described(registry: CollectorRegistry) -> Iterator[Metric]:
    """Every metric of the registry, also those whose labels have no values yet."""
    # The library's only way to labels without samples is inside of it.
    collectors: Any = registry._collector_to_names  # noqa: SLF001
    for collector in collectors:
        if isinstance(collector, MetricWrapperBase):
            kind = collector._type  # noqa: SLF001
            of = vars(collector)
            yield _metric(of["_name"], kind, of["_labelnames"], of["_documentation"])
            continue
        for family in collector.collect():
            labels = getattr(family, "_labelnames", ())
            yield _metric(family.name, family.type, labels, family.documentation)


def _metric(name: str, kind: str | None, labels: Any, text: str) -> Metric:
    full = name + _COUNTER if kind == "counter" and not name.endswith(_COUNTER) else name
    return Metric(name=full, type=kind or "untyped", labels=tuple(labels), help=text)
