"""What a push will do and cost, said before it does it, and refused where it costs too much."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.aws.model import Action, Order, PlanItem, PushTarget, ServingKind
from lab.coldstart.summary import Row, read_summary
from lab.cost.estimate import (
    ASSUMED,
    Estimate,
    Standing,
    Work,
    real_time_estimate,
    serverless_estimate,
)
from lab.errors import UsageError
from lab.spec import HOST_TIER, Platform

DEFAULT_MAX_HOURLY_USD: Final = 1.0
ALARMS: Final = 2
"""Of every endpoint: errors and latency."""
SCALING_ALARMS: Final = 2
"""Of target tracking: one out, one in."""

_COLOURS: Final = {Action.CREATE: "green", Action.CHANGE: "yellow", Action.KEEP: "dim"}
_UNKNOWN: Final = "unknown"


def estimate_of(
    order: Order, *, region: str, work: Work, image_bytes: int, archive_bytes: int
) -> Estimate:
    """What the ordered endpoint will cost. Bytes are those of the compressed image, the archive."""
    standing = Standing(
        image_bytes=image_bytes,
        archive_bytes=archive_bytes,
        alarms=ALARMS + (SCALING_ALARMS if order.is_scaled else 0),
    )
    if order.kind is ServingKind.SERVERLESS and order.memory_mb is not None:
        return serverless_estimate(
            memory_mb=order.memory_mb,
            max_concurrency=order.max_concurrency,
            work=work,
            standing=standing,
            region=region,
        )
    return real_time_estimate(
        instance_type=str(order.instance_type),
        instances=order.instances,
        max_instances=order.max_instances,
        work=work,
        standing=standing,
        region=region,
    )


def latest_work(order: Order, *, runs: Path, request_bytes: int) -> Work:
    """A warm request as the newest run of that variant and model has it, else an assumption.

    The newest run that has the memory tier counts before a newer one that has others. Emulated
    trials never count.
    """
    cells = (order.variant, order.model, order.platform)
    wanted = HOST_TIER.name if order.memory_mb is None else str(order.memory_mb)
    found = [(run, *row) for run in _newest_first(runs) for row in _rows(run, cells)]
    same = [one for one in found if one[1].tier == wanted]
    assumed = replace(ASSUMED, request_bytes=request_bytes)
    for run, row, seconds in (*same, *found):
        tier = "no limit" if row.tier == HOST_TIER.name else f"{row.tier} MB"
        source = f"the median second prediction of run {run.name} on this machine, {tier}"
        return replace(assumed, seconds=seconds, source=source)
    return assumed


def _newest_first(runs: Path) -> Sequence[Path]:
    folders = [one for one in runs.glob("*") if one.is_dir() and not one.is_symlink()]
    return sorted(folders, key=lambda folder: folder.name, reverse=True)


def _rows(run: Path, cells: tuple[str, str, Platform]) -> Iterator[tuple[Row, float]]:
    """The run's rows with their medians of a warm request, in seconds."""
    try:
        summary = read_summary(run)
    except UsageError:
        return  # another kind of run, or one that broke off
    for row in summary.rows:
        seconds = row.second_prediction_s.p50
        same = (row.variant, row.model, row.platform) == cells
        if same and row.timed and seconds is not None:
            yield row, seconds


def refuse_over_budget(estimate: Estimate, *, max_hourly_usd: float | None) -> None:
    """Raise ``UsageError`` if the dearest hour costs more than allowed; None allows the default.

    A price that is not known is only accepted with a limit that the user has set.
    """
    most = estimate.most_usd_per_hour
    if most is None:
        if max_hourly_usd is None:
            raise UsageError(
                "The price of this instance type is not in the lab's table.",
                remedy="Look it up, and allow it with --max-hourly-usd PRICE.",
            )
        return
    allowed = DEFAULT_MAX_HOURLY_USD if max_hourly_usd is None else max_hourly_usd
    if most > allowed:
        raise UsageError(
            f"The dearest hour would cost {dollars(most)}, more than the {dollars(allowed)} "
            "allowed.",
            remedy="Order less memory, concurrency or instances, or raise --max-hourly-usd.",
        )


def dollars(amount: float | None) -> str:
    """Two decimals from a cent on, three figures below: ``$0.0000344``, ``$1.20``, ``$168.00``."""
    if amount is None:
        return _UNKNOWN
    if amount == 0:
        return "$0"
    if abs(amount) >= 0.01:
        return f"${amount:,.2f}"
    return _in_full(float(f"{amount:.3g}"))


def _in_full(amount: float) -> str:
    # Nobody reads 3.44e-05 as money.
    return f"${amount:.10f}".rstrip("0")


def show_plan(
    items: Sequence[PlanItem], estimate: Estimate, *, target: PushTarget, undo: str
) -> RenderableType:
    """For a terminal: what is made, what it costs, how it is undone."""
    parts: list[RenderableType] = [_items(items)]
    if target is PushTarget.AWS:
        parts += [Text(), _costs(estimate), *_basis(estimate)]
    else:
        parts += [Text(), Text("Costs nothing: the emulator runs on this machine.")]
    return Group(*parts, Text(), Text(f"Undo it all: {undo}", style="bold"))


def changes(items: Sequence[PlanItem]) -> bool:
    """Whether there is anything to do."""
    return any(item.action is not Action.KEEP for item in items)


def _items(items: Sequence[PlanItem]) -> Table:
    table = Table(title="Plan", title_justify="left", title_style="bold")
    for heading in ("", "what", "name", "detail"):
        table.add_column(heading, overflow="fold")
    for item in items:
        action = Text(item.action.value, style=_COLOURS[item.action])
        table.add_row(action, Text(item.kind), Text(item.name), Text(item.detail))
    return table


def _costs(estimate: Estimate) -> Table:
    table = Table(title="Cost, estimated", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("USD", justify="right")
    for words, amount in (
        ("an idle hour", estimate.idle_usd_per_hour),
        ("the dearest hour", estimate.most_usd_per_hour),
        ("1,000 requests", estimate.usd_per(1_000)),
        ("1,000,000 requests", estimate.usd_per(1_000_000)),
        ("a month of image, archive and alarms", estimate.kept_usd_per_month),
        ("a month if it is forgotten", estimate.forgotten_usd_per_month),
    ):
        table.add_row(words, dollars(amount))
    return table


def _basis(estimate: Estimate) -> Sequence[Text]:
    work = estimate.work
    oldest = min(row.as_of for row in estimate.prices)
    rows = ", ".join(f"{row.item} {_in_full(row.usd)}/{row.unit}" for row in estimate.prices)
    size = f"{work.request_bytes:,} bytes in, {work.response_bytes:,} out"
    lines = (
        f"A request: {work.seconds * 1000:.0f} ms ({work.source}), {size}.",
        f"Prices as of {oldest} or later, without free tiers: {rows}.",
        "Their sources are in lab/cost/prices.csv.",
        *estimate.notes,
    )
    return [Text(line, style="dim") for line in lines]
