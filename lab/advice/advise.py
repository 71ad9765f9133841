"""From an image and its payloads to advice: recorded, measured, weighed, told."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import lab
from lab import paths
from lab.advice import gather
from lab.advice.advice_report import ADVICE_FILE, AdviceReport, CostRow, MeasuredStart
from lab.advice.asking import Payload
from lab.advice.contents import Contents
from lab.advice.costs import COLD, PullSeconds, ondemand_costs, pull_costs
from lab.advice.imports import ImportTime, import_times
from lab.advice.measure import measured
from lab.advice.packages import Costs, package_rows
from lab.advice.read_contents import read_contents
from lab.advice.recorder import RecordRequest, record
from lab.advice.recording import RECORDING_FILE, Recording
from lab.advice.rules.model import Inputs, Rates
from lab.advice.rules.table import advise as ask_rules
from lab.artifacts import archive
from lab.coldstart.plan import Plan
from lab.coldstart.record import Outcome, Sample
from lab.coldstart.runner import new_id
from lab.coldstart.trial import Subject
from lab.contract.model import CheckedImage
from lab.contract.subject import CheckRequest, prepared
from lab.engine.api import ContainerSpec
from lab.engine.coldhost.ondemand import Speed
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import of_this_process
from lab.errors import ContainerFailedError, LabError
from lab.images.layers.looked import opened
from lab.images.layers.packages import Package
from lab.lock import heavy_work
from lab.progress import Progress
from lab.runfiles import new_folder, write_whole
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, Phase, StartKind
from lab.start.emulated import environment, patience

ROLE: Final = "advice"
BANDWIDTH: Final[int] = Plan.model_fields["bandwidth"].default
CHUNK_LATENCY_S: Final[float] = Plan.model_fields["chunk_latency"].default
_READY_S: Final = 300.0
_KINDS: Final = (StartKind.PULL, StartKind.ONDEMAND)
_OWN: Final = "own"


@dataclass(frozen=True, kw_only=True)
class AdviceJob:
    """What the user said."""

    request: CheckRequest
    """The image and its model; the payloads are apart."""
    payloads: Sequence[Payload]
    bandwidth: int = BANDWIDTH
    """Of the link, in bits per second."""
    measure: bool = True


@dataclass(kw_only=True)
class _Seen:
    """What was found out of an image before the rules are asked."""

    contents: Contents
    recording: Recording
    texts: Mapping[str, str] = field(default_factory=dict)
    inputs: Inputs | None = None
    imports: Mapping[Package, ImportTime] = field(default_factory=dict)
    samples: Mapping[StartKind, Sample] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def advise(job: AdviceJob, engine: DockerEngine, progress: Progress) -> tuple[AdviceReport, Path]:
    """The report, and the folder of the run that keeps it beside the recording.

    Raises ``ContainerFailedError`` where the image does not get ready or does not answer: there is
    no advice on a start that fails; and what ``record``, ``read_contents`` and ``measured`` raise.
    """
    with ExitStack() as stack:
        subject, where = stack.enter_context(prepared(job.request, engine, progress))
        packed = _packed(subject, stack)
        with heavy_work(f"The advice on {job.request.image}", progress):
            with progress.step(f"Read the contents of {subject.image}"):
                contents = read_contents(engine, subject.image)
            request = RecordRequest(
                image=subject.image,
                contents=contents,
                payloads=job.payloads,
                archive=packed,
                speed=Speed(bandwidth=job.bandwidth, latency_s=CHUNK_LATENCY_S),
            )
            seen = _Seen(contents=contents, recording=record(engine, request, progress))
            seen.notes += _payloads(seen.recording)
            with (
                progress.step("Look into libraries and programs"),
                opened(engine, subject.image) as files,
            ):
                texts = files.texts(gather.texts(contents, seen.recording))
                libraries = files.libraries(gather.libraries(contents))
            seen.imports = _imports(job, subject, seen, engine, progress)
        if job.measure:
            seen.samples = _measured(job, subject, packed, engine, progress, seen.notes)
        pull = _pull(job, seen)
        seen.inputs = Inputs(
            contents=contents,
            recording=seen.recording,
            rates=Rates.of(contents, seen.recording, pull),
            imports=seen.imports,
            texts={**contents.texts, **texts},
            libraries=libraries,
            processes=_processes(seen.samples.values()),
            cpus=engine.facts().cpus,
        )
        del where
    report = _report(job, seen, seen.inputs, pull)
    folder = new_folder(paths.runs() / report.id)
    write_whole(folder / RECORDING_FILE, seen.recording.to_json())
    write_whole(folder / ADVICE_FILE, report.to_json())
    return report, folder


def _packed(subject: CheckedImage, stack: ExitStack) -> Path | None:
    """The model as an archive: what was given as a folder is packed."""
    if subject.archive is not None or subject.model_dir is None:
        return subject.archive
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="inference-lab-")))
    archive.pack(Path(subject.model_dir), folder / "model.tar.gz")
    return folder / "model.tar.gz"


def _payloads(recording: Recording) -> Sequence[str]:
    names = [name for name, new in [*recording.new_by_payload.items()][1:] if not new]
    return [
        f"{name} read nothing that the payloads before it had not: it says nothing more about what "
        "the image needs."
        for name in names
    ]


def _imports(
    job: AdviceJob,
    subject: CheckedImage,
    seen: _Seen,
    engine: DockerEngine,
    progress: Progress,
) -> Mapping[Package, ImportTime]:
    """Seconds of Python's imports, of a start of its own; nothing where no Python ran."""
    if not any(".py" in one.path and one.opened for one in seen.recording.files):
        return {}
    native = engine.facts().platform
    owner = f"advice-{secrets.token_hex(4)}"
    spec = ContainerSpec(
        image=subject.image,
        platform=subject.platform,
        model_dir=subject.model_dir,
        env=environment(subject.platform, native=native),
        labels={LABEL: "true", LABEL_ROLE: ROLE, LABEL_OWNER: owner, **of_this_process()},
        read_only_root=False,
        publish=0,
    )
    first = job.payloads[0]
    try:
        with progress.step("Time the imports"):
            found = import_times(
                engine,
                spec,
                seen.contents,
                within_s=_READY_S * patience(subject.platform, native=native),
                first_request=(first.body, first.content_type),
            )
    except ContainerFailedError as error:
        seen.notes.append(f"Imports were not timed: {error.what.splitlines()[0]}")
        return {}
    if found is None:
        seen.notes.append(
            "Python ran and told of no imports: it is started without its environment (-E, -I), or "
            "writes its standard error elsewhere."
        )
    return found or {}


def _measured(
    job: AdviceJob,
    subject: CheckedImage,
    packed: Path | None,
    engine: DockerEngine,
    progress: Progress,
    notes: list[str],
) -> Mapping[StartKind, Sample]:
    """One timed start of each kind; of one that fails a note says why."""
    first = job.payloads[0]
    one = Subject(
        image=subject.image,
        archive=packed,
        payload=first.body,
        content_type=first.content_type,
    )
    try:
        found = measured(
            {_OWN: one},
            engine=engine,
            kinds=_KINDS,
            repeats=1,
            bandwidth=job.bandwidth,
            chunk_latency=CHUNK_LATENCY_S,
            progress=progress,
            owner=f"advise-{secrets.token_hex(4)}",
        )
    except LabError as error:
        notes.append(f"Starts were not measured: {error.what.splitlines()[0]}")
        return {}
    samples = {}
    for (_, kind), those in found.items():
        for sample in those:
            if sample.outcome is Outcome.OK:
                samples[kind] = sample
            else:
                why = sample.skipped or (sample.failure.message if sample.failure else "")
                notes.append(f"The start `{kind}` was not measured: {why}")
    return samples


def _pull(job: AdviceJob, seen: _Seen) -> PullSeconds:
    sample = seen.samples.get(StartKind.PULL)
    timed = None if sample is None else PullSeconds.of_phases(sample.phases_s)
    return timed or PullSeconds.of_bandwidth(seen.contents, job.bandwidth)


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


def _report(job: AdviceJob, seen: _Seen, inputs: Inputs, pull: PullSeconds) -> AdviceReport:
    contents, recording = seen.contents, seen.recording
    advised = ask_rules(inputs)
    costs = Costs(
        pull=pull_costs(contents, pull),
        ondemand=ondemand_costs(contents, recording),
        imports=seen.imports,
    )
    return AdviceReport(
        id=new_id("advise"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lab_version=lab.__version__,
        image=contents.image,
        image_id=contents.image_id,
        platform=recording.platform,
        emulated=recording.emulated,
        payloads=[one.name for one in job.payloads],
        views=recording.views,
        bandwidth_bits_per_s=job.bandwidth,
        chunk_latency_s=CHUNK_LATENCY_S,
        compressed_bytes=sum(layer.compressed_bytes for layer in contents.layers),
        unpacked_bytes=contents.unpacked_bytes,
        read_bytes=sum(count.bytes for stage, count in recording.chunks.items() if stage in COLD),
        starts=[_pulled(seen, pull), *_on_demand(seen)],
        rows=[
            CostRow.of(row, advised.of_package.get(row.package, ()))
            for row in package_rows(contents, recording, costs)
        ],
        advice=advised.advice,
        steps=advised.steps,
        notes=[*seen.notes, *recording.doubts],
    )


def _pulled(seen: _Seen, pull: PullSeconds) -> MeasuredStart:
    sample = seen.samples.get(StartKind.PULL)
    return MeasuredStart(
        kind=StartKind.PULL,
        total_s=None if sample is None else sample.total_s,
        image_s=pull.download_s + pull.unpack_s,
        measured=pull.measured,
        note="" if pull.measured else "what the link alone takes: unpacking comes on top",
    )


def _on_demand(seen: _Seen) -> Sequence[MeasuredStart]:
    sample = seen.samples.get(StartKind.ONDEMAND)
    if sample is not None and sample.chunks is not None:
        mount = sample.phases_s.get(Phase.IMAGE_MOUNT, 0.0)
        return [
            MeasuredStart(
                kind=StartKind.ONDEMAND,
                total_s=sample.total_s,
                image_s=mount + sample.chunks.wait_s,
                measured=True,
            )
        ]
    if not seen.recording.chunks:
        return []
    counts = seen.recording.chunks
    return [
        MeasuredStart(
            kind=StartKind.ONDEMAND,
            total_s=None,
            image_s=sum(count.waited_s for stage, count in counts.items() if stage in COLD),
            measured=False,
            note="what the recorded run waited for chunks",
        )
    ]
