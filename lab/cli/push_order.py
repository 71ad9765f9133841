"""What is to be pushed: from flags, and asked for where somebody can be asked."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.prompt import Prompt

from lab.artifacts import store
from lab.aws.model import Order, PushTarget, ServingKind
from lab.cli.console import err
from lab.endpoint.instances import platform_of
from lab.errors import UsageError
from lab.images.variants import DEFAULT, runtime_of, serving
from lab.spec import SERVERLESS_TIERS, Platform

_LONGEST: Final = 32
_MEMORIES: Final = tuple(str(tier.memory_mb) for tier in SERVERLESS_TIERS)
_MEMORY: Final = "2048"
_INSTANCE: Final = "ml.m5.xlarge"


TargetFlag = Annotated[PushTarget, typer.Option(help="AWS, or the lab's own emulator.")]
ProfileFlag = Annotated[str | None, typer.Option(help="A profile of AWS's own configuration.")]
RegionFlag = Annotated[
    str | None, typer.Option(help="Where, if the profile does not say or says another.")
]
EndpointFlag = Annotated[str | None, typer.Option(help="Its name, as it was given to the push.")]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """The flags of ``lab push aws``; None where one was not given."""

    variant: Annotated[str | None, typer.Option(help="Which variant's image.")] = None
    model: Annotated[str | None, typer.Option(help="Which model.")] = None
    kind: Annotated[ServingKind | None, typer.Option(help="How it is hosted.")] = None
    memory: Annotated[int | None, typer.Option(help="Serverless: MB, 1024 to 6144.")] = None
    max_concurrency: Annotated[int, typer.Option(min=1, help="Serverless: requests at a time.")] = 5
    instance_type: Annotated[str | None, typer.Option(help="Real time, e.g. ml.m5.xlarge.")] = None
    instances: Annotated[int, typer.Option(min=1, help="Real time: how many.")] = 1
    max_instances: Annotated[
        int | None,
        typer.Option(
            min=1, help="Real time: as many as autoscaling may make of them; none by default."
        ),
    ] = None
    endpoint: Annotated[
        str | None,
        typer.Option(help="Its name, behind `inference-lab-`; else made from model and variant."),
    ] = None
    platform: Annotated[
        Platform | None,
        typer.Option(help="The image's; by default what the instance type runs."),
    ] = None
    target: TargetFlag = PushTarget.AWS
    profile: ProfileFlag = None
    region: RegionFlag = None
    max_hourly_usd: Annotated[
        float | None,
        typer.Option(min=0, help="Refuse what could cost more than that an hour.  [default: 1.00]"),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look and plan; write nothing.")
    ] = False
    yes: YesFlag = False
    payload: Annotated[
        Path | None, typer.Option(help="What to ask it at the end; else what clients send.")
    ] = None
    content_type: Annotated[str | None, typer.Option(help="The payload's type.")] = None
    contract: Annotated[bool, typer.Option(help="Try the image against the contract before.")] = (
        True
    )
    verify: Annotated[bool, typer.Option(help="Ask the endpoint at the end, and compare.")] = True


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def complete(given: PushOptions, *, may_ask: bool) -> Order:
    """An order, with what is missing asked for.

    Raises ``UsageError`` that names the missing flags where nobody can be asked, and for what can
    never be deployed.
    """
    if not may_ask and (missing := _missing(given)):
        raise UsageError(
            f"What to push is not said: {', '.join(missing)}.",
            remedy=f"E.g. --variant {DEFAULT} --model retinopathy-mobilenet --kind serverless "
            "--memory 2048.",
        )
    name = given.variant or choice("Which variant", [*serving()], DEFAULT)
    model = given.model or choice("Which model", store.models(), store.DEFAULT)
    kind = given.kind or ServingKind(
        choice("How is it hosted", [*ServingKind], ServingKind.SERVERLESS)
    )
    memory, instance = given.memory, given.instance_type
    if kind is ServingKind.SERVERLESS:
        _refuse(instance, "--instance-type", kind)
        memory = memory or int(choice("How much memory, in MB", _MEMORIES, _MEMORY))
    else:
        _refuse(memory, "--memory", kind)
        instance = instance or _text("On which instance type", _INSTANCE)
    store.check(model, runtime_of(name))
    return Order(
        endpoint=given.endpoint or default_endpoint(model, name),
        variant=name,
        model=model,
        kind=kind,
        platform=given.platform or platform_of(instance),
        memory_mb=memory,
        max_concurrency=given.max_concurrency,
        instance_type=instance,
        instances=given.instances,
        max_instances=given.instances if given.max_instances is None else given.max_instances,
    )


def default_endpoint(model: str, variant: str) -> str:
    """A name that says what it serves."""
    return f"{model}-{variant}"[:_LONGEST].rstrip("-")


def agreed(question: str, *, yes: bool, may_ask: bool) -> bool:
    """Whether the user wants it. Raises ``UsageError`` where nobody can be asked."""
    if yes:
        return True
    if not may_ask:
        raise UsageError(
            f"{question} There is nobody to ask here, so nothing was done.",
            remedy="Agree beforehand with --yes.",
        )
    return typer.confirm(question, err=True)


def _missing(given: PushOptions) -> Sequence[str]:
    """All at once: a flag at a time would take as many attempts."""
    wanted: list[tuple[str, Any]] = [
        ("--variant", given.variant),
        ("--model", given.model),
        ("--kind", given.kind),
        ("--instance-type", given.instance_type)
        if given.kind is ServingKind.REAL_TIME
        else ("--memory", given.memory),
    ]
    return [flag for flag, value in wanted if value is None]


def choice(question: str, among: Sequence[str], default: str | None = None) -> str:
    """One of several, asked for on standard error. Raises ``typer.Abort`` at the end of input."""
    return _asked(question, choices=list(among), default=default)


def _text(question: str, default: str) -> str:
    return _asked(question, choices=None, default=default)


def _asked(question: str, *, choices: list[str] | None, default: str | None) -> str:
    fallback: Any = ... if default is None else default  # Rich's word for: there is none
    try:
        return str(Prompt.ask(question, console=err, choices=choices, default=fallback))
    except EOFError:
        raise typer.Abort from None


def _refuse(value: Any, flag: str, kind: ServingKind) -> None:
    if value is not None:
        raise UsageError(f"{flag} is not for a {kind} endpoint.", remedy=f"Leave {flag} out.")
