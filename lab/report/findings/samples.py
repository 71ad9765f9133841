"""How far the samples themselves can be trusted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from lab.coldstart.advice import remedy
from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Finding
from lab.report.findings.texts import finding
from lab.report.recorded import Recorded
from lab.report.rows import MeasuredRow
from lab.report.words import percent, plural, seconds
from lab.spec import StartKind
from lab.start.firstrequest import LOAD_FIRST
from lab.stats.diagnostics import drift
from lab.stats.quantiles import median, samples_for
from lab.stats.ratios import ENOUGH

DRIFT_P: Final = 0.01
DRIFT_CHANGE: Final = 0.03
NOISE: Final = 0.1
PROBE_SHARE: Final = 0.05

_LOG_LINES = 3

_REMEDIES: Final = {
    FailureKind.ENGINE: "Read the message; lab doctor checks the engine.",
    FailureKind.PULL: "Check the registry (lab doctor) and the link, then run again with --resume.",
    FailureKind.NOT_COLD: "The start was warmer than its kind demands and does not count: look for "
    "another program that uses the same engine.",
    FailureKind.MODEL: "Check the model archive: lab models verify.",
    FailureKind.EARLY_EXIT: "Read the container's last lines; start the image by hand with serve.",
    FailureKind.OOM: "Give it a tier with more memory, or load less.",
    FailureKind.NEVER_READY: "See what /ping answers and whether the server listens on the port "
    "that SAGEMAKER_BIND_TO_PORT names.",
    FailureKind.INVOCATION: "Check that payload and content type are what the model expects.",
    FailureKind.TOO_EARLY: LOAD_FIRST,
    FailureKind.INCONSISTENT: "Its marks contradict each other: check the clocks, then report it.",
}


_BY_THE_CLOCK: Final = {FailureKind.NEVER_READY, FailureKind.INVOCATION, FailureKind.PULL}
_QUIET: Final = "Run again when nothing else runs here, before anything is changed. "


def incomplete(recorded: Recorded, _: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """The run was cut short."""
    planned, made = len(recorded.run.order), len(recorded.samples)
    if made >= planned:
        return
    torn = " The last line was cut off while being written and is left out." * recorded.torn
    yield finding(
        "incomplete",
        run=recorded.run.id,
        title=f"The run is incomplete: {made} of {plural(planned, 'trial')}",
        seen=f"{plural(planned - made, 'planned trial')} left no sample.{torn}",
    )


def failures(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Failed trials, by variant and cause."""
    groups: dict[tuple[str, FailureKind, str], list[Sample]] = {}
    tried: Counter[str] = Counter()
    for one in measured:
        # A failure under emulation may be QEMU's: it is told, and told apart.
        name = one.row.variant
        if one.row.emulated:
            name += f" ({one.row.platform}, emulated)"
        tried[name] += one.row.n + one.row.failures + one.row.warm_up
        for sample in one.failed:
            if sample.failure:
                failure = sample.failure
                groups.setdefault((name, failure.kind, failure.cause), []).append(sample)
    for (variant, kind, _), bad in groups.items():
        last = bad[-1].failure
        if last is None:
            continue
        code = "" if last.exit_code is None else f" Exit code {last.exit_code}."
        ping = "" if last.last_ping_status is None else f" Last /ping: {last.last_ping_status}."
        busy = sum(sample.disturbed for sample in bad)
        first = _QUIET if busy and kind in _BY_THE_CLOCK else ""
        log = "" if last.cause else " / ".join(last.log_tail.strip().splitlines()[-_LOG_LINES:])
        advice = remedy(last, _REMEDIES[kind], plan=recorded.run.plan, cell=bad[-1].cell)
        yield finding(
            "failures_emulated" if bad[-1].emulated else "failures",
            remedy=first + advice,
            title=f"{variant}: {len(bad)} of {plural(tried[variant], 'trial')} failed "
            f"({kind.replace('_', ' ')})",
            seen=f"{last.message}{code}{ping}"
            + (f" The machine was busy in {busy} of them." if busy else "")
            + (f" It last said: {log}" if log else ""),
            cells=[sample.cell for sample in bad],
        )


def skipped(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Kinds of start that could not be measured here, by reason."""
    groups: dict[str, list[Sample]] = {}
    for one in measured:
        for sample in one.skipped:
            groups.setdefault(sample.skipped or "no reason given", []).append(sample)
    for reason, left_out in groups.items():
        kinds = list(dict.fromkeys(sample.cell.start_kind for sample in left_out))
        names = ", ".join(StartKind(kind) for kind in kinds)
        yield finding(
            "skipped",
            title=f"Not measured here: {names}",
            seen=f"{plural(len(left_out), 'trial')} skipped: {reason}",
            cells=[sample.cell for sample in left_out],
        )


def few(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Too few samples for an interval, or for the quantile that the plan wants."""
    counted = [one.row for one in measured if one.row.n and not one.row.emulated]
    poor = [row for row in counted if row.n < ENOUGH]
    if poor:
        least = min(row.n for row in poor)
        yield finding(
            "few_samples",
            enough=ENOUGH,
            for_p90=samples_for(0.9),
            title=f"{len(poor)} of {plural(len(counted), 'row')} have fewer than {ENOUGH} samples",
            seen=f"As few as {least}: smallest to largest then holds the true median with "
            f"{percent(1 - 0.5 ** (least - 1))} only.",
            cells=poor,
        )
    wanted = recorded.run.plan.get("quantile")
    if isinstance(wanted, float) and 0.5 < wanted < 1:
        short = [row for row in counted if row.n < samples_for(wanted)]
        if short:
            yield finding(
                "few_for_quantile",
                needed=samples_for(wanted),
                title=f"Too few samples for p{wanted * 100:g}",
                seen=f"A 95 % bound on it needs {samples_for(wanted)}; the poorest row has "
                f"{min(row.n for row in short)}.",
                cells=short,
            )


def drifting(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """The whole machine became slower or quicker: each sample over its own row's median."""
    points = [
        (sample.trial, (sample.total_s or 0.0) / one.row.total_s.p50)
        for one in measured
        if one.row.total_s.p50 and one.row.timed
        for sample in one.counted
        if sample.total_s
    ]
    moved = drift([value for _, value in sorted(points)], seed=recorded.run.seed)
    if moved is None or moved.p > DRIFT_P or abs(moved.change) < DRIFT_CHANGE:
        return
    slower = moved.change > 0
    yield finding(
        "drift",
        title=f"The machine got {'slower' if slower else 'quicker'} during the run",
        seen=f"The last third of the trials took {percent(abs(moved.change))} "
        f"{'longer' if slower else 'less'} than the first, each against its own row's median "
        f"(Spearman {moved.rho:+.2f}, p = {moved.p:.2g}).",
        stake_s=abs(moved.change)
        * median([m.row.total_s.p50 or 0.0 for m in measured if m.row.n and m.row.timed]),
    )


def outlying(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Trials far from their row's median; all of them count."""
    rows = [one for one in measured if one.row.outliers and one.row.timed]
    if not rows:
        return
    far = [
        (sample.total_s - (one.row.total_s.p50 or 0.0), sample, one)
        for one in rows
        for sample in one.counted
        if sample.trial in one.row.outliers and sample.total_s is not None
    ]
    away, sample, one = max(far, key=lambda item: abs(item[0]))
    yield finding(
        "outliers",
        title=f"{plural(len(far), 'outlier')} among the samples",
        seen=f"The farthest: trial {sample.trial}, {one.row.variant} {one.row.start_kind}, took "
        f"{seconds(sample.total_s)} where the median is {seconds(one.row.total_s.p50)}.",
        stake_s=abs(away),
        cells=[found.row for found in rows],
    )


def noisy(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """A wide spread."""
    rows = [
        one.row
        for one in measured
        if (one.row.total_s.relative_spread or 0.0) >= NOISE
        and one.row.n >= ENOUGH
        and one.row.timed
    ]
    if not rows:
        return
    worst = max(rows, key=lambda row: row.total_s.relative_spread or 0.0)
    wide = worst.total_s.relative_spread or 0.0
    yield finding(
        "noise",
        title=f"High spread in {plural(len(rows), 'row')}",
        seen=f"Up to {percent(wide)} of the median ({worst.variant}, {worst.start_kind}), by the "
        "median absolute deviation.",
        stake_s=wide * (worst.total_s.p50 or 0.0),
        cells=rows,
    )


def probing(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """The probe is coarse beside what it measures."""
    rows = [
        one.row
        for one in measured
        if one.row.total_s.p50
        and one.row.timed
        and (one.row.probe_interval_s or 0.0) > PROBE_SHARE * one.row.total_s.p50
    ]
    if not rows:
        return
    worst = min(rows, key=lambda row: row.total_s.p50 or 0.0)
    yield finding(
        "probe",
        title="The probe interval is a visible part of the quickest starts",
        seen=f"Probes {seconds(worst.probe_interval_s)} apart on a start of "
        f"{seconds(worst.total_s.p50)} ({worst.variant}, {worst.start_kind}).",
        stake_s=worst.probe_interval_s,
        cells=rows,
    )


RULES: Final = (
    incomplete,
    failures,
    skipped,
    few,
    outlying,
    noisy,
    probing,
)
