"""``lab demo``: a few minutes of traffic that give every panel of every board something to show."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from lab import tls
from lab.artifacts import store
from lab.endpoint.client import EmulatorClient
from lab.endpoint.records import Status
from lab.errors import EndpointError, UsageError
from lab.progress import Progress
from lab.stack import seed
from lab.stack.traffic import Body, Stream, Tally, Traffic, wait

LARGE: Final = 0.1
"""Seconds that an answer of a large model takes: it gets a slower stream."""

_HELD_OUT: Final = 200
_SLOW_PER_S: Final = 1.0
_NEEDED: Final = (
    # What is recorded every 15 s comes last.
    "endpoint_feature:drift_psi:1h",
    "endpoint_feature:drift_psi:5m",
    "sagemaker_container_memory_bytes",
)
_LOOK_S: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Script:
    """How long each chapter takes, in seconds."""

    steady_s: float
    burst_s: float
    idle_s: float
    cold_starts: int
    shifted_s: float
    per_s: float = 6.0
    """Requests a second to each endpoint of a small model."""
    settle_s: float = 75.0
    """At most, for Prometheus to take it in: some rules are evaluated every 15 s."""


FULL: Final = Script(steady_s=60, burst_s=15, idle_s=15, cold_starts=3, shifted_s=35)
SHORT: Final = Script(steady_s=20, burst_s=8, idle_s=5, cold_starts=1, shifted_s=12)


@dataclass(frozen=True, kw_only=True)
class DemoEndpoint:
    """An endpoint of ``lab up``."""

    name: str
    model: str
    limit: int | None
    """``MaxConcurrency``; None for a real-time endpoint."""
    answer_s: float
    """How long a warm answer takes, HTTP included."""
    held_out: Sequence[Body]
    shifted: Sequence[Body]
    """Unlike what the model was tested on."""

    @property
    def large(self) -> bool:
        return self.answer_s > LARGE

    @property
    def wrong(self) -> Sequence[Body]:
        """What no model can answer."""
        _, content_type = self.held_out[0]
        return (
            (b"not what this says", content_type),
            (b"an answer,please", "text/plain"),
            (b"", content_type),
        )


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A part of the demo, and what came of it."""

    title: str
    began: float
    """Seconds since the epoch."""
    tally: Tally
    look: str
    """What it shows, and on which board."""


def targets(client: EmulatorClient) -> Sequence[DemoEndpoint]:
    """The endpoints that ``lab up`` leaves, as far as they are in service.

    Raises ``EndpointError`` when there is none, or no emulator.
    """
    if not client.healthy():
        raise EndpointError("No emulator answers.", remedy="Start the lab: `lab up`.")
    found = []
    for model in store.models():
        for kind in seed.KINDS:
            name = f"{model}-{kind}"
            seen = client.find("describe_endpoint", EndpointName=name)
            if seen is None or seen["EndpointStatus"] != Status.IN_SERVICE:
                continue
            try:
                held_out = [_body(one) for one in store.held_out(model)[:_HELD_OUT]]
                shifted = [_body(one) for one in (*store.shifted(model), store.payload(model))]
            except UsageError as error:
                raise EndpointError(error.what, remedy="Bring it up to date: `lab up`.") from error
            found.append(
                DemoEndpoint(
                    name=name,
                    model=model,
                    limit=_limit(client, seen),
                    answer_s=_answer_s(client, name, held_out[0]),
                    held_out=held_out,
                    shifted=shifted,
                )
            )
    if not found:
        raise EndpointError(
            "None of the endpoints of `lab up` is in service.", remedy="Make them: `lab up`."
        )
    return found


def play(
    found: Sequence[DemoEndpoint], client: EmulatorClient, progress: Progress, *, script: Script
) -> Sequence[Chapter]:
    """The traffic, chapter by chapter."""
    traffic = Traffic(client)
    serverless = [one for one in found if one.limit is not None]
    chapters = [_steady(found, traffic, progress, script)]
    if serverless:
        # The slower the answers, the longer a burst is in flight.
        pressed = max(serverless, key=lambda one: one.answer_s)
        chapters.append(_burst(pressed, traffic, progress, script))
    with progress.step("Idle: nothing is sent") as step:
        wait(script.idle_s, step, tell=lambda: "")
    if serverless:
        chapters.append(_cold(serverless, client, traffic, progress, script))
    chapters.append(_shifted(found, traffic, progress, script))
    return chapters


def settle(prometheus: str, progress: Progress, *, seconds: float) -> Sequence[str]:
    """Wait until Prometheus has recorded what the boards show; what it still lacks then.

    Raises ``EndpointError`` when it does not answer.
    """
    deadline = time.monotonic() + seconds
    with (
        progress.step("Waiting for Prometheus to take it in") as step,
        httpx.Client(
            base_url=prometheus, timeout=5.0, verify=tls.context(), trust_env=False
        ) as http,
    ):
        while True:
            lacking = [name for name in _NEEDED if not _has(http, name)]
            left = deadline - time.monotonic()
            if not lacking or left <= 0:
                return lacking
            step.advance(seconds - left, seconds)
            step.detail(", ".join(lacking))
            time.sleep(min(_LOOK_S, left))


def _steady(
    found: Sequence[DemoEndpoint], traffic: Traffic, progress: Progress, script: Script
) -> Chapter:
    streams = [
        Stream(
            endpoint=one.name,
            bodies=one.held_out,
            per_s=_pace(one, script),
            wrong=one.wrong,
        )
        for one in found
    ]
    return _chapter(
        "Steady: all endpoints, and a few requests that are wrong",
        "lab-endpoints: requests, 4xx and latency; lab-model: answers as in the reference",
        progress,
        lambda step: traffic.steady(streams, script.steady_s, step),
    )


def _burst(target: DemoEndpoint, traffic: Traffic, progress: Progress, script: Script) -> Chapter:
    clients = 2 * (target.limit or 0) + 2
    return _chapter(
        f"Burst: {clients} clients on {target.name}, which may run {target.limit} containers",
        "lab-endpoints: concurrency at 100 %, throttles, containers; RequestsThrottled fires",
        progress,
        lambda step: traffic.burst(
            target.name, target.held_out, clients=clients, seconds=script.burst_s, step=step
        ),
    )


def _cold(
    serverless: Sequence[DemoEndpoint],
    client: EmulatorClient,
    traffic: Traffic,
    progress: Progress,
    script: Script,
) -> Chapter:
    def starts(step: Any) -> Tally:
        tally = Tally()
        total = script.cold_starts * len(serverless)
        for number in range(total):
            target = serverless[number % len(serverless)]
            step.detail(target.name)
            client.scale_to_zero(target.name)
            tally += traffic.once(target.name, target.held_out[number % len(target.held_out)])
            step.advance(number + 1, total)
        return tally

    return _chapter(
        "Cold: serverless endpoints from no container",
        "lab-endpoints: cold starts, overhead; lab-container: phases of the last start",
        progress,
        starts,
    )


def _shifted(
    found: Sequence[DemoEndpoint], traffic: Traffic, progress: Progress, script: Script
) -> Chapter:
    """To one endpoint of each model, the real-time one if there is one."""
    ordered = sorted(found, key=lambda one: one.limit is None)
    targets = {one.model: one for one in ordered}.values()
    streams = [
        Stream(endpoint=one.name, bodies=one.shifted, per_s=2 * _pace(one, script))
        for one in targets
    ]
    names = " and ".join(one.name for one in targets)
    return _chapter(
        f"Shifted: inputs unlike those that the model was tested on, to {names}",
        "lab-model: drift of the input's features; InputDrift fires if it lasts for 30 s",
        progress,
        lambda step: traffic.steady(streams, script.shifted_s, step),
    )


def _pace(target: DemoEndpoint, script: Script) -> float:
    return _SLOW_PER_S if target.large else script.per_s


def _chapter(title: str, look: str, progress: Progress, play: Callable[[Any], Tally]) -> Chapter:
    began = time.time()
    with progress.step(title) as step:
        tally = play(step)
    return Chapter(title=title, began=began, tally=tally, look=look)


def _body(one: store.Payload) -> Body:
    return one.path.read_bytes(), one.content_type


def _limit(client: EmulatorClient, endpoint: Mapping[str, Any]) -> int | None:
    config = client.find(
        "describe_endpoint_config", EndpointConfigName=endpoint["EndpointConfigName"]
    )
    variants = config["ProductionVariants"] if config else ()
    for one in variants:
        if "ServerlessConfig" in one:
            return int(one["ServerlessConfig"]["MaxConcurrency"])
    return None


def _answer_s(client: EmulatorClient, endpoint: str, body: Body) -> float:
    """Asked, not known: endpoints may serve what a user put there. The first may start cold."""
    client.invoke(endpoint, *body)
    begin = time.monotonic()
    client.invoke(endpoint, *body)
    return time.monotonic() - begin


def _has(http: httpx.Client, name: str) -> bool:
    try:
        answer = http.get("/api/v1/query", params={"query": name}).raise_for_status().json()
        return bool(answer["data"]["result"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise EndpointError(
            f"Prometheus at {http.base_url} does not answer: {error}",
            remedy="Start it with the lab: `lab up`.",
        ) from error
