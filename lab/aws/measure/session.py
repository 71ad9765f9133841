"""``lab push measure``: the study's two protocols against an endpoint, within a bound on the cost.

Every request is written down as it ends, so Ctrl-C, credentials that run out and a full disk lose
nothing, and the measurement goes on later. Pauses are counted from one answer to the next request.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lab.aws.access.errors import CallError
from lab.aws.answers import read_answer
from lab.aws.invoke import Endpoint, NotNowError
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.metrics import EndpointMetrics, cold_window, warm_window
from lab.aws.measure.record import (
    MeasuredRequest,
    MeasuredSubject,
    MetricReading,
    MetricsFile,
    Protocol,
)
from lab.aws.measure.spending import SLOWEST_S, busy_s, cost_usd
from lab.aws.measure.summary import counted, summarise
from lab.aws.measure.task import MeasureOptions, Task, new_run, refuse_another
from lab.aws.model import AwsError, ServingKind
from lab.awserrors import ErrorKind
from lab.errors import EndpointError, UsageError
from lab.progress import Progress, Step
from lab.units import format_seconds

_FAILURES: Final = 3
"""In a row: the endpoint is not measured but broken."""

_TICK_S: Final = 1.0
_PASSING: Final = (ErrorKind.MODEL, ErrorKind.SERVICE, ErrorKind.THROTTLED, ErrorKind.CONNECTION)
"""Of one request; all other troubles would be those of the next one too."""


class MeasureClock:
    """The time, and waiting for it: the machine's own."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds, from anywhere."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def measure(
    endpoint: Endpoint,
    task: Task,
    *,
    metrics: EndpointMetrics,
    progress: Progress,
    resume: MeasureFolder | None = None,
    clock: MeasureClock | None = None,
) -> MeasureFolder:
    """Measure the endpoint; the folder that keeps all, with its summary.

    With ``resume`` only what that measurement lacks is asked; the task's options and rates are then
    best ``options_of`` it and its rates. Raises ``UsageError`` for what cannot be measured,
    and ``AwsError`` when the endpoint fails several times in a row; samples are kept either way.
    """
    subject, options = task.subject, task.options
    if subject.kind is ServingKind.REAL_TIME and tuple(options.protocols) == (Protocol.COLD,):
        raise UsageError(
            f"{subject.endpoint} is a real-time endpoint: it has no cold starts to measure.",
            remedy="Measure it warm: --protocol warm.",
        )
    if resume is not None:
        refuse_another(resume.run(), task)
        resume.mend()
    clock = clock or MeasureClock()
    folder = resume or MeasureFolder.create(new_run(task, clock.now()))
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


@dataclass(kw_only=True)
class _Session:
    """One sitting: the samples before it count, for what is missing and for what it may cost."""

    endpoint: Endpoint
    task: Task
    metrics: EndpointMetrics
    folder: MeasureFolder
    progress: Progress
    clock: MeasureClock

    def __post_init__(self) -> None:
        self._samples = list(self.folder.samples())
        before = self.folder.metrics()
        self._asked_before = before.asked if before else 0

    def run(self, protocols: Sequence[Protocol]) -> str:
        """All requests that are missing; why it ended early, if it did."""
        for protocol in protocols:
            if stopped := self._series(protocol):
                return stopped
        return ""

    def spent(self) -> float:
        return cost_usd(
            self.task.rates,
            self._samples,
            request_bytes=len(self.task.payload.body),
            metrics=self._asked_before + self.metrics.asked,
        )

    def read_metrics(self) -> None:
        """What CloudWatch tells of the samples that nothing else told of."""
        silent = [
            one
            for one in self._samples
            if one.number and one.failure is None and one.reading is None
        ]
        if not silent:
            return
        cold = {one.number: one for one in silent if one.protocol is Protocol.COLD}
        warm = warm_window(self._samples)
        windows = [*([warm] if warm else []), *(cold_window(one) for one in cold.values())]
        with self.progress.step(f"Read the metrics of {self.endpoint.name}") as step:
            readings = list(
                self.metrics.later(windows, wait_s=self.task.options.metrics_wait_s, step=step)
            )
        if not any(readings):
            self.progress.note(
                f"The endpoint's own metrics told nothing of {len(silent)} of the requests."
            )
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

    def _series(self, protocol: Protocol) -> str:
        warm = protocol is Protocol.WARM
        wanted = self.task.options.warm_n if warm else self.task.options.cold_n
        pause_s = self.task.options.warm_pause_s if warm else self.task.options.cold_idle_s
        done = {one.number for one in counted(self._samples, protocol)}
        missing = [number for number in range(1, wanted + 1) if number not in done]
        if not missing:
            return ""
        with self.progress.step(f"{wanted} {protocol} requests to {self.endpoint.name}") as step:
            # The first may start a container, and does not count.
            if warm and (stopped := self._request(protocol, 0, 0.0, step)):
                return stopped
            for number in missing:
                step.advance(number - 1, wanted)
                if stopped := self._request(protocol, number, pause_s, step):
                    return stopped
        return ""

    def _request(self, protocol: Protocol, number: int, pause_s: float, step: Step) -> str:
        """Wait and ask once; why not, when that could cost more than is allowed."""
        spent = self.spent()
        if spent + self._next_usd(pause_s) > self.task.options.max_usd:
            return (
                f"Stopped at {spent:.4f} USD: the next request could go beyond the bound of "
                f"{self.task.options.max_usd:g} USD. Raise --max-usd to go on with "
                f"`lab push measure --resume {self.folder.path.name}`."
            )
        self._pause(pause_s, step, f"{spent:.4f} of {self.task.options.max_usd:g} USD")
        if protocol is Protocol.COLD:
            self.endpoint.cool()
        sample = self._ask(protocol, number, pause_s)
        self._samples.append(sample)
        self.folder.append(sample)
        self._refuse_broken()
        return ""

    def _ask(self, protocol: Protocol, number: int, idle_s: float) -> MeasuredRequest:
        body, kind = self.task.payload.body, self.task.payload.content_type
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
        return MeasuredRequest(
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

    def _alone(self) -> MetricReading | None:
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
        return self.task.rates.usd(
            answering_s=slowest,
            present_s=slowest + pause_s,
            data_bytes=len(self.task.payload.body)
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


def _protocols(
    subject: MeasuredSubject, options: MeasureOptions, progress: Progress
) -> Sequence[Protocol]:
    chosen = [one for one in Protocol if one in options.protocols]
    if subject.kind is ServingKind.REAL_TIME and Protocol.COLD in chosen:
        progress.note("A real-time endpoint has no cold starts: only warm requests are made.")
        chosen.remove(Protocol.COLD)
    return chosen
