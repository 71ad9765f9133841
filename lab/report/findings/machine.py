"""What the machine does to the figures: its clocks, its limits, its stand-ins."""

from collections.abc import Iterator, Sequence
from typing import Final

from lab.busy import told
from lab.coldstart.record import Sample
from lab.coldstart.summary import Finding, Row, Severity
from lab.report.findings.texts import finding
from lab.report.recorded import Recorded
from lab.report.rows import MeasuredRow, container
from lab.report.words import count_bytes, percent, plural, seconds, tier
from lab.spec import Tier
from lab.start.timeline import allowed

NEAR: Final = 0.85
"""Share of the tier's memory from which a peak is called near."""
TOO_NEAR: Final = 0.95
CLOCK_S: Final = 0.005


def no_container(recorded: Recorded, _: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """The process engine."""
    if container(recorded.run):
        return
    yield finding(
        "no_container",
        title="No container: plain processes were measured",
        seen="A virtual environment stood in for each image; nothing was pulled or created, and "
        "no container was started.",
    )


def memory(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """A peak close to the limit."""
    near: dict[str, list[tuple[float, Row]]] = {}
    for one in measured:
        if one.row.emulated:
            continue  # QEMU's own memory is in it.
        limit = _tier(one.row.tier).memory_bytes
        if limit and one.row.peak_memory_bytes:
            share = one.row.peak_memory_bytes / limit
            if share >= NEAR:
                near.setdefault(one.row.variant, []).append((share, one.row))
    for variant, found in near.items():
        share, row = max(found, key=lambda pair: pair[0])
        yield finding(
            "memory",
            severity=Severity.SERIOUS if share >= TOO_NEAR else Severity.WARNING,
            title=f"{variant}: peak memory at {percent(share)} of the tier's",
            seen=f"{count_bytes(row.peak_memory_bytes)} of {tier(row.tier)} ({row.model}, "
            f"{row.start_kind}).",
            cells=[each for _, each in found],
        )


def capped(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """A tier that asks for more CPUs than the machine has."""
    there = recorded.run.engine.get("cpus") or recorded.run.host.get("cpus")
    if not isinstance(there, int | float):
        return
    rows = [
        one.row
        for one in measured
        if one.row.n and not one.row.emulated and (_tier(one.row.tier).cpus or 0.0) > there
    ]
    if not rows:
        return
    tiers = list(dict.fromkeys(row.tier for row in rows))
    asked = _tier(tiers[-1]).cpus or 0.0
    yield finding(
        "cpu_capped",
        title=f"{plural(len(tiers), 'tier')} with more CPU than this machine has",
        seen=f"{tier(tiers[-1])} stands for {asked:.2f} vCPU (memory / 1769 MB, Lambda's "
        f"documented ratio; AWS publishes none for SageMaker serverless); here are {there:g}.",
        cells=rows,
    )


def busy(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Others took much of the machine: the report's first finding, for it spoils the others."""
    trials = [
        (sample.machine, sample, one.row)
        for one in measured
        if not one.row.emulated
        for sample in (*one.counted, *one.failed)
        if sample.machine is not None
    ]
    bad = [trial for trial in trials if trial[1].disturbed]
    if not bad:
        return
    use, worst, _row = max(bad, key=lambda trial: trial[0].taken)
    own = [row for *_rest, row in bad if not row.reference]
    lost = list(dict.fromkeys(str(row.cell) for row in own if row.n and row.busy))
    most = bool(lost) or 2 * len(bad) > len(trials)
    yield finding(
        "busy" if most else "busy_partly",
        title=f"The machine was busy in {len(bad)} of {plural(len(trials), 'trial')}: "
        + ("figures of time say nothing" if most else "medians bear it"),
        seen=f"In trial {worst.trial} {told(use)}; the load was {use.load:g}."
        + (f" Not judged: {', '.join(lost)}." if lost else ""),
        cells=own,
    )


def clock(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Clocks that disagree."""
    engine = recorded.run.engine
    offset = _number(engine.get("clock_offset_s"))
    error = _number(engine.get("clock_error_s"))
    if abs(offset) <= CLOCK_S < error:
        yield finding(
            "clock_unsure",
            title=f"The engine's clock is known to {seconds(error)} only",
            seen="It agrees with ours within that: the answer to the question took so long.",
            stake_s=error,
        )
    elif abs(offset) > CLOCK_S:
        yield finding(
            "clock",
            title="The engine's clock is not ours",
            seen=f"It differs by {seconds(offset)}, known to {seconds(error)}.",
            stake_s=abs(offset),
        )
    torn = [
        (abs(sum(sample.phases_s.values()) / sample.wall_s - 1), sample)
        for one in measured
        for sample in one.counted
        if sample.wall_s and _torn(sample, sample.wall_s)
    ]
    if torn:
        share, sample = max(torn, key=lambda pair: pair[0])
        yield finding(
            "torn",
            title=f"{plural(len(torn), 'sample')} whose phases do not add up",
            seen=f"Trial {sample.trial}{' (emulated)' * sample.emulated}: the phases differ from "
            f"the wall time by {percent(share)}.",
            cells=[sample.cell for _, sample in torn],
        )


def _torn(sample: Sample, wall_s: float) -> bool:
    off_s = abs(sum(sample.phases_s.values()) - wall_s)
    return off_s > allowed(wall_s, sample.probe_interval_s or 0.0)


def emulated(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Timings under QEMU."""
    rows = [one.row for one in measured if one.row.emulated]
    if rows:
        made = sum(row.n + row.warm_up + row.failures for row in rows)
        bad = sum(row.failures for row in rows)
        native = recorded.run.engine.get("platform") or "another platform"
        yield finding(
            "emulated",
            title=f"{plural(len(rows), 'row')} under emulation (QEMU)",
            seen=f"{', '.join(dict.fromkeys(row.platform for row in rows))} on an engine of "
            f"{native}: "
            + (
                f"{plural(made, 'trial')}, {bad or 'none'} of them failed."
                if made
                else "no trial yet."
            ),
            cells=rows,
        )


def _tier(name: str) -> Tier:
    return Tier(memory_mb=int(name) if name.isdecimal() else None)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


RULES: Final = (
    no_container,
    memory,
    capped,
    clock,
    emulated,
)
