"""``lab push measure``: the study's two protocols against an endpoint, within a bound on the cost.

Every request is written down as it ends, so Ctrl-C, credentials that run out and a full disk lose
nothing, and the measurement goes on later. Pauses are counted from one answer to the next request.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from typing import Protocol as Interface

from lab import __version__
from lab.aws.answers import Payload, read_answer
from lab.aws.errors import CallError
from lab.aws.errors import Kind as Trouble
from lab.aws.invoke import Endpoint, NotNowError
from lab.aws.measure_folder import MeasureFolder
from lab.aws.measure_record import (
    AwsRun,
    MetricsFile,
    Protocol,
    Reading,
    Sample,
    Sent,
    Subject,
)
from lab.aws.measure_summary import summarise
from lab.aws.metrics import Metrics, Window, next_minute
from lab.aws.model import AwsError, Kind, Target
from lab.aws.spending import SLOWEST_S, Rates, busy_s, cost_usd
from lab.errors import EndpointError, UsageError
from lab.host import host_facts
from lab.progress import Progress, Step
from lab.spec import Platform
from lab.units import format_seconds

_FAILURES: Final = 3
"""In a row: the endpoint is not measured but broken."""

_TICK_S: Final = 1.0
_ROOM_S: Final = 60.0
"""CloudWatch has a clock of its own, and may tell of a launch a minute before its request."""

_MACHINES: Final[Mapping[Platform, Sequence[str]]] = {
    Platform.AMD64: ("x86_64", "amd64"),
    Platform.ARM64: ("aarch64", "arm64"),
}
"""What the kernels call a platform's machines."""

_PASSING: Final = (Trouble.MODEL, Trouble.SERVICE, Trouble.THROTTLED, Trouble.CONNECTION)
"""Of one request; all other troubles would be those of the next one too."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much to measure; the defaults are the study's."""

    protocols: Sequence[Protocol] = (Protocol.WARM, Protocol.COLD)
    warm_n: int = 25
    warm_pause_s: float = 5.0
    cold_n: int = 10
    cold_idle_s: float = 900.0
    max_usd: float = 1.0
    metrics_wait_s: float = 600.0
    """How long to wait for CloudWatch at the end."""

    def __post_init__(self) -> None:
        if min(self.warm_n, self.cold_n) < 1 or not self.protocols:
            raise UsageError("There is nothing to measure.", remedy="Ask for a request at least.")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is measured, with what, how much of it, and at which prices."""

    subject: Subject
    payload: Payload
    rates: Rates
    options: Options


class Clock(Interface):
    """Time, and waiting for it."""

    def now(self) -> datetime:
        """UTC."""

    def monotonic(self) -> float:
        """Seconds, from anywhere."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class _System:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


_SYSTEM: Final = _System()


def measure(
    endpoint: Endpoint,
    task: Task,
    *,
    metrics: Metrics,
    progress: Progress,
    resume: MeasureFolder | None = None,
    clock: Clock = _SYSTEM,
) -> MeasureFolder:
    """Measure the endpoint; the folder that keeps all, with its summary.

    With ``resume`` only what that measurement lacks is asked; the task's options and rates are then
    best ``options_of`` and ``rates_kept`` of it. Raises ``UsageError`` for what cannot be measured,
    and ``AwsError`` when the endpoint fails several times in a row; samples are kept either way.
    """
    subject, options = task.subject, task.options
    if subject.kind is Kind.REAL_TIME and tuple(options.protocols) == (Protocol.COLD,):
        raise UsageError(
            f"{subject.endpoint} is a real-time endpoint: it has no cold starts to measure.",
            remedy="Measure it warm: --protocol warm.",
        )
    if resume is not None:
        _refuse_another(resume.run(), task)
        resume.mend()
    folder = resume or MeasureFolder.create(_run(task, clock))
    session = _Session(
        endpoint=endpoint,
        task=task,
        metrics=metrics,
        folder=folder,
        progress=progress,
        clock=clock,
    )
    try:
        stopped = session.run(_protocols(subject, options, progress))
        session.read_metrics()
    except (KeyboardInterrupt, CallError, EndpointError):
        progress.note(
            f"{len(folder.samples())} requests are kept in {folder.path}; go on with "
            f"`lab push measure --resume {folder.path.name}`."
        )
        raise
    finally:
        if folder.samples():
            folder.save_summary(summarise(folder.run(), folder.samples(), folder.metrics()))
    if stopped:
        progress.note(stopped)
    return folder


def options_of(folder: MeasureFolder) -> Options:
    """What a measurement was asked to be, so that it can go on as it began."""
    kept = dict(folder.run().options)
    kept["protocols"] = tuple(Protocol(one) for one in kept["protocols"])
    return Options(**kept)


def rates_kept(folder: MeasureFolder) -> Rates:
    """The prices that a measurement began with."""
    return Rates(**folder.run().rates)


def expected_s(subject: Subject, options: Options) -> float:
    """About how long the measurement will take: its pauses."""
    pauses = 0.0
    if Protocol.WARM in options.protocols:
        pauses += options.warm_n * options.warm_pause_s
    if Protocol.COLD in options.protocols and subject.kind is Kind.SERVERLESS:
        pauses += options.cold_n * options.cold_idle_s
    return pauses


class _Session:
    """One sitting: the samples before it count, for what is missing and for what it may cost."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        task: Task,
        metrics: Metrics,
        folder: MeasureFolder,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.endpoint = endpoint
        self.payload = task.payload
        self.rates = task.rates
        self.options = task.options
        self.metrics = metrics
        self.folder = folder
        self.progress = progress
        self.clock = clock
        self._samples = list(folder.samples())
        before = folder.metrics()
        self._asked_before = before.asked if before else 0

    def run(self, protocols: Sequence[Protocol]) -> str:
        """All requests that are missing; why it ended early, if it did."""
        for protocol in protocols:
            match protocol:
                case Protocol.WARM:
                    stopped = self._warm()
                case Protocol.COLD:
                    stopped = self._cold()
            if stopped:
                return stopped
        return ""

    def spent(self) -> float:
        """Dollars so far."""
        return cost_usd(
            self.rates,
            self._samples,
            request_bytes=len(self.payload.body),
            metrics=self._asked_before + self.metrics.asked,
        )

    def read_metrics(self) -> None:
        """What CloudWatch tells of the samples that nothing else told of."""
        counted = [one for one in self._samples if one.number and one.failure is None]
        silent = [one for one in counted if one.reading is None]
        if not silent:
            return
        cold = {one.number: one for one in silent if one.protocol is Protocol.COLD}
        warm = _warm_window(self._samples)
        windows = [*([warm] if warm else []), *(_cold_window(one) for one in cold.values())]
        with self.progress.step(f"Read the metrics of {self.endpoint.name}") as step:
            readings = list(
                self.metrics.later(windows, wait_s=self.options.metrics_wait_s, step=step)
            )
        if not any(readings):
            self.progress.note("Nothing was told of these requests by the endpoint's own metrics.")
        together = readings.pop(0) if warm else None
        alone = zip(cold, readings, strict=True)
        self.folder.save_metrics(
            MetricsFile(
                asked=self._asked_before + self.metrics.asked,
                warm=together,
                # Not where others fell into the same minutes.
                cold={number: one for number, one in alone if one and one.requests == 1},
            )
        )

    def _warm(self) -> str:
        done = self._done(Protocol.WARM)
        wanted = self.options.warm_n
        if len(done) >= wanted:
            return ""
        with self.progress.step(f"{wanted} warm requests to {self.endpoint.name}") as step:
            if stopped := self._request(Protocol.WARM, 0, 0.0, step):
                return stopped
            for number in range(1, wanted + 1):
                if number in done:
                    continue
                step.advance(number - 1, wanted)
                if stopped := self._request(Protocol.WARM, number, self.options.warm_pause_s, step):
                    return stopped
        return ""

    def _cold(self) -> str:
        done = self._done(Protocol.COLD)
        wanted = self.options.cold_n
        missing = [number for number in range(1, wanted + 1) if number not in done]
        if not missing:
            return ""
        with self.progress.step(f"{wanted} cold requests to {self.endpoint.name}") as step:
            for number in missing:
                step.advance(number - 1, wanted)
                if stopped := self._request(Protocol.COLD, number, self.options.cold_idle_s, step):
                    return stopped
        return ""

    def _done(self, protocol: Protocol) -> set[int]:
        return {
            one.number
            for one in self._samples
            if one.protocol is protocol and one.number and one.failure is None
        }

    def _request(self, protocol: Protocol, number: int, pause_s: float, step: Step) -> str:
        """Wait and ask once; why not, when that could cost more than is allowed."""
        spent = self.spent()
        if spent + self._next_usd(pause_s) > self.options.max_usd:
            return (
                f"Stopped at {spent:.4f} USD: the next request could go beyond the bound of "
                f"{self.options.max_usd:g} USD. Raise --max-usd to go on with "
                f"`lab push measure --resume {self.folder.path.name}`."
            )
        self._pause(pause_s, step, f"{spent:.4f} of {self.options.max_usd:g} USD")
        if protocol is Protocol.COLD:
            self.endpoint.cool()
        sample = self._ask(protocol, number, pause_s)
        self._samples.append(sample)
        self.folder.append(sample)
        self._refuse_broken()
        return ""

    def _ask(self, protocol: Protocol, number: int, idle_s: float) -> Sample:
        body, kind = self.payload.body, self.payload.content_type
        said, failure, reading = b"", None, None
        self.metrics.mark()
        started = self.clock.now()
        begin = self.clock.monotonic()
        try:
            said = self.endpoint.invoke(body, kind)
        except (NotNowError, EndpointError) as error:
            failure = error.what
        except CallError as error:
            if error.kind not in _PASSING:
                raise
            failure = error.what
        took = self.clock.monotonic() - begin
        ended = self.clock.now()
        if failure is None:
            reading = self._alone()
        answer = read_answer(said)
        return Sample(
            protocol=protocol,
            number=number,
            started_at=started.isoformat(timespec="milliseconds"),
            ended_at=ended.isoformat(timespec="milliseconds"),
            idle_s=idle_s,
            total_s=took if failure is None else None,
            prediction_s=answer.prediction_s if answer else None,
            response_bytes=len(said),
            failure=failure,
            reading=reading,
        )

    def _alone(self) -> Reading | None:
        """What was told of this request; nothing if others came between."""
        reading = self.metrics.now()
        return reading if reading is not None and reading.requests == 1 else None

    def _pause(self, seconds: float, step: Step, cost: str) -> None:
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            step.detail(f"next request in {format_seconds(left)}; {cost}")
            self.clock.sleep(min(_TICK_S, left))

    def _next_usd(self, pause_s: float) -> float:
        """The most that one more request may cost, judged by the slowest so far."""
        slowest = max((busy_s(one) for one in self._samples), default=SLOWEST_S)
        return self.rates.usd(
            answering_s=slowest,
            present_s=slowest + pause_s,
            data_bytes=len(self.payload.body)
            + max((one.response_bytes for one in self._samples), default=0),
        )

    def _refuse_broken(self) -> None:
        last = self._samples[-_FAILURES:]
        if len(last) == _FAILURES and all(one.failure is not None for one in last):
            raise AwsError(
                f"{self.endpoint.name} failed {_FAILURES} times in a row. Last: {last[-1].failure}",
                remedy=f"See its logs; `lab push measure --resume {self.folder.path.name}` goes "
                "on with what is missing.",
            )


def _run(task: Task, clock: Clock) -> AwsRun:
    began = clock.now()
    client = host_facts()
    subject = task.subject
    # The lab's endpoints run on this machine, or beside it on one like it.
    foreign = client["machine"] not in _MACHINES[subject.platform]
    return AwsRun(
        id=f"{began:%Y%m%dT%H%M%SZ}-aws-measure",
        started_at=began.isoformat(timespec="seconds"),
        lab_version=__version__,
        git_commit=client["git_commit"],
        git_dirty=client["git_dirty"],
        subject=subject,
        options=_plain(asdict(task.options)),
        rates=asdict(task.rates),
        payload=_sent(task.payload),
        client=client,
        emulated=subject.target is Target.LOCAL and foreign,
    )


def _plain(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**options, "protocols": [str(one) for one in options["protocols"]]}


def _sent(payload: Payload) -> Sent:
    return Sent(
        name=payload.name,
        content_type=payload.content_type,
        bytes=len(payload.body),
        sha256=hashlib.sha256(payload.body).hexdigest(),
    )


def _refuse_another(run: AwsRun, task: Task) -> None:
    """A measurement of two things would be one of neither."""
    subject, payload = task.subject, task.payload
    if run.subject != subject:
        raise UsageError(
            f"{run.id} measured {run.subject}, and the endpoint is now {subject}, or its image "
            "is another.",
            remedy="Measure it anew, without --resume.",
        )
    if run.payload != _sent(payload):
        raise UsageError(
            f"{run.id} sent {run.payload.name}, not {payload.name} as it is now.",
            remedy="Give the same --payload, or measure anew, without --resume.",
        )


def _protocols(subject: Subject, options: Options, progress: Progress) -> Sequence[Protocol]:
    chosen = [one for one in Protocol if one in options.protocols]
    if subject.kind is Kind.REAL_TIME and Protocol.COLD in chosen:
        progress.note("A real-time endpoint has no cold starts: only warm requests are made.")
        chosen.remove(Protocol.COLD)
    return chosen


def _warm_window(samples: Sequence[Sample]) -> Window | None:
    """Of the counted warm requests, without the minute of the one that may have been cold."""
    warm = [one for one in samples if one.protocol is Protocol.WARM and one.failure is None]
    counted = [one for one in warm if one.number and one.reading is None]
    if not counted:
        return None
    first = [one for one in warm if not one.number]
    after = next_minute(_time(first[-1].ended_at)) if first else _time(counted[0].started_at)
    inside = [one for one in counted if _time(one.started_at) >= after] or counted
    return Window(
        begin=_time(inside[0].started_at),
        end=_time(inside[-1].ended_at),
        requests=len(inside),
    )


def _cold_window(sample: Sample) -> Window:
    """Of one request, with room for clocks that differ as far as the pauses around it allow."""
    room = timedelta(seconds=min(_ROOM_S, sample.idle_s / 3))
    return Window(
        begin=_time(sample.started_at) - room, end=_time(sample.ended_at) + room, requests=1
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
