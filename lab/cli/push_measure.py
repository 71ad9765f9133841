"""``lab push measure``: the study's protocols against an endpoint that was pushed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import typer

from lab.aws.access.session import AwsSession, open_session
from lab.aws.answers import payload_of
from lab.aws.invoke import AwsEndpoint, Endpoint, LocalEndpoint
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.metrics import CloudWatch, EmulatorMetrics, EndpointMetrics
from lab.aws.measure.record import MeasuredSubject, Protocol
from lab.aws.measure.session import measure as run_measure
from lab.aws.measure.spending import rates_of
from lab.aws.measure.task import (
    MeasureOptions,
    Task,
    expected_s,
    on_aws,
    on_emulator,
    options_of,
)
from lab.aws.model import PREFIX, DeploymentNames, PushTarget
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.opened import emulator
from lab.cli.push_order import EndpointFlag, ProfileFlag, TargetFlag, choice, on_terminal
from lab.endpoint.client import EmulatorClient
from lab.errors import UsageError
from lab.report.compare import measured_out

_DEFAULT: Final = MeasureOptions()


def measure(  # noqa: PLR0913, PLR0917 - each is a flag
    endpoint: EndpointFlag = None,
    target: TargetFlag = PushTarget.AWS,
    profile: ProfileFlag = None,
    region: str | None = typer.Option(None, help="Where, if the profile does not say."),
    protocol: list[Protocol] = typer.Option(
        list(_DEFAULT.protocols), help="Warm, cold, or both by default; repeatable."
    ),
    warm_n: int = typer.Option(_DEFAULT.warm_n, min=1, help="Warm requests, after one uncounted."),
    warm_pause: float = typer.Option(_DEFAULT.warm_pause_s, min=0, help="Seconds between them."),
    cold_n: int = typer.Option(_DEFAULT.cold_n, min=1, help="Cold requests."),
    cold_idle: float = typer.Option(
        _DEFAULT.cold_idle_s, min=0, help="Seconds of idle time before each."
    ),
    max_usd: float = typer.Option(_DEFAULT.max_usd, min=0, help="Stop before it costs more."),
    hour_usd: float | None = typer.Option(
        None, min=0, help="An hour of all its instances, where the lab knows no price."
    ),
    metrics_wait: float = typer.Option(
        _DEFAULT.metrics_wait_s, min=0, help="Seconds to wait for CloudWatch at the end."
    ),
    payload: Path | None = typer.Option(None, help="What to ask; else what its clients send."),
    content_type: str | None = typer.Option(None, help="The payload's type."),
    resume: str | None = typer.Option(None, help="Go on with a measurement, by its run's name."),
) -> None:
    """Measure an endpoint warm (1 + 25 requests, 5 s apart) and cold (10, 15 minutes apart).

    The run folder holds every request as it ends; `lab report compare` sets it beside a local run.
    """
    before = None if resume is None else MeasureFolder.find(resume)
    if before is not None:
        known = before.run().subject
        endpoint, target = known.endpoint, known.target
        region = region or (known.region if target is PushTarget.AWS else None)
    progress = ConsoleProgress()
    with _measured(target, endpoint, profile, region) as (asked, subject, metrics):
        if before is None:
            options = MeasureOptions(
                protocols=tuple(dict.fromkeys(protocol)),
                warm_n=warm_n,
                warm_pause_s=warm_pause,
                cold_n=cold_n,
                cold_idle_s=cold_idle,
                max_usd=max_usd,
                metrics_wait_s=metrics_wait,
            )
            rates = rates_of(
                target,
                subject.kind,
                memory_mb=subject.memory_mb,
                instance_type=subject.instance_type,
                instances=subject.instances,
                hour_usd=hour_usd,
            )
        else:
            # What stopped at its bound goes on with a higher one.
            kept = options_of(before)
            options = replace(kept, max_usd=max(kept.max_usd, max_usd))
            rates = before.run().rates
        task = Task(
            subject=subject,
            payload=payload_of(subject.model, payload, content_type=content_type),
            rates=rates,
            options=options,
        )
        _tell_pauses(subject, options, progress)
        folder = run_measure(asked, task, metrics=metrics, progress=progress, resume=before)
    page = measured_out.write(folder)
    out.print(measured_out.document(folder).to_terminal())
    print_line(f"\nReport: {page}")
    beside = f"Beside a local run: lab report compare latest {folder.path.name}"
    print_line(beside)


def _tell_pauses(
    subject: MeasuredSubject, options: MeasureOptions, progress: ConsoleProgress
) -> None:
    minutes = expected_s(subject, options) / 60
    if minutes >= 1:
        progress.note(
            f"The pauses alone take {minutes:.0f} minutes. Ctrl-C keeps what was measured by then."
        )


def names_on(client: EmulatorClient, endpoint: str) -> DeploymentNames:
    """The names of an endpoint on the emulator."""
    where = client.addresses
    return DeploymentNames.of(endpoint, account=where.account, region=where.region)


def listed(aws: AwsSession) -> Sequence[str]:
    """Endpoints in this region whose names are like the lab's."""
    found = aws.every("sagemaker", "list_endpoints", "Endpoints", NameContains=f"{PREFIX}-")
    return [str(one["EndpointName"]) for one in found]


def which(endpoint: str | None, there: Sequence[str]) -> str:
    """The name behind the lab's prefix: as given, the only one there is, or as chosen."""
    start = f"{PREFIX}-"
    if endpoint is not None:
        return endpoint.removeprefix(start)
    ours = sorted(name.removeprefix(start) for name in there if name.startswith(start))
    if len(ours) == 1:
        return ours[0]
    if not ours:
        raise UsageError("No endpoint of the lab's is there.", remedy="Name one with --endpoint.")
    if not on_terminal():
        raise UsageError("There are several endpoints.", remedy=f"Add --endpoint {ours[0]}.")
    return choice("Which endpoint", ours)


@contextmanager
def _measured(
    target: PushTarget, endpoint: str | None, profile: str | None, region: str | None
) -> Iterator[tuple[Endpoint, MeasuredSubject, EndpointMetrics]]:
    if target is PushTarget.LOCAL:
        with emulator() as client:
            there = [str(one["EndpointName"]) for one in client.endpoints()]
            names = names_on(client, which(endpoint, there))
            subject = on_emulator(client, names)
            metrics = EmulatorMetrics(client, names.endpoint)
            yield LocalEndpoint(client, names.endpoint), subject, metrics
        return
    with open_session(profile=profile, region=region) as aws:
        name = which(endpoint, [] if endpoint else listed(aws))
        names = DeploymentNames.of(name, account=aws.account, region=aws.region)
        subject = on_aws(aws, names)
        yield AwsEndpoint(aws, names.endpoint), subject, CloudWatch(aws, names.endpoint)
