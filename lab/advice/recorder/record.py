"""Start an image once where it is watched, ask it, stop it, and write down what it read.

Nothing is measured here: tracing slows look-ups down, and so a start.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import lab
from lab.advice.contents import Contents, EntryKind
from lab.advice.recorder.asking import Conversation, Payload, first_prediction, later
from lab.advice.recorder.blocks import Blocks, attribute
from lab.advice.recorder.calls import Touched, touched
from lab.advice.recorder.strace import read_trace
from lab.advice.recorder.watched import Watched, watched
from lab.advice.recording import BLOCKS, CALLS, Answer, FileRead, Recording, Stage
from lab.contract.running.container import Running
from lab.contract.running.readiness import NeverReady, refused, wait_until_ready
from lab.engine.api import ContainerSpec, EngineFacts, ImageFacts
from lab.engine.coldhost.ondemand import Speed
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import of_this_process, sweep
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import ContainerFailedError, EngineError, UsageError
from lab.images import build
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, MODEL_DIR, PORT
from lab.start.emulated import emulated, environment, patience

ROLE: Final = "recording"

_TRACED_SLOWER: Final = 3.0
"""By how much longer a container is waited for whose every look-up is written down."""
_STOP_S: Final = 30.0
"""SageMaker's, from SIGTERM to SIGKILL."""
_SPEED: Final = Speed(bandwidth=1_000_000_000, latency_s=0.001)
_NS: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class RecordRequest:
    """What is to be recorded."""

    image: str
    contents: Contents
    """What the image holds: touched is only what it brought."""
    payloads: Sequence[Payload]
    """The first is the first prediction's."""
    archive: Path | None = None
    """``model.tar.gz``; None mounts nothing at ``/opt/ml/model``."""
    speed: Speed = _SPEED
    """Of the link that its chunks come over."""
    ready_timeout_s: float = 300.0
    invocation_timeout_s: float = 60.0
    """Both for a container that is neither traced nor emulated."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What a run left behind. Times are by the engine's clock."""

    ready_ns: int
    talk: Conversation
    shift_ns: int
    """The engine's clock less this machine's."""
    blocks: Blocks | None
    touched: Touched | None
    doubts: Sequence[str]

    def stage(self, at_ns: int) -> Stage:
        if at_ns < self.ready_ns:
            return Stage.READY
        return Stage.FIRST if at_ns < self.talk.first_ns + self.shift_ns else Stage.LATER


def record(engine: DockerEngine, request: RecordRequest, progress: Progress) -> Recording:
    """What an image's start and a few requests read. Nothing is left of it but what is returned.

    Raises ``UsageError`` without a payload, ``ImageNotFoundError``, ``DiskFullError`` before
    anything is written, ``ContainerFailedError`` where the image does not get ready or does not
    answer the first payload, and other ``EngineError``.
    """
    if not request.payloads:
        raise UsageError(
            "A recording needs a request: what an image reads depends on what it is asked.",
            remedy="Name one with --payload FILE.",
        )
    sweep(engine, progress)
    facts, image = engine.facts(), engine.image(request.image)
    slower = patience(image.platform, native=facts.platform)
    if slower > 1:
        ensure_runs(image.platform, engine, progress)
    build.ensure(["coldhost"], platform=facts.platform, engine=engine, progress=progress)
    owner = f"record-{secrets.token_hex(4)}"
    with watched(
        engine,
        request.image,
        helper=image_ref("coldhost", facts.platform),
        owner=owner,
        speed=request.speed,
        archive=request.archive,
        progress=progress,
    ) as place:
        spec = _spec(place, image, facts, owner)
        run = _run(place, spec, request, progress, facts=facts, slower=slower)
    for doubt in run.doubts:
        progress.note(doubt)
    return _recording(request, image, facts, run)


def _spec(place: Watched, image: ImageFacts, facts: EngineFacts, owner: str) -> ContainerSpec:
    return ContainerSpec(
        image=place.image,
        env=environment(image.platform, native=facts.platform),
        labels={LABEL: "true", LABEL_ROLE: ROLE, LABEL_OWNER: owner, **of_this_process()},
        model_dir=place.model_dir,
        publish=place.host.publish,
        # As on a SageMaker instance: an image that the lab did not make may need to write.
        read_only_root=False,
        platform=image.platform,
        runtime=place.runtime,
    )


def _run(
    place: Watched,
    spec: ContainerSpec,
    request: RecordRequest,
    progress: Progress,
    *,
    facts: EngineFacts,
    slower: float,
) -> _Run:
    container = place.host.engine.create(spec)
    slower *= _TRACED_SLOWER
    try:
        with progress.step(f"Record the start of {request.image}"):
            running = _ready(container, request, slower)
            loading_s = request.ready_timeout_s * slower
            talk = first_prediction(
                running, request.image, request.payloads[0], loading_s=loading_s
            )
        with progress.step(f"Record the next requests to {request.image}"):
            later(running, request.payloads, talk, timeout_s=request.invocation_timeout_s)
            container.stop(grace_s=_STOP_S * slower)
        # Before anything else looks into the image.
        reads, shift_ns = place.reads(), round(facts.clock_offset_s * _NS)
        ready_ns = (running.probes.ready_ns or 0) + shift_ns
        seen = _touched(place, container, request.contents) if place.traced else None
    finally:
        container.remove()
    blocks = None
    if place.device is not None:
        first_ns = talk.first_ns + shift_ns
        stages = [
            (Stage.READY, 0, ready_ns),
            (Stage.FIRST, ready_ns, first_ns),
            (Stage.LATER, first_ns, time.time_ns() + shift_ns),
        ]
        names = {} if seen is None else seen.names
        blocks = attribute(reads, place.extents(), stages, touched=names)
    doubts = [*place.doubts, *talk.doubts, *(() if seen is None else seen.doubts)]
    return _Run(
        ready_ns=ready_ns, talk=talk, shift_ns=shift_ns, blocks=blocks, touched=seen, doubts=doubts
    )


def _ready(container: DockerContainer, request: RecordRequest, slower: float) -> Running:
    begin = time.monotonic()
    try:
        try:
            container.start()
            address = container.address()
        except EngineError as error:
            raise refused(container, error) from error
        probes = wait_until_ready(
            container,
            address,
            port=PORT,
            begin=begin,
            within_s=request.ready_timeout_s * slower,
        )
    except NeverReady as never:
        seen = never.seen
        tries = f"Try its start: `lab contract check {request.image} --only serve`."
        raise ContainerFailedError(
            f"{request.image} does not get ready, so there is nothing to record: {seen.message}"
            f"\n{seen.log}".rstrip(),
            remedy=f"{seen.cure} {tries}".strip(),
        ) from never
    return Running(
        container, address, ready_s=time.monotonic() - begin, probes=probes, patience=slower
    )


def _touched(place: Watched, container: DockerContainer, contents: Contents) -> Touched:
    def head(path: str) -> bytes:
        try:
            return container.head(path)
        except EngineError:
            return b""

    return touched(
        read_trace(place.trace()),
        names={
            path: entry.target if entry.kind is EntryKind.LINK else ""
            for path, entry in contents.entries.items()
        },
        mounts=() if place.model_dir is None else (MODEL_DIR,),
        head=head,
    )


def _recording(
    request: RecordRequest, image: ImageFacts, facts: EngineFacts, run: _Run
) -> Recording:
    names = {} if run.touched is None else run.touched.names
    fetched = {} if run.blocks is None else run.blocks.files
    waited = {} if run.blocks is None else run.blocks.waited_s
    calls = run.touched is not None and bool(names)
    if calls:
        files = [
            FileRead(
                path=path,
                first=run.stage(one.first_ns),
                opened=one.opened,
                block_bytes=fetched.get(path, {}),
                waited_s=waited.get(path, {}),
            )
            for path, one in sorted(names.items())
        ]
    else:
        files = [
            FileRead(
                path=path,
                first=min(by, key=list(Stage).index),
                opened=True,
                block_bytes=by,
                waited_s=waited.get(path, {}),
            )
            for path, by in sorted(fetched.items())
            if path != "/"
        ]
    return Recording(
        image=request.image,
        image_id=image.image_id,
        platform=image.platform,
        emulated=emulated(image.platform, native=facts.platform),
        lab_version=lab.__version__,
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        views=[*((BLOCKS,) if run.blocks is not None else ()), *((CALLS,) if calls else ())],
        files=files,
        missed=[] if run.touched is None else sorted(run.touched.missed),
        answers=_sorted(run.talk.answers),
        chunks={} if run.blocks is None else run.blocks.chunks,
        new_by_payload=_new(run) if calls else {},
        untouched_bytes={} if run.blocks is None else _untouched(run.blocks, names),
        doubts=list(run.doubts),
    )


def _sorted(answers: Sequence[Answer]) -> Sequence[Answer]:
    """In the order in which they were asked; of two at once in that of what was answered."""
    at_once = [one for one in answers if one.what.endswith(" at once")]
    rest = [one for one in answers if not one.what.endswith(" at once")]
    return [*rest, *sorted(at_once, key=lambda one: (one.status, one.sha256))]


def _untouched(blocks: Blocks, names: Mapping[str, object]) -> Mapping[Stage, int]:
    found = dict(blocks.other)
    for path, by in blocks.files.items():
        if names and path not in names:
            for stage, size in by.items():
                found[stage] += size
    return found


def _new(run: _Run) -> Mapping[str, int]:
    """How many names each payload's requests touched first."""
    found = dict[str, int]()
    times = [] if run.touched is None else [one.first_ns for one in run.touched.names.values()]
    for name, begin_ns, end_ns in run.talk.spans:
        many = sum(begin_ns <= at - run.shift_ns < end_ns for at in times)
        found[name] = found.get(name, 0) + many
    return found
