"""A Prometheus that answers from a record, and small boards to ask it with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from lab.observe.render.board import GrafanaBoard
from lab.observe.render.prometheus import Prometheus

NOW = 1_700_000_000.0
CONFIG = {"yaml": "global:\n  scrape_interval: 5s\n  evaluation_interval: 10s\n"}

Labels = Mapping[str, str]
Known = Mapping[str, Sequence[tuple[Labels, float]]]


@dataclass
class Record:
    """Series by the query that finds them; values are the same at every moment."""

    series: Known = field(default_factory=dict)
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def server(self) -> Prometheus:
        return Prometheus("http://prometheus.test", transport=httpx.MockTransport(self._answer))

    def queries(self) -> list[str]:
        return [params["query"] for _, params in self.asked if "query" in params]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        raw = request.content.decode() or urlsplit(str(request.url)).query
        params = {key: values[0] for key, values in parse_qs(raw).items()}
        self.asked.append((request.url.path, params))
        query = params.get("query") or params.get("match[]", "")
        if query in self.refused:
            body = {"status": "error", "errorType": "bad_data", "error": self.refused[query]}
            return httpx.Response(400, json=body)
        return httpx.Response(200, json={"status": "success", "data": self._data(request, params)})

    def _data(self, request: httpx.Request, params: Mapping[str, str]) -> Any:
        path = request.url.path
        if path.endswith("/values"):
            match = params.get("match[]", "")
            return list(self.values.get(f"{match}/{path.split('/')[-2]}", []))
        if path.endswith("/config"):
            return CONFIG
        found = self.series.get(params["query"], [])
        if path.endswith("/query"):
            result = [{"metric": dict(one), "value": [NOW, _said(value)]} for one, value in found]
            return {"resultType": "vector", "result": result}
        start, end, step = (float(params[key]) for key in ("start", "end", "step"))
        times = [start + n * step for n in range(int((end - start) / step) + 1)]
        return {
            "resultType": "matrix",
            "result": [
                {"metric": dict(one), "values": self._curve(params["query"], times, value)}
                for one, value in found
            ],
        }

    def _curve(self, query: str, times: Sequence[float], value: float) -> list[list[Any]]:
        curve = self.curves.get(query) or [value]
        spread = [(at, curve[n % len(curve)]) for n, at in enumerate(times)]
        return [[at, _said(one)] for at, one in spread if one is not None]


def _said(value: float) -> str:
    return str(value)


def panel(kind: str, *exprs: str, **more: Any) -> dict[str, Any]:
    """A panel's JSON, with a query of a range for each expression."""
    how = more.pop("query", {})
    targets = [
        {"refId": "ABCDEF"[n], "expr": expr, "range": True, "legendFormat": "__auto", **how}
        for n, expr in enumerate(exprs)
    ]
    config = {"defaults": more.pop("defaults", {}), "overrides": more.pop("overrides", [])}
    place = {"x": 0, "y": 0, "w": 12, "h": 8}
    return {
        "id": 1,
        "type": kind,
        "title": kind,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": config,
        **more,
    }


def board(*panels: Mapping[str, Any], **more: Any) -> GrafanaBoard:
    """A board of these panels, through JSON as from a file."""
    document = {"uid": "lab-test", "title": "Test", "panels": list(panels), **more}
    return GrafanaBoard.model_validate(json.loads(json.dumps(document)))


def instant(kind: str = "time_series") -> dict[str, Any]:
    """What makes a query one of a moment."""
    return {"instant": True, "range": False, "format": kind}
