"""What a run says of a variant that the model needs: CPU work, chunks read, the archive's fetch.

CPU work does not depend on the memory size, so it is taken from all fresh starts that a quota did
not slow, of any tier. A sample's CPU seconds are divided among its phases by their lengths: what
others do on the machine makes phases longer, CPU seconds hardly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from lab.coldstart.record import Sample
from lab.report.rows import MeasuredRow
from lab.spec import FLOOR, MB_PER_VCPU, Mark, Phase, Platform, StartKind
from lab.stats.quantiles import median

Key = tuple[str, str]
"""Variant and model."""

_BEFORE_THE_MODEL: Final = (
    *(Phase.BOOT, Phase.INTERPRETER, Phase.IMPORTS, Phase.SERVE, Phase.READY),
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of a start; CPU seconds on this machine but for ``fetch_s`` and ``chunks``."""

    start_s: float
    """Everything up to ``/ping`` but the model."""
    load_s: float
    first_s: float
    """The first inference ever, which also finds its memory and its kernels."""
    more_s: float
    """The first one that was asked for, where the container had made one to warm up."""
    inference_s: float
    """A later one."""
    fetch_s: float
    """Seconds to fetch and unpack the model's archive."""
    chunks: float
    """Read of the image, up to the first answer."""

    @property
    def cpu_s(self) -> float:
        """Of a start, up to its first answer."""
        return self.start_s + self.load_s + self.first_s + self.more_s


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The values behind a ``Work``, sample by sample, under the names of its fields."""

    start_s: Sequence[float]
    load_s: Sequence[float]
    first_s: Sequence[float]
    more_s: Sequence[float]
    inference_s: Sequence[float]
    fetch_s: Sequence[float]
    chunks: Sequence[float]
    chunk_bytes: int
    pull_s: Sequence[float]
    """Seconds to pull and unpack the image; empty where it was not pulled."""

    def work(self, rng: np.random.Generator | None = None) -> Work:
        """Medians; with ``rng`` those of samples drawn again."""

        def middle(values: Sequence[float]) -> float:
            if rng is None:
                return median(values)
            places = rng.integers(len(values), size=len(values))
            return median([values[place] for place in places])

        return Work(**{one.name: middle(getattr(self, one.name)) for one in fields(Work)})


def gather(measured: Sequence[MeasuredRow]) -> Mapping[Key, Evidence | str]:
    """Of each variant and model of x86-64 the evidence, or in words why there is none."""
    keys = dict.fromkeys((one.row.variant, one.row.model) for one in measured)
    before = {key: _quiet(measured, key, StartKind.FRESH) for key in keys}
    return {key: _evidence(measured, key, before) for key in keys if key[0] != FLOOR}


def _evidence(
    measured: Sequence[MeasuredRow], key: Key, fresh: Mapping[Key, Sequence[Sample]]
) -> Evidence | str:
    rows = [one for one in measured if (one.row.variant, one.row.model) == key]
    native = [one for one in rows if not one.row.emulated]
    if not any(one.row.platform is Platform.AMD64 for one in rows):
        return "the model is fitted on x86-64, and this is another processor"
    if not native:
        return "emulated: such seconds predict nothing"
    for kind in (StartKind.FRESH, StartKind.ONDEMAND):
        there = [one for one in native if one.row.start_kind is kind and one.counted]
        if not there:
            return f"no {kind} start was measured"
    mine = [_divided(sample) for sample in fresh[key]]
    if not mine:
        return "the machine was busy in all fresh starts"
    # What comes before the model is the same program, whichever model it then loads.
    opaque = any(Phase.BOOT in sample.phases_s for sample in fresh[key])
    alike = [key] if opaque else [one for one in fresh if one[0] == key[0]]
    chunks = [
        sample.chunks
        for one in native
        if one.row.start_kind is StartKind.ONDEMAND
        for sample in one.counted
        if sample.chunks
    ]
    if not chunks:
        return "its on-demand starts do not tell what they read"
    pulled = [sample for one in native for sample in one.counted if _pulled_s(sample)]
    return Evidence(
        start_s=[_divided(sample)["start_s"] for one in alike for sample in fresh[one]],
        **{
            name: [one[name] for one in mine]
            for name in ("load_s", "first_s", "more_s", "inference_s")
        },
        fetch_s=[sample.phases_s.get(Phase.MODEL_FETCH, 0.0) for sample in fresh[key]],
        chunks=[float(one.count) for one in chunks],
        chunk_bytes=chunks[0].chunk_bytes,
        pull_s=[_pulled_s(sample) for sample in pulled],
    )


def _quiet(measured: Sequence[MeasuredRow], key: Key, kind: StartKind) -> Sequence[Sample]:
    """Undisturbed samples with a whole processor, or else those that there are."""
    samples = [
        sample
        for one in measured
        if (one.row.variant, one.row.model) == key
        and one.row.start_kind is kind
        and one.row.platform is Platform.AMD64
        and not one.row.emulated
        for sample in one.counted
        if not sample.disturbed and sample.second_prediction_s is not None
    ]
    whole = [
        one for one in samples if not one.cell.tier.isdecimal() or int(one.cell.tier) >= MB_PER_VCPU
    ]
    return whole or samples


def _divided(sample: Sample) -> Mapping[str, float]:
    """A sample's CPU seconds by what they were used for."""
    phases = sample.phases_s
    warm_up_s = 0.0
    if Mark.WARMED_UP in sample.marks and Mark.MODEL_LOADED in sample.marks:
        warm_up_s = (sample.marks[Mark.WARMED_UP] - sample.marks[Mark.MODEL_LOADED]) / 1e9
    asked_s = phases.get(Phase.FIRST_PREDICTION, 0.0)
    lengths = {
        "start_s": sum(phases.get(phase, 0.0) for phase in _BEFORE_THE_MODEL),
        "load_s": max(phases.get(Phase.MODEL_LOAD, 0.0) - warm_up_s, 0.0),
        "first_s": warm_up_s or asked_s,
        "more_s": asked_s if warm_up_s else 0.0,
        "inference_s": sample.second_prediction_s or 0.0,
    }
    whole = sum(lengths.values())
    used = whole if sample.cpu_seconds is None else sample.cpu_seconds
    return {name: length * used / whole for name, length in lengths.items()}


def _pulled_s(sample: Sample) -> float:
    return sum(sample.phases_s.get(phase, 0.0) for phase in (Phase.IMAGE_PULL, Phase.IMAGE_UNPACK))
