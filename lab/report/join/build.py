"""Runs in, ``join.json`` out. Samples of different runs are never put together."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from lab.coldstart.record import ImageRecord, Run, same_link
from lab.coldstart.summary import Headline, ratio_fields
from lab.images.variants import DEFAULT
from lab.report.compare.machines import machine_of, same_machine
from lab.report.compare.runs import Difference, differences
from lab.report.headline import TELLING
from lab.report.join.model import Joined, JoinSize, Machines, Member, Quotient, Sizes
from lab.report.rows import MeasuredRow, variant_place
from lab.report.summary import Results
from lab.report.words import KINDS, NOTHING, plural, seconds, tier
from lab.spec import FLOOR, Platform, StartKind
from lab.stats.ratios import ratio_of_medians

Key = tuple[str, str, StartKind, str]
"""Model, tier, start kind and variant: what runs may be set side by side for."""


def build(found: Sequence[Results], *, join_id: str) -> Joined:
    """Everything that the runs say side by side; the first is what others are set against."""
    first, *others = found
    timed = [native(one) for one in found]
    letters = [letter(place) for place in range(len(found))]
    return Joined(
        id=join_id,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        headline=_headline(found, timed, letters),
        runs=[_member(one, letters[place], first) for place, one in enumerate(found)],
        quotients=[
            quotient
            for place, one in enumerate(others, start=1)
            for quotient in _quotients(first, one, timed[0], timed[place], letters[place])
        ],
        sizes=list(_sizes(found, letters)),
    )


def letter(place: int) -> str:
    """``A``, ``B``, ... ``Z``, ``R27``, ..."""
    alphabet = 26
    return chr(ord("A") + place) if place < alphabet else f"R{place + 1}"


def native(one: Results) -> Mapping[Key, MeasuredRow]:
    """A run's rows with samples, less those that ran under QEMU."""
    return {
        (row.model, row.tier, row.start_kind, row.variant): measured
        for measured in one.measured
        if (row := measured.row).n and row.timed
    }


def relation(first: Results, other: Results) -> Machines:
    """Whether two runs are of one machine."""
    same = same_machine(first.recorded.run, other.recorded.run)
    return Machines.SAME if same else Machines.DIFFERENT


def _member(one: Results, name: str, first: Results) -> Member:
    run, summary = one.recorded.run, one.summary
    platform = run.engine.get("platform")
    return Member(
        letter=name,
        id=run.id,
        started_at=run.started_at,
        plan=run.plan_name,
        machine=machine_of(run),
        against_first=None if one is first else relation(first, one),
        engine_platform=None if platform is None else str(platform),
        container=summary.run.container,
        lab_version=run.lab_version,
        git_commit=run.git_commit,
        bandwidth_bits_per_s=run.bandwidth_bits_per_s,
        host=run.host,
        engine=run.engine,
        notes=run.notes,
        headline=summary.headline,
        rows=summary.rows,
        comparisons=summary.comparisons,
        findings=summary.findings,
        differences=[] if one is first else _differences(first.recorded.run, run),
    )


def _differences(first: Run, run: Run) -> list[Difference]:
    """Conditions that differ. That each has images of its own platform is not among them."""
    return [
        one
        for one in differences(first, run)
        if not (one.what.startswith("image ") and NOTHING in (one.first, one.second))
    ]


def _quotients(
    first: Results,
    other: Results,
    below: Mapping[Key, MeasuredRow],
    above: Mapping[Key, MeasuredRow],
    name: str,
) -> Iterator[Quotient]:
    if first.summary.run.container is not other.summary.run.container:
        return  # Their starts are not made of the same phases.
    for key, under in below.items():
        over = above.get(key)
        if over is None or not same_link(first.recorded.run, other.recorded.run, key[2]):
            continue
        # Two runs share no blocks: the samples of each are drawn by themselves.
        ratio = ratio_of_medians({0: over.totals}, {0: under.totals}, seed=other.recorded.run.seed)
        yield Quotient(
            model=key[0],
            tier=key[1],
            start_kind=key[2],
            variant=key[3],
            run=name,
            machines=relation(first, other),
            platforms=(over.row.platform, under.row.platform),
            **ratio_fields(ratio),
        )


def _sizes(found: Sequence[Results], letters: Sequence[str]) -> Iterator[Sizes]:
    images: dict[str, list[tuple[str, ImageRecord]]] = {}
    for name, one in zip(letters, found, strict=True):
        for image in one.recorded.run.images:
            images.setdefault(image.variant, []).append((name, image))
    for variant in sorted(images, key=variant_place):
        amd64, arm64 = (_pick(images[variant], platform) for platform in Platform)
        yield Sizes(
            variant=variant,
            amd64=amd64,
            arm64=arm64,
            compressed=_over(arm64, amd64, "compressed_bytes"),
            unpacked=_over(arm64, amd64, "unpacked_bytes"),
        )


def _pick(images: Sequence[tuple[str, ImageRecord]], platform: Platform) -> JoinSize | None:
    for name, image in images:
        if image.platform is platform:
            return JoinSize(
                run=name,
                compressed_bytes=image.compressed_bytes,
                unpacked_bytes=image.unpacked_bytes,
            )
    return None


def _over(arm64: JoinSize | None, amd64: JoinSize | None, what: str) -> float | None:
    above, below = getattr(arm64, what, None), getattr(amd64, what, None)
    return above / below if above and below else None


def _headline(
    found: Sequence[Results], timed: Sequence[Mapping[Key, MeasuredRow]], letters: Sequence[str]
) -> Headline:
    machines = _count_machines(found)
    what = f"{plural(len(found), 'run')} of {plural(machines, 'machine')}"
    shared = [key for key in timed[0] if key[3] != FLOOR and sum(key in one for one in timed) > 1]
    if not shared:
        return Headline(
            text=f"{what}, side by side: no start was measured natively in more than one.",
            detail="Times under emulation are in a table of their own and stand beside nothing.",
        )
    key = min(shared, key=lambda one: (TELLING.index(one[2]), one[3] != DEFAULT))
    told = [
        f"{seconds(one[key].row.total_s.p50)} on {name} ({one[key].row.platform})"
        for name, one in zip(letters, timed, strict=True)
        if key in one
    ]
    listed = ", ".join(told[:-1]) + f" and {told[-1]}"
    detail = f"Median, start to first prediction; {key[0]}, {tier(key[1])}."
    if machines > 1:
        detail += (
            " Between different machines everything differs at once: such a quotient compares "
            "machines, not images. What packaging is worth, each run answers for itself."
        )
    return Headline(
        text=f"{what}, side by side: {key[3]}, {KINDS[key[2]]}, takes {listed}.", detail=detail
    )


def _count_machines(found: Sequence[Results]) -> int:
    distinct: list[Results] = []
    for one in found:
        if not any(same_machine(one.recorded.run, other.recorded.run) for other in distinct):
            distinct.append(one)
    return len(distinct)
