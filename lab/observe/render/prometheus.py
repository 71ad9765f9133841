"""Prometheus's HTTP API: only here it is asked over the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx
import yaml

from lab import tls
from lab.errors import LabError
from lab.observe.render.timespan import Span, seconds_of

_TIMEOUT: Final = httpx.Timeout(30.0, connect=3.0)
_DEFAULT_SCRAPE_S: Final = 15.0


class PrometheusError(LabError):
    """Prometheus cannot be reached, or answers what no Prometheus does."""

    exit_code = 11


class QueryRefusedError(PrometheusError):
    """Prometheus refuses a query; ``what`` is its own message."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A time series: labels, and (seconds since 1970, value) in the order of time."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class Prometheus:
    """One server. Safe to use from several threads."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            timeout=_TIMEOUT, transport=transport, verify=tls.context(), trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def instant(self, expr: str, *, at: float) -> Sequence[Series]:
        """One value a series. Raises ``QueryRefusedError``; a string or scalar is a series too."""
        answer = self.ask("/api/v1/query", query=expr, time=f"{at:.3f}")
        return _series(answer)

    def range(self, expr: str, *, span: Span, step: float) -> Sequence[Series]:
        """Values each ``step`` seconds, on multiples of it, so that they hold still between calls.

        Raises ``QueryRefusedError``.
        """
        start, end = (int(edge / step) * step for edge in (span.start, span.end))
        answer = self.ask(
            "/api/v1/query_range",
            query=expr,
            start=f"{start:.3f}",
            end=f"{end:.3f}",
            step=f"{step:g}",
        )
        return _series(answer)

    def label_values(self, label: str, *, match: str, span: Span) -> Sequence[str]:
        """Every value that a label has on matching series, or on all."""
        more = {"match[]": match} if match else {}
        found = self.ask(f"/api/v1/label/{label}/values", method="GET", **_edges(span), **more)
        return [str(value) for value in found]

    def scrape_interval(self) -> float:
        """Seconds between two scrapes, as its configuration has it; Grafana's default if hidden."""
        try:
            config = yaml.safe_load(self.ask("/api/v1/status/config", method="GET")["yaml"])
            return seconds_of(config["global"]["scrape_interval"])
        except (LabError, yaml.YAMLError, KeyError, TypeError):
            return _DEFAULT_SCRAPE_S

    def check(self) -> None:
        """Raise ``PrometheusError`` unless one answers."""
        self.ask("/api/v1/query", query="1")

    def ask(self, path: str, *, method: str = "POST", **params: str) -> Any:
        """The data that it answers with. Raises ``PrometheusError``."""
        # As a form: queries of a board are longer than some servers take in an address.
        place: dict[str, Any] = {"data" if method == "POST" else "params": params}
        try:
            answer = self._client.request(method, self.url + path, **place)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PrometheusError(
                f"Prometheus does not answer at {self.url}: {str(error) or type(error).__name__}.",
                remedy="Start the stack (lab up), or say where it is: --prometheus URL.",
            ) from error
        try:
            document = answer.json()
            if document["status"] == "success":
                return document["data"]
            message = f"{document['errorType']}: {document['error']}"
        except (ValueError, KeyError, TypeError) as error:
            raise PrometheusError(
                f"What answers at {self.url} is not Prometheus: {answer.status_code} on {path}.",
                remedy="Say where Prometheus is: --prometheus URL.",
            ) from error
        raise QueryRefusedError(message)


def _edges(span: Span) -> Mapping[str, str]:
    return {"start": f"{span.start:.3f}", "end": f"{span.end:.3f}"}


def _series(data: Mapping[str, Any]) -> Sequence[Series]:
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        return [Series(labels={}, points=_points([result]))]
    # Native histograms come as "histogram" and "histograms": no board of ours draws them.
    return [
        Series(labels=one["metric"], points=_points(one.get("values") or [one["value"]]))
        for one in result
        if "value" in one or "values" in one
    ]


def _points(raw: Sequence[Sequence[Any]]) -> Sequence[tuple[float, float]]:
    points = []
    for at, value in raw:
        try:
            points.append((float(at), float(value)))
        except ValueError:  # a string literal as a query
            continue
    return points
