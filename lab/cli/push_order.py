"""What is to be pushed: from flags, and asked for where somebody can be asked."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from rich.prompt import Prompt

from lab.artifacts import store
from lab.aws.model import Order, ServingKind
from lab.cli.console import err
from lab.endpoint.instances import platform_of
from lab.errors import UsageError
from lab.images.variants import DEFAULT, runtime_of, serving
from lab.spec import SERVERLESS_TIERS, Platform

_LONGEST: Final = 32
_MEMORIES: Final = tuple(str(tier.memory_mb) for tier in SERVERLESS_TIERS)
_MEMORY: Final = "2048"
_INSTANCE: Final = "ml.m5.xlarge"


@dataclass(frozen=True, kw_only=True)
class Given:
    """The flags; None where one was not given."""

    variant: str | None
    model: str | None
    kind: ServingKind | None
    memory_mb: int | None
    instance_type: str | None
    endpoint: str | None
    platform: Platform | None
    max_concurrency: int
    instances: int
    max_instances: int | None


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def complete(given: Given, *, may_ask: bool) -> Order:
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
    model = given.model or choice("Which model", store.models(), store.models()[0])
    kind = given.kind or ServingKind(
        choice("How is it hosted", [*ServingKind], ServingKind.SERVERLESS)
    )
    memory, instance = given.memory_mb, given.instance_type
    if kind is ServingKind.SERVERLESS:
        _refuse(instance, "--instance-type", kind)
        memory = memory or int(choice("How much memory, in MB", _MEMORIES, _MEMORY))
    else:
        _refuse(memory, "--memory", kind)
        instance = instance or _text("On which instance type", _INSTANCE)
    store.folder(model)
    runtime_of(name)
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


def _missing(given: Given) -> Sequence[str]:
    """All at once: a flag at a time would take as many attempts."""
    wanted: list[tuple[str, Any]] = [
        ("--variant", given.variant),
        ("--model", given.model),
        ("--kind", given.kind),
        ("--instance-type", given.instance_type)
        if given.kind is ServingKind.REAL_TIME
        else ("--memory", given.memory_mb),
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
