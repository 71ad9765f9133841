"""A finished run to the Pushgateway, if one answers. A bench never fails for want of it."""

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from prometheus_client import push_to_gateway

from lab import tls
from lab.errors import EndpointError, LabError
from lab.loadtest.summary import LoadSummary
from lab.observe.runs import loads
from lab.observe.runs.exposition import JOB, registry
from lab.observe.runs.readings import BenchReadings, Reading, previous, read, readings
from lab.services import SERVICES

URL: Final = "LAB_PUSHGATEWAY_URL"
_CONNECT_S: Final = 0.5
_ANSWER_S: Final = 5.0
_BAD: Final = 400


def address(env: Mapping[str, str] = os.environ) -> str:
    """Where the Pushgateway should be: as ``LAB_PUSHGATEWAY_URL`` says, else on this machine."""
    return (env.get(URL) or SERVICES["pushgateway"].address(env)).rstrip("/")


def answers(url: str) -> bool:
    """Whether anything listens there: known at once, or after half a second."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_S):
            return True
    except (OSError, ValueError):
        return False


def push(folder: Path, *, url: str, runs: Path) -> BenchReadings:
    """Replace what the Pushgateway has of the run's plan by this run, compared with ``runs``.

    Raises ``UsageError`` for a folder without a report, and ``EndpointError`` when the Pushgateway
    does not answer or refuses.
    """
    bench = read(folder)
    told = readings(bench, previous=previous(bench, runs))
    _send(told, job=JOB, group={"plan": bench.run.plan_name}, url=url, run=bench.run.id)
    return bench


def push_load(folder: Path, *, url: str) -> LoadSummary:
    """The same of a load, among those of its target and schedule."""
    summary = loads.read(folder)
    # The Pushgateway has no empty labels in a group; Prometheus takes them for absent ones.
    group = {name: value for name, value in loads.group(summary).items() if value}
    _send(loads.readings(summary), job=loads.JOB, group=group, url=url, run=summary.id)
    return summary


def _send(
    told: Iterable[Reading], *, job: str, group: Mapping[str, str], url: str, run: str
) -> None:
    if not answers(url):
        raise EndpointError(
            f"No Pushgateway answers at {url}.",
            remedy=f"Start it with `lab up`, or say where it is: {URL}=http://HOST:PORT.",
        )
    try:
        push_to_gateway(
            url, job=job, registry=registry(told), grouping_key=dict(group), handler=_put
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise EndpointError(
            f"The Pushgateway at {url} did not take the run: {error}",
            remedy=f"Push it again: lab observe push {run}",
        ) from error


def offer(folder: Path, *, runs: Path, env: Mapping[str, str] = os.environ) -> str | None:
    """Push a run that has just ended, if that can be done. One line to print, or None.

    Never raises a ``LabError``, and takes half a second at most where nothing answers.
    """
    return _offered(lambda url: push(folder, url=url, runs=runs).run.plan_name, env)


def offer_load(folder: Path, *, env: Mapping[str, str] = os.environ) -> str | None:
    """The same of a load that has just ended."""
    return _offered(lambda url: str(push_load(folder, url=url).target), env)


def _offered(pushed: Callable[[str], str], env: Mapping[str, str]) -> str | None:
    url = address(env)
    if not answers(url):
        return f"No Pushgateway answers at {url}: not pushed." if env.get(URL) else None
    try:
        of = pushed(url)
    except LabError as error:
        return f"Not pushed: {error}"
    return f"Pushed to {url} as the newest run of {of}."


def _put(
    url: str,
    method: str,
    timeout: float | None,
    headers: list[tuple[str, str]],
    data: bytes,
) -> Callable[[], None]:
    """prometheus-client's way of sending, with a time-out for connecting and no proxy."""
    del timeout

    def send() -> None:
        limits = httpx.Timeout(_ANSWER_S, connect=_CONNECT_S)
        with httpx.Client(timeout=limits, verify=tls.context(), trust_env=False) as client:
            answer = client.request(method, url, headers=headers, content=data)
        if answer.status_code >= _BAD:
            said = answer.text.strip() or answer.reason_phrase
            raise httpx.HTTPError(f"{answer.status_code}: {said}")

    return send
