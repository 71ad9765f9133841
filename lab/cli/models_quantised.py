"""An int8 model beside the float one it was made of, as its card has it."""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lab.cost.charges import billed_s, serverless_use
from lab.cost.prices import PriceTable
from lab.units import format_bytes

MEMORY_MB: Final = 1024
"""The smallest serverless memory, for which the price is told."""
_MILLION: Final = 1_000_000


def quantised_table(card: Mapping[str, Any]) -> Group | None:
    """Bytes, times, price and kappa of both; None for the card of a model that is no int8 one."""
    found: Mapping[str, Any] | None = card.get("quantised")
    if found is None:
        return None
    table = Table(
        title=f"Beside {found['of']}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("")
    for name in ("float", "int8"):
        table.add_column(name, justify="right")
    sides: list[Mapping[str, Any]] = [
        found["float"],
        {**found["int8"], "qwk": card["metrics"]["qwk"]},
    ]
    table.add_row("model file", *(format_bytes(one["bytes"]) for one in sides))
    for key, said in (("load_ms", "load"), ("first_ms", "first"), ("warm_ms", "warm")):
        table.add_row(said, *(f"{one[key]:.1f} ms" for one in sides))
    table.add_row("a million warm", *(f"${_usd(one['warm_ms']):.2f}" for one in sides))
    table.add_row("kappa", *(f"{one['qwk']:.3f}" for one in sides))
    return Group(table, Text(_words(found)))


def _usd(warm_ms: float) -> float:
    """A million warm predictions at ``MEMORY_MB``, compute alone, by this processor's times."""
    use = serverless_use(seconds=billed_s(warm_ms / 1000), memory_mb=MEMORY_MB)
    return _MILLION * (PriceTable.packaged().cost(use).usd or 0.0)


def _words(found: Mapping[str, Any]) -> str:
    agreed, on = found["agreement"], found["processor"]
    left = ", ".join(found["excluded"]) or "none"
    vnni = "with VNNI" if on["vnni"] else "without VNNI: weights of 7 bits"
    return (
        f"int8 is {found['verdict']}.\n"
        f"Same grade for {agreed['value']:.1%} of {agreed['n']} held-out eyes "
        f"({agreed['low']:.1%} to {agreed['high']:.1%}); a probability differs by "
        f"{found['max_abs_difference']:.2g} at most. Layers left in float: {left}.\n"
        f"{_repaired(found)}"
        f"{on['model']}, {on['architecture']}, {vnni}; all cores, fresh processes by turns.\n"
        f"Price: serverless, {MEMORY_MB} MB, compute alone, if AWS's processor took as long."
    )


def _repaired(found: Mapping[str, Any]) -> str:
    """That it is not the float model rounded, where it is not: kappa alone would hide it."""
    if not found.get("repaired"):
        return ""
    return (
        f"Its head was taught anew, on what int8 makes of the eyes: int8 alone lost "
        f"{found['tried'][0]['loss']:.3f} of kappa on eyes to learn from.\n"
    )
