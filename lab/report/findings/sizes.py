"""What an image's bytes cost, and what is in them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from statistics import linear_regression
from typing import Any, Final

from lab.coldstart.plan import variant_name
from lab.coldstart.record import ImageRecord, Layer, Run
from lab.coldstart.summary import Finding, Row
from lab.report import chunks
from lab.report.findings.boot import WorstRule
from lab.report.findings.texts import finding
from lab.report.recorded import Recorded
from lab.report.rows import MeasuredRow
from lab.report.words import count_bytes, percent, plural, seconds, start_of, tier
from lab.spec import FLOOR, Phase, StartKind
from lab.units import format_rate

PULL_DOMINATES: Final = 0.5
MATTERS_S: Final = 0.5
LONG_S: Final = 5.0
"""Seconds of getting an image that are worth a word however long the rest takes."""
FULL_LINK: Final = 0.7
"""Share of the link's speed from which the link is said to be the limit."""
UNREAD: Final = 0.3
"""Share of an image that no start reads from which that is worth a word."""

_COMMAND_WIDTH = 90
_FEWEST = 3


def bytes_and_time(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """What each 100 MB cost when pulled, by least squares over the variants."""
    by_group: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for one in measured:
        row = one.row
        if (
            row.start_kind is StartKind.PULL
            and row.image_compressed_bytes
            and row.total_s.p50
            and row.timed
        ):
            point = (row.image_compressed_bytes / 1e8, _pulling(row))
            by_group.setdefault(row.group, []).append(point)
    for (model, _platform, memory), points in by_group.items():
        if len(points) < _FEWEST:
            continue
        least, most = min(x for x, _ in points), max(x for x, _ in points)
        if least == most:
            continue
        slope = linear_regression(*zip(*points, strict=True)).slope
        widest = most - least
        if slope <= 0 or slope * widest < MATTERS_S:
            continue
        yield finding(
            "bytes_and_time",
            title=f"Each 100 MB of compressed image costs about {seconds(slope)} when pulled",
            seen=f"Least squares over {plural(len(points), 'image')} of "
            f"{count_bytes(least * 1e8)} to {count_bytes(most * 1e8)} ({model}, {tier(memory)}).",
            stake_s=slope * widest,
        )
        return


def _pulling(row: Row) -> float:
    return row.phases_s.get(Phase.IMAGE_PULL, 0.0) + row.phases_s.get(Phase.IMAGE_UNPACK, 0.0)


def _dominating(row: Row) -> float | None:
    taken = _pulling(row)
    whole = row.total_s.p50 or 0.0
    lasting = taken >= MATTERS_S and (taken >= PULL_DOMINATES * whole or taken >= LONG_S)
    return taken if lasting and row.variant != FLOOR else None


def _pull_seen(row: Row, recorded: Recorded) -> str:
    return (
        f"{percent(_pulling(row) / (row.total_s.p50 or 1.0))}, "
        f"{seconds(row.phases_s.get(Phase.IMAGE_PULL))} to download and "
        f"{seconds(row.phases_s.get(Phase.IMAGE_UNPACK))} more to unpack "
        f"{count_bytes(row.image_compressed_bytes)}{_link(row, recorded.run)}."
        f"{_largest_layer(row, recorded.run)}"
    )


def _image(row: Row, run: Run) -> ImageRecord | None:
    cell = (row.variant, row.platform)
    return next((one for one in run.images if (one.variant, one.platform) == cell), None)


def _size(layer: Layer) -> int:
    return layer.compressed_bytes or layer.unpacked_bytes


def _command(layer: Layer) -> str:
    command = " ".join(layer.created_by.split()) or "no command known"
    return command if len(command) <= _COMMAND_WIDTH else command[: _COMMAND_WIDTH - 1] + "…"


def _advise(row: Row, recorded: Recorded) -> Mapping[str, Any]:
    """The command that names what to take out, for a remedy."""
    image = _image(row, recorded.run)
    own = recorded.run.plan.get("own") or {}
    mine = variant_name(str(own.get("image"))) == row.variant
    payload = shlex.quote(str(own.get("payload"))) if mine else "FILE"
    name = shlex.quote(image.ref) if image else "IMAGE"
    return {"advise": f"`lab images advise {name} --payload {payload}`"}


def _largest_layer(row: Row, run: Run) -> str:
    image = _image(row, run)
    if image is None or not image.layers:
        return ""
    largest = max(image.layers, key=_size)
    size = _size(largest)
    whole = (
        image.compressed_bytes
        if largest.compressed_bytes and image.compressed_bytes
        else image.unpacked_bytes
    )
    share = percent(size / whole) if whole else "most"
    return f" Largest layer, {count_bytes(size)} or {share}: {_command(largest)}."


def _link(row: Row, run: Run) -> str:
    download = row.phases_s.get(Phase.IMAGE_PULL, 0.0)
    link = run.bandwidth_bits_per_s
    if not link or not download or not row.image_compressed_bytes:
        return ""
    rate = row.image_compressed_bytes * 8 / download
    limit = "the link is the limit" if rate >= FULL_LINK * link else "the link is not the limit"
    return f" (downloading at {percent(rate / link)} of {format_rate(link)}: {limit})"


def unread(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """What a pull waits for and an on-demand start does not, where both were measured."""
    pulls = {one.row.cell: one.row for one in measured if one.row.n and one.row.timed}
    found: dict[str, tuple[float, str, Row]] = {}
    for one in measured:
        row = one.row
        pull = pulls.get(row.cell.model_copy(update={"start_kind": StartKind.PULL}))
        if row.chunks is None or pull is None or not row.timed or row.variant == FLOOR:
            continue
        share, waited = 1 - chunks.share_read(row.chunks), row.chunks.wait_s
        if share >= UNREAD and _pulling(pull) - waited >= MATTERS_S:
            seen = (
                f"{row.variant}: {percent(share)} of {count_bytes(row.chunks.image_bytes)}; "
                f"getting it takes {seconds(_pulling(pull))} of a pull start, {seconds(waited)} "
                f"of an on-demand one ({row.model}, {tier(row.tier)})."
            )
            if row.variant not in found or share > found[row.variant][0]:
                found[row.variant] = share, seen, row
    if found:
        told = sorted(found.values(), key=lambda one: -one[0])
        yield finding(
            "unread",
            title=f"Up to {percent(told[0][0])} of an image is never read, and costs a pull only: "
            f"{', '.join(row.variant for *_, row in told)}",
            seen="\n".join(seen for _, seen, _ in told),
            cells=[row for *_, row in told],
            **_advise(told[0][2], recorded),
        )


def _waiting(row: Row) -> float | None:
    taken, whole = row.chunk_wait_s or 0.0, row.total_s.p50 or 0.0
    lasting = taken >= MATTERS_S and (taken >= PULL_DOMINATES * whole or taken >= LONG_S)
    return taken if lasting and row.variant != FLOOR else None


def _waiting_seen(row: Row, _: Recorded) -> str:
    if row.chunks is None:
        return ""
    most = chunks.longest_wait(row.chunks)
    return (
        f"{percent((row.chunk_wait_s or 0.0) / (row.total_s.p50 or 1.0))}, for "
        f"{chunks.read(row.chunks)}, over {chunks.link(row.chunks)}"
        f"{f'; most in {most}' if most else ''} ({start_of(row)})."
    )


def _larger_part(row: Row) -> str:
    unpack, download = (row.phases_s.get(p, 0.0) for p in (Phase.IMAGE_UNPACK, Phase.IMAGE_PULL))
    return "unpack_dominates" if unpack > download else "pull_dominates"


RULES: Final = (
    WorstRule(
        name=_larger_part,
        title="Getting the image takes {stake} of a pull start: {variants}",
        stake=_dominating,
        seen=_pull_seen,
        values=_advise,
    ),
    WorstRule(
        name="chunks_dominate",
        title="Waiting for what is read takes {stake} of an on-demand start: {variants}",
        stake=_waiting,
        seen=_waiting_seen,
        values=_advise,
    ),
    unread,
    bytes_and_time,
)
