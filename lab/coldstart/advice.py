"""What to do about a failed trial: what the container's end says, and which command says more."""

import shlex
from collections.abc import Mapping
from typing import Any, Final

from lab.coldstart.plan import variant_name
from lab.coldstart.record import Cell, Failure, FailureKind
from lab.spec import FLOOR

_RULES: Final[Mapping[FailureKind, tuple[str, ...]]] = {
    FailureKind.EARLY_EXIT: ("serve",),
    FailureKind.OOM: ("serve",),
    FailureKind.NEVER_READY: ("serve", "port", "ping", "start-time"),
    FailureKind.INVOCATION: ("invocation",),
    FailureKind.TOO_EARLY: ("ping-loaded",),
}
"""Which rules of the contract try what failed."""


def remedy(failure: Failure, otherwise: str, *, plan: Mapping[str, Any], cell: Cell) -> str:
    """The cure that fits the container's end, or else the words for failures of its kind; and the
    command that tries that one start. ``plan`` is the run's.
    """
    command = check_command(failure.kind, plan=plan, cell=cell)
    tries = f"`{command}` tries it on its own." if command else ""
    return f"{failure.cure or otherwise} {tries}".rstrip()


def check_command(kind: FailureKind, *, plan: Mapping[str, Any], cell: Cell) -> str:
    """The contract check that says of an image what a failed trial says; empty where none does."""
    rules = _RULES.get(kind)
    if rules is None or cell.variant == FLOOR:
        return ""
    own = plan.get("own")
    if own is not None and variant_name(own["image"]) == cell.variant:
        words = [own["image"]]
        for key in ("payload", "content_type", "model_data"):
            if own.get(key):
                words += [f"--{key.replace('_', '-')}", str(own[key])]
    else:
        words = [cell.variant, "--model-data", cell.model]
    only = [word for rule in rules for word in ("--only", rule)]
    return shlex.join(["lab", "contract", "check", *words, *only])
