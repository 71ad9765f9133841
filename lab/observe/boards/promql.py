"""Pieces of PromQL as the boards put them together."""

from typing import Final

LIVE: Final = 'endpoint=~"$endpoint",variant=~"$variant"'
"""The chosen endpoints, and their production variants as SageMaker calls them."""

NATIVE: Final = 'emulated="false"'
"""Of starts that no QEMU slowed down. Without it a platform's native and emulated starts, of two
machines, would be one series: every query for a bench's seconds has it."""

EMULATED: Final = 'emulated="true"'
"""Of starts under QEMU: for the one table that says so."""

CHOSEN: Final = (
    'variant=~"$variant",model="$model",platform="$platform",tier="$tier",'
    f'start_kind="$start_kind",{NATIVE}'
)
"""The chosen cells of a bench."""


def of(metric: str, labels: str = LIVE, *more: str) -> str:
    """``metric{labels}``."""
    return f"{metric}{{{','.join((labels, *more))}}}"


def rate(series: str) -> str:
    """Each second, around the moment."""
    return f"rate({series}[$__rate_interval])"


def increase(series: str) -> str:
    """Around the moment."""
    return f"increase({series}[$__rate_interval])"


def within(series: str) -> str:
    """By how much a counter rose in the whole range."""
    return f"increase({series}[$__range])"


def last(series: str) -> str:
    """The newest value in the range: a bench that ended hours ago is still shown."""
    return f"last_over_time({series}[$__range])"


def peak(series: str) -> str:
    """The largest value in the range."""
    return f"max_over_time({series}[$__range])"


def total(inner: str, *by: str) -> str:
    """``sum by (...) (...)``."""
    return _aggregate("sum", inner, by)


def most(inner: str, *by: str) -> str:
    """``max by (...) (...)``."""
    return _aggregate("max", inner, by)


def least(inner: str, *by: str) -> str:
    """``min by (...) (...)``."""
    return _aggregate("min", inner, by)


def share(part: str, whole: str) -> str:
    """A ratio that is absent, not NaN, while nothing happens."""
    return f"{part} / ({whole} > 0)"


def mean(histogram: str, labels: str = LIVE, *by: str) -> str:
    """The mean of what a histogram saw around the moment."""
    seconds = total(rate(of(f"{histogram}_sum", labels)), *by)
    return share(seconds, total(rate(of(f"{histogram}_count", labels)), *by))


def quantile(q: float, histogram: str, labels: str = LIVE, *by: str) -> str:
    """A quantile of what a histogram saw around the moment."""
    buckets = total(rate(of(f"{histogram}_bucket", labels)), *by, "le")
    return f"histogram_quantile({q}, {buckets})"


def quantile_within(q: float, histogram: str, labels: str = LIVE, *by: str) -> str:
    """A quantile of what a histogram saw in the whole range."""
    buckets = total(within(of(f"{histogram}_bucket", labels)), *by, "le")
    # Without requests the quantile is not a number, which nothing compares with.
    return f"histogram_quantile({q}, {buckets}) >= 0"


def parts(of_all: str, by: str) -> str:
    """The share that each value of a label has of the sum."""
    return f"{total(of_all, by)} / on() group_left() ({total(of_all)} > 0)"


def named(inner: str, label: str, value: str) -> str:
    """The same with one more label."""
    return f'label_replace({inner}, "{label}", "{value}", "", "")'


def joined(inner: str, label: str, *of_labels: str) -> str:
    """The same with one more label, made of others."""
    parts_of = ", ".join(f'"{one}"' for one in of_labels)
    return f'label_join({inner}, "{label}", " ", {parts_of})'


def _aggregate(how: str, inner: str, by: tuple[str, ...]) -> str:
    return f"{how} by ({', '.join(by)}) ({inner})" if by else f"{how}({inner})"


def percentiles(series: str) -> str:
    """The same with ``quantile`` as people say it: ``p50`` for ``0.5``."""
    for value, name in (("0.5", "p50"), ("0.9", "p90"), ("0.95", "p95"), ("0.99", "p99")):
        series = f'label_replace({series}, "quantile", "{name}", "quantile", "{value}")'
    return series
