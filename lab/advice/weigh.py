"""From all that was seen of an image to its report: pure arithmetic, and the rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import lab
from lab.advice.advice_report import AdviceReport, CostRow, MeasuredStart
from lab.advice.contents import Contents
from lab.advice.costs import COLD, PullSeconds, ondemand_costs, pull_costs
from lab.advice.imports import ImportTime
from lab.advice.packages import Costs, package_rows
from lab.advice.recording import Recording
from lab.advice.rules.model import Inputs, Rates
from lab.advice.rules.table import advise
from lab.coldstart.record import Sample
from lab.images.layers.looked import Library
from lab.images.layers.packages import Package
from lab.spec import Phase, StartKind


@dataclass(kw_only=True)
class Observed:
    """What was found out of an image."""

    contents: Contents
    recording: Recording
    payloads: Sequence[str]
    bandwidth: int
    """Of the link, in bits per second."""
    chunk_latency_s: float
    texts: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, Library] = field(default_factory=dict)
    imports: Mapping[Package, ImportTime] = field(default_factory=dict)
    samples: Mapping[StartKind, Sample] = field(default_factory=dict)
    """Of starts that were measured, and ended well."""
    cpus: int | None = None
    """Of the machine on which they ran."""
    notes: list[str] = field(default_factory=list)

    @property
    def pull(self) -> PullSeconds:
        """Of the whole image."""
        sample = self.samples.get(StartKind.PULL)
        timed = None if sample is None else PullSeconds.of_phases(sample.phases_s)
        return timed or PullSeconds.of_bandwidth(self.contents, self.bandwidth)


def weigh(observed: Observed, report_id: str) -> AdviceReport:
    """What each package costs, and what to do."""
    contents, recording, pull = observed.contents, _as_timed(observed), observed.pull
    advised = advise(
        Inputs(
            contents=contents,
            recording=recording,
            rates=Rates.of(contents, pull),
            imports=observed.imports,
            texts={**contents.texts, **observed.texts},
            libraries=observed.libraries,
            processes=_processes(observed.samples.values()),
            cpus=observed.cpus,
        )
    )
    costs = Costs(
        pull=pull_costs(contents, pull),
        ondemand=ondemand_costs(contents, recording),
        imports=observed.imports,
    )
    return AdviceReport(
        id=report_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lab_version=lab.__version__,
        image=contents.image,
        image_id=contents.image_id,
        platform=recording.platform,
        emulated=recording.emulated,
        payloads=observed.payloads,
        views=recording.views,
        bandwidth_bits_per_s=observed.bandwidth,
        chunk_latency_s=observed.chunk_latency_s,
        compressed_bytes=sum(layer.compressed_bytes for layer in contents.layers),
        unpacked_bytes=contents.unpacked_bytes,
        read_bytes=sum(count.bytes for stage, count in recording.chunks.items() if stage in COLD),
        starts=[_pulled(observed, pull), *_on_demand(observed)],
        rows=[
            CostRow.of(row, advised.of_package.get(row.package, ()))
            for row in package_rows(contents, recording, costs)
        ],
        advice=advised.advice,
        steps=advised.steps,
        notes=[*observed.notes, *_payloads(recording), *recording.doubts],
    )


def _as_timed(observed: Observed) -> Recording:
    """The recording with the seconds of the start that was timed: tracing slows a start down."""
    recording, sample = observed.recording, observed.samples.get(StartKind.ONDEMAND)
    recorded = sum(one.waited_s for stage, one in recording.chunks.items() if stage in COLD)
    if sample is None or sample.chunks is None or not recorded:
        return recording
    share = sample.chunks.wait_s / recorded
    chunks = {
        stage: one.model_copy(update={"waited_s": share * one.waited_s})
        for stage, one in recording.chunks.items()
    }
    waited = ({at: share * one for at, one in file.waited_s.items()} for file in recording.files)
    files = [
        file.model_copy(update={"waited_s": one})
        for file, one in zip(recording.files, waited, strict=True)
    ]
    return recording.model_copy(update={"chunks": chunks, "files": files})


def _payloads(recording: Recording) -> Sequence[str]:
    names = [name for name, new in [*recording.new_by_payload.items()][1:] if not new]
    return [
        f"{name} read nothing that the payloads before it had not: it says nothing more about what "
        "the image needs."
        for name in names
    ]


def _processes(samples: Iterable[Sample]) -> Mapping[str, int]:
    """How many of each name a measured start had when it was ready; none of one that tells of
    itself.
    """
    return {
        one.name: one.count
        for sample in samples
        if sample.boot is not None
        for one in sample.boot.processes
    }


def _pulled(observed: Observed, pull: PullSeconds) -> MeasuredStart:
    sample = observed.samples.get(StartKind.PULL)
    return MeasuredStart(
        kind=StartKind.PULL,
        total_s=None if sample is None else sample.total_s,
        image_s=pull.download_s + pull.unpack_s,
        measured=pull.measured,
        note="" if pull.measured else "what the link alone takes: unpacking comes on top",
    )


def _on_demand(observed: Observed) -> Sequence[MeasuredStart]:
    sample = observed.samples.get(StartKind.ONDEMAND)
    if sample is not None and sample.chunks is not None:
        mount = sample.phases_s.get(Phase.IMAGE_MOUNT, 0.0)
        of_mount = sample.chunks.waited_s.get(Phase.IMAGE_MOUNT, 0.0)
        return [
            MeasuredStart(
                kind=StartKind.ONDEMAND,
                total_s=sample.total_s,
                # Some of the waiting is the mount's own.
                image_s=mount + sample.chunks.wait_s - of_mount,
                measured=True,
            )
        ]
    counts = observed.recording.chunks
    if not counts:
        return []
    return [
        MeasuredStart(
            kind=StartKind.ONDEMAND,
            total_s=None,
            image_s=sum(count.waited_s for stage, count in counts.items() if stage in COLD),
            measured=False,
            note="what the recorded run waited for chunks",
        )
    ]
