"""What an image and its smaller one weigh in a registry, and how long both take to start."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.advice.measure import SEED, Measured, measured
from lab.advice.recorder.asking import Payload
from lab.advice.slim.record import Seconds, SlimRecord, Start
from lab.coldstart.record import Outcome, Sample
from lab.coldstart.trial import Subject
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import place_of
from lab.engine.registry.manifests import DOCKER_MANIFEST
from lab.errors import RegistryError
from lab.images.publish import local_registry
from lab.progress import Progress
from lab.spec import StartKind
from lab.stats.quantiles import interval, median
from lab.stats.ratios import RatioVerdict, ratio_of_medians

KINDS: Final = (StartKind.FRESH, StartKind.ONDEMAND, StartKind.PULL)
BEFORE: Final = "before"
AFTER: Final = "after"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How the starts are measured."""

    repeats: int = 6
    """Of each kind and image, warm-up not counted: from six on a ratio has a 95 % interval."""
    bandwidth: int = 1_000_000_000
    """Bits per second, of the link of ``pull`` and ``ondemand``."""
    chunk_latency: float = 0.0005
    """Seconds that each chunk takes beside its bytes."""


def weighed(record: SlimRecord, engine: DockerEngine, progress: Progress) -> SlimRecord:
    """The record with compressed bytes as a registry has them. Raises ``RegistryError`` when what
    arrived there is no single Docker schema 2 image.
    """
    refs = (record.image, record.name)
    with local_registry(engine, progress) as registry:
        pushed = registry.push_all(engine, refs, progress, arch=record.platform.arch)
        kind = registry.http.media_type(*place_of(record.name))
    if kind != DOCKER_MANIFEST:
        raise RegistryError(
            f"{record.name} arrived in the registry as {kind}, which SageMaker refuses.",
            remedy="Turn off containerd for storing images in Docker's settings.",
        )
    before, after = (
        one.model_copy(
            update={"compressed_bytes": pushed[ref].compressed_bytes, "estimated": False}
        )
        for ref, one in zip(refs, (record.before, record.after), strict=True)
    )
    return record.model_copy(update={"before": before, "after": after})


def timed(
    record: SlimRecord,
    archive: Path | None,
    payload: Payload,
    timing: Timing,
    engine: DockerEngine,
    progress: Progress,
) -> SlimRecord:
    """The record with the starts of both, interleaved. Raises as ``measured`` does."""
    subjects = {
        name: Subject(
            image=image, archive=archive, payload=payload.body, content_type=payload.content_type
        )
        for name, image in ((BEFORE, record.image), (AFTER, record.name))
    }
    samples = measured(
        subjects,
        engine=engine,
        kinds=KINDS,
        repeats=timing.repeats,
        bandwidth=timing.bandwidth,
        chunk_latency=timing.chunk_latency,
        progress=progress,
        owner=record.id,
    )
    return record.model_copy(update={"starts": starts(samples)})


def starts(samples: Measured) -> Sequence[Start]:
    """Each kind's seconds before and after, and their ratio."""
    return [
        _start(kind, samples.get((BEFORE, kind), ()), samples.get((AFTER, kind), ()))
        for kind in KINDS
        if any(key[1] is kind for key in samples)
    ]


def _start(kind: StartKind, before: Sequence[Sample], after: Sequence[Sample]) -> Start:
    by_block = [_blocks(before), _blocks(after)]
    ratio = ratio_of_medians(by_block[1], by_block[0], seed=SEED) if all(by_block) else None
    known = None if ratio is None else ratio.interval
    return Start(
        kind=kind,
        before=_seconds(before),
        after=_seconds(after),
        ratio=None if ratio is None else ratio.value,
        low=None if known is None else known.low,
        high=None if known is None else known.high,
        verdict=RatioVerdict.UNKNOWN if ratio is None else ratio.verdict,
        unable=next((one.skipped for one in (*before, *after) if one.skipped), ""),
    )


def _blocks(samples: Sequence[Sample]) -> Mapping[int, Sequence[float]]:
    found = defaultdict[int, list[float]](list)
    for one in samples:
        if one.outcome is Outcome.OK and one.total_s is not None:
            found[one.block].append(one.total_s)
    return found


def _seconds(samples: Sequence[Sample]) -> Seconds:
    values = [value for its in _blocks(samples).values() for value in its]
    known = interval(values)
    return Seconds(
        n=len(values),
        failed=sum(one.outcome is Outcome.FAILED for one in samples),
        median_s=median(values) if values else None,
        low_s=None if known is None else known.low,
        high_s=None if known is None else known.high,
    )
