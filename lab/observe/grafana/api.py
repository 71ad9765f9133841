"""Grafana's HTTP API, as far as checking the boards asks it (Grafana 11's documentation)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx

from lab import tls
from lab.errors import LabError, UsageError
from lab.observe.grafana.annotate import URL, Credential
from lab.observe.render.board import PanelQuery
from lab.services import SERVICES

SOURCE: Final = "prometheus"
"""The data source's uid, which the boards name."""
_TIMEOUT: Final = httpx.Timeout(30.0, connect=3.0)


class NoGrafanaError(LabError):
    """None answers: nothing was checked."""

    exit_code = 13


class GrafanaRefusedError(LabError):
    """Grafana answers, and not what was asked for."""


@dataclass(frozen=True, kw_only=True)
class QueryFound:
    """What a panel's query found."""

    series: int
    values: int


class Grafana:
    """One server; without a credential as a viewer, which is all that looking takes."""

    def __init__(self, url: str, credential: Credential | None = None) -> None:
        self.url = url.rstrip("/")
        try:
            self._http = httpx.Client(
                base_url=self.url, timeout=_TIMEOUT, verify=tls.context(), trust_env=False
            )
        except httpx.InvalidURL as error:
            raise UsageError(
                f"{url} is not the URL of a Grafana: {error}.",
                remedy=f"Correct --url, {URL} or {SERVICES['grafana'].variable}.",
            ) from error
        if isinstance(credential, tuple):
            self._http.auth = credential
        elif credential is not None:
            self._http.headers["Authorization"] = f"Bearer {credential}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def health(self) -> Mapping[str, Any]:
        """Its version and the state of its database. Raises ``NoGrafanaError``."""
        try:
            answer = self._http.get("/api/health")
        except httpx.TransportError as error:
            raise self._nobody(str(error)) from error
        with suppress(ValueError, TypeError):
            said = answer.json()
            if "version" in said or "database" in said:
                return dict(said)
        raise self._nobody(f"what listens there is none ({answer.status_code} at /api/health)")

    def get(self, path: str) -> Any:
        """Any document. Raises ``GrafanaRefusedError``."""
        return self._asked("GET", path)

    def query(
        self, target: PanelQuery, expr: str, *, since: str, until: str = "now", points: int = 600
    ) -> QueryFound:
        """A panel's query, as its browser would send it. Raises ``GrafanaRefusedError``."""
        asked = {
            "refId": target.ref,
            "datasource": {"type": "prometheus", "uid": SOURCE},
            "expr": expr,
            "instant": target.instant,
            "range": not target.instant,
            "format": target.format,
            "intervalMs": 5000,
            "maxDataPoints": points,
        }
        # Times as Grafana takes them: what counts from now, or milliseconds since 1970.
        body = {"queries": [asked], "from": since, "to": until}
        said = self._asked("POST", "/api/ds/query", body)
        result = said.get("results", {}).get(target.ref, {}) if isinstance(said, dict) else {}
        if result.get("error"):
            raise GrafanaRefusedError(str(result["error"]))
        frames: Sequence[Mapping[str, Any]] = result.get("frames") or ()
        sizes = [_size(frame) for frame in frames]
        return QueryFound(series=sum(1 for size in sizes if size), values=sum(sizes))

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise GrafanaRefusedError(f"{method} {path}: {error}") from error
        if answer.is_error:
            raise GrafanaRefusedError(f"{method} {path}: {answer.status_code}: {_reason(answer)}")
        try:
            return answer.json()
        except ValueError as error:
            raise GrafanaRefusedError(f"{method} {path}: the answer is not JSON.") from error

    def _nobody(self, why: str) -> NoGrafanaError:
        return NoGrafanaError(
            f"No Grafana answers at {self.url}: nothing was checked. ({why})",
            remedy="`lab up` starts it where its image can be had; or say where one is with --url."
            " Without one: `lab observe render --require-data`.",
        )


def _size(frame: Mapping[str, Any]) -> int:
    """How many values that are not null its value columns have; the first column is the time."""
    columns = frame.get("data", {}).get("values") or ()
    fields = frame.get("schema", {}).get("fields") or ()
    kinds = [field.get("type") for field in fields]
    return sum(
        sum(value is not None for value in column)
        for kind, column in zip(kinds, columns, strict=False)
        if kind == "number"
    )


def _reason(answer: httpx.Response) -> str:
    try:
        said = answer.json()
        results = said.get("results", {})
        errors = [str(one["error"]) for one in results.values() if one.get("error")]
        return "; ".join(errors) or str(said.get("message") or said)
    except (ValueError, AttributeError, TypeError):
        return answer.text.strip()[:200] or "no reason"
