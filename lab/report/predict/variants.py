"""The variants of a run on AWS: a prediction each, or in words why there is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.report.predict import equations
from lab.report.predict.model import Target, VariantLine
from lab.report.predict.work import Evidence, Key, Work
from lab.report.predict.worlds import World, Worlds
from lab.report.rows import MeasuredRow
from lab.report.words import count_bytes, seconds
from lab.stats.quantiles import median
from lab.units import format_rate

MARGIN: Final = 0.2
"""How far beyond what it was fitted to the model is still used: a fifth."""

PULL_S_PER_BYTE: Final = 14e-9
"""Of an image's unpacked bytes, where it was not pulled: what pull trials of this lab take over
1 Gbit/s, unpacking included (``baseline``, 3.6 GB: 50 s; ``slim``, 1.6 GB: 23 s)."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Between what ends the constants are known."""

    chunks: tuple[float, float]
    cpu_s: tuple[float, float]

    @classmethod
    def of(cls, works: Sequence[Work]) -> "Fitted":
        """Those of the works that the model was fitted to, and a margin."""

        def ends(values: Sequence[float]) -> tuple[float, float]:
            return min(values) * (1 - MARGIN), max(values) * (1 + MARGIN)

        return cls(chunks=ends([w.chunks for w in works]), cpu_s=ends([w.cpu_s for w in works]))

    def outside(self, work: Work, chunk_bytes: int) -> str:
        """What of a start lies outside, in words; empty where nothing does."""
        low, high = self.chunks
        if not low <= work.chunks <= high:
            read, least, most = (count_bytes(n * chunk_bytes) for n in (work.chunks, low, high))
            return (
                f"outside what was fitted: {read} are read of its image, fitted {least} to {most}"
            )
        low, high = self.cpu_s
        if not low <= work.cpu_s <= high:
            used, least, most = (seconds(value) for value in (work.cpu_s, low, high))
            return f"outside what was fitted: {used} of CPU to start, fitted {least} to {most}"
        return ""


def variant_lines(
    evidence: Mapping[Key, Evidence | str],
    measured: Sequence[MeasuredRow],
    found: Worlds,
    *,
    fitted: Fitted,
    bandwidth_bits_per_s: int | None,
) -> Iterator[VariantLine]:
    """Each variant and model on serverless, by memory, then on an instance."""
    for key, mine in evidence.items():
        if isinstance(mine, str):
            why = mine
        else:
            why = fitted.outside(found.measured.run[key], mine.chunk_bytes)
        for memory_mb in _sizes(measured):
            yield _serverless(key, memory_mb, found, why)
        image_bytes = next(
            (
                one.row.image_unpacked_bytes
                for one in measured
                if (one.row.variant, one.row.model) == key
            ),
            None,
        )
        pull = mine.pull_s if isinstance(mine, Evidence) else ()
        yield _instance(key, found, why, pull, image_bytes, bandwidth_bits_per_s)


def _sizes(measured: Sequence[MeasuredRow]) -> Sequence[int]:
    """The sizes that the model was fitted to, and the run's."""
    tiers = {int(one.row.tier) for one in measured if one.row.tier.isdecimal()}
    return sorted({1024, 2048, 3072} | tiers)


def _serverless(key: Key, memory_mb: int, found: Worlds, why: str) -> VariantLine:
    if not equations.SMALLEST_MB <= memory_mb <= equations.LARGEST_MB:
        why = why or (
            f"outside what was fitted: {equations.SMALLEST_MB} to {equations.LARGEST_MB} MB"
        )
    if why:
        return _none(key, Target.SERVERLESS, memory_mb, why)

    def cold(world: World) -> float:
        return float(equations.own_cold(world.run[key], memory_mb) @ world.constants)

    def warm(world: World) -> float:
        return float(equations.own_warm(world.run[key], memory_mb) @ world.constants)

    return VariantLine(
        variant=key[0],
        model=key[1],
        target=Target.SERVERLESS,
        memory_mb=memory_mb,
        cold_s=cold(found.measured),
        cold_interval=found.interval(cold),
        warm_s=warm(found.measured),
        warm_interval=found.interval(warm),
    )


def _instance(
    key: Key,
    found: Worlds,
    why: str,
    pull_s: Sequence[float],
    image_bytes: int | None,
    bandwidth_bits_per_s: int | None,
) -> VariantLine:
    if why:
        return _none(key, Target.INSTANCE, None, why)
    if pull_s:
        pulled = median(pull_s)
        link = f" over {format_rate(bandwidth_bits_per_s)}" if bandwidth_bits_per_s else ""
        note = f"image pulled{link} in {seconds(pulled)}, as measured here"
    elif image_bytes is not None:
        pulled = PULL_S_PER_BYTE * image_bytes
        note = f"not pulled here: {count_bytes(image_bytes)} unpacked, at 14 s for 1 GB"
    else:
        why = "no pull start was measured, and the size of its image is not known"
        return _none(key, Target.INSTANCE, None, why)

    def start(world: World) -> float:
        return pulled + float(equations.own_start(world.run[key], longer=1.0) @ world.constants)

    def inside(world: World) -> float:
        found_s = equations.own_warm_prediction(world.run[key], longer=1.0)
        return float(found_s @ world.constants)

    return VariantLine(
        variant=key[0],
        model=key[1],
        target=Target.INSTANCE,
        memory_mb=None,
        cold_s=start(found.measured),
        cold_interval=found.interval(start),
        warm_s=inside(found.measured),
        warm_interval=found.interval(inside),
        note=note,
    )


def _none(key: Key, target: Target, memory_mb: int | None, why: str) -> VariantLine:
    return VariantLine(variant=key[0], model=key[1], target=target, memory_mb=memory_mb, note=why)
