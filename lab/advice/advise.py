"""From an image and its payloads to advice: recorded, looked into, measured, weighed."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from lab import paths
from lab.advice import gather
from lab.advice.advice_report import ADVICE_FILE, AdviceReport
from lab.advice.image.read import read_contents
from lab.advice.imports import ImportTime, import_times
from lab.advice.measure import measured
from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import RecordRequest, record
from lab.advice.recording import RECORDING_FILE
from lab.advice.weigh import Observed, weigh
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
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, StartKind
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


def advise(job: AdviceJob, engine: DockerEngine, progress: Progress) -> tuple[AdviceReport, Path]:
    """The report, and the folder of the run that keeps it beside the recording.

    Raises ``ContainerFailedError`` where the image does not get ready or does not answer: there is
    no advice on a start that fails; and what ``prepared``, ``record`` and ``read_contents`` raise.
    """
    with ExitStack() as stack:
        subject, _ = stack.enter_context(prepared(job.request, engine, progress))
        archived = packed(subject, stack)
        with heavy_work(f"The advice on {job.request.image}", progress):
            observed = _observed(job, subject, archived, engine, progress)
        if job.measure:
            observed.samples = _measured(job, subject, archived, engine, progress, observed.notes)
    report = weigh(observed, new_id("advise"))
    folder = new_folder(paths.runs() / report.id)
    write_whole(folder / RECORDING_FILE, observed.recording.to_json())
    write_whole(folder / ADVICE_FILE, report.to_json())
    return report, folder


def packed(subject: CheckedImage, stack: ExitStack) -> Path | None:
    """The model as an archive: what was given as a folder is packed."""
    if subject.archive is not None or subject.model_dir is None:
        return subject.archive
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="inference-lab-")))
    archive.pack(Path(subject.model_dir), folder / "model.tar.gz")
    return folder / "model.tar.gz"


def _observed(
    job: AdviceJob,
    subject: CheckedImage,
    archived: Path | None,
    engine: DockerEngine,
    progress: Progress,
) -> Observed:
    """All but the measured starts. The recording comes first: it fails where the image does."""
    with progress.step(f"Read the contents of {subject.image}"):
        contents = read_contents(engine, subject.image)
    recording = record(
        engine,
        RecordRequest(
            image=subject.image,
            contents=contents,
            payloads=job.payloads,
            archive=archived,
            speed=Speed(bandwidth=job.bandwidth, latency_s=CHUNK_LATENCY_S),
        ),
        progress,
    )
    observed = Observed(
        contents=contents,
        recording=recording,
        payloads=[one.name for one in job.payloads],
        bandwidth=job.bandwidth,
        chunk_latency_s=CHUNK_LATENCY_S,
        cpus=engine.facts().cpus,
    )
    with (
        progress.step("Look into libraries and programs"),
        opened(engine, subject.image) as files,
    ):
        observed.texts = files.texts(gather.texts(contents, recording))
        observed.libraries = files.libraries(gather.libraries(contents))
    if any(".py" in one.path and one.opened for one in recording.files):
        observed.imports = _imports(job, subject, observed, engine, progress)
    return observed


def _imports(
    job: AdviceJob,
    subject: CheckedImage,
    observed: Observed,
    engine: DockerEngine,
    progress: Progress,
) -> Mapping[Package, ImportTime]:
    """Seconds of Python's imports, of a start of its own."""
    native = engine.facts().platform
    spec = ContainerSpec(
        image=subject.image,
        platform=subject.platform,
        model_dir=subject.model_dir,
        env=environment(subject.platform, native=native),
        labels={
            LABEL: "true",
            LABEL_ROLE: ROLE,
            LABEL_OWNER: f"advice-{secrets.token_hex(4)}",
            **of_this_process(),
        },
        read_only_root=False,
        publish=0,
    )
    first = job.payloads[0]
    try:
        with progress.step("Time the imports"):
            found = import_times(
                engine,
                spec,
                observed.contents,
                within_s=_READY_S * patience(subject.platform, native=native),
                first_request=(first.body, first.content_type),
            )
    except ContainerFailedError as error:
        observed.notes.append(f"Imports were not timed: {error.what.splitlines()[0]}")
        return {}
    if found is None:
        observed.notes.append(
            "Python ran and told of no imports: it is started without its environment (-E, -I), or "
            "writes its standard error elsewhere."
        )
    return found or {}


def _measured(
    job: AdviceJob,
    subject: CheckedImage,
    archived: Path | None,
    engine: DockerEngine,
    progress: Progress,
    notes: list[str],
) -> Mapping[StartKind, Sample]:
    """One timed start of each kind; of one that fails a note says why."""
    first = job.payloads[0]
    one = Subject(
        image=subject.image,
        archive=archived,
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
