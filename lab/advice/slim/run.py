"""From an image to a smaller one that is proven, named, measured and told of."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lab import __version__, paths
from lab.advice.contents import Contents
from lab.advice.image.read import read_contents
from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import RecordRequest
from lab.advice.recording import BLOCKS, Recording
from lab.advice.slim.compare import Timing, timed, weighed
from lab.advice.slim.out import removed_list
from lab.advice.slim.prove import Proof
from lab.advice.slim.record import (
    REMOVED_LIST,
    SLIM_FILE,
    Largest,
    RemovedPackage,
    Size,
    SlimRecord,
)
from lab.advice.slim.search import Search
from lab.advice.slim.select import Level, Selection, Selector
from lab.advice.slim.write import REMOVED_TAR, Workshop, made_by_slim, sweep_images
from lab.artifacts.archive import pack
from lab.coldstart.runner import new_id
from lab.contract.model import CheckedImage
from lab.contract.subject import CheckRequest, prepared
from lab.engine.api import find_image
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import FREE_SPACE
from lab.engine.docker.owned import is_dead, of_this_process
from lab.errors import UsageError
from lab.images.names import is_own_name
from lab.lock import heavy_work
from lab.progress import Progress
from lab.runfiles import new_folder, room, write_whole
from lab.spec import LABEL_PROCESS, Platform

Record: TypeAlias = Callable[[RecordRequest], Recording]
"""Records a run of an image."""


@dataclass(frozen=True, kw_only=True)
class SlimJob:
    """What the user said."""

    request: CheckRequest
    """The image, its model and its first payload."""
    name: str
    payloads: Sequence[Payload]
    level: Level = Level.PACKAGES
    keep: Sequence[str] = ()
    strip: bool = True
    """At the level ``files``: cut symbol tables and debug sections off what stays."""
    force: bool = False
    quick: bool = False
    """Shorter loads, and no memory tiers, in the contract checks."""
    keep_removed: bool = False
    measure: Timing | None = None
    """None leaves the starts unmeasured."""


def slim(
    job: SlimJob, engine: DockerEngine, progress: Progress, *, record: Record
) -> tuple[SlimRecord, Path]:
    """Make it, prove it, name it, measure it; what is known of it, and its run folder.

    Raises ``UsageError``, ``SlimError``, ``ContainerFailedError`` when it is the original that does
    not start or answer, ``DiskFullError``, ``EngineError``, and ``BusyError`` when it cannot be
    measured because another bench does. Whatever ends it, Ctrl-C included, the engine has no
    container and no image more, but for the proven one once it has its name.
    """
    refuse_name(job, engine)
    sweep_images(engine)
    with _work_folder() as work:
        found, folder, archive = _made(job, engine, progress, record=record, work=work)
        if job.measure is not None:
            found = weighed(found, engine, progress)
            save(found, folder)
            found = timed(found, archive, job.payloads[0], job.measure, engine, progress)
            save(found, folder)
    return found, folder


def _made(
    job: SlimJob, engine: DockerEngine, progress: Progress, *, record: Record, work: Path
) -> tuple[SlimRecord, Path, Path | None]:
    """The proven image under its name; its record, its run folder, the packed model."""
    with (
        heavy_work(f"The slimming of {job.request.image}", progress),
        prepared(job.request, engine, progress) as (subject, where),
    ):
        archive = _archive(subject, work)
        with progress.step(f"Read the contents of {subject.image}"):
            contents = read_contents(engine, subject.image)

        def recorded(image: str, its: Contents) -> Recording:
            return record(
                RecordRequest(image=image, contents=its, payloads=job.payloads, archive=archive)
            )

        recording = recorded(subject.image, contents)
        with Workshop(engine, contents, work, where.owner) as shop:
            selector = Selector(
                contents,
                [recording],
                level=job.level,
                keep=job.keep,
                strip=job.strip,
                head=shop.head,
            )
            proof = Proof(subject, where, job.payloads, progress, quick=job.quick)
            search = Search(
                shop=shop,
                selector=selector,
                proof=proof,
                recording=recording,
                again=recorded,
                progress=progress,
            )
            image, selection = search.run()
            found = SlimRecord(
                id=new_id("slim"),
                image=subject.image,
                image_id=contents.image_id,
                name=job.name,
                new_id=image,
                platform=subject.platform,
                level=job.level,
                lab_version=__version__,
                payloads=[one.name for one in job.payloads],
                asked=proof.asked,
                rules=len(proof.original_verdicts.findings),
                rounds=search.rounds,
                tries=search.budget.used,
                before=Size(
                    compressed_bytes=sum(one.compressed_bytes for one in contents.layers),
                    estimated=True,
                    unpacked_bytes=sum(one.unpacked_bytes for one in contents.layers),
                    names=len(contents.entries),
                ),
                after=Size(
                    compressed_bytes=selection.kept_compressed,
                    estimated=True,
                    unpacked_bytes=selection.kept_bytes,
                    names=len(selection.kept),
                ),
                removed=_removed(selection),
                restored=search.restored,
                stripped_files=len(selection.stripped),
                stripped_bytes=selection.stripped_bytes,
                largest=largest_left(selection, recording),
                risks=_risks(job, subject, recording, proof),
                removed_tar=REMOVED_TAR if job.keep_removed else None,
            )
            folder = _written(found, selection, shop)
            shop.give_name(job.name)
    return found, folder, archive


def _written(record: SlimRecord, selection: Selection, shop: Workshop) -> Path:
    """The run folder, with the list of what was removed, and that itself if it is kept."""
    folder = new_folder(paths.runs() / record.id)
    listed = removed_list(selection).encode(errors="surrogateescape")
    write_whole(folder / REMOVED_LIST, listed)
    if record.removed_tar is not None:
        with room(folder, remedy=FREE_SPACE):
            shutil.move(shop.removed, folder / record.removed_tar)
    save(record, folder)
    return folder


def save(record: SlimRecord, folder: Path) -> Path:
    """Write ``slim.json`` in one step."""
    return write_whole(folder / SLIM_FILE, record.to_json())


def refuse_name(job: SlimJob, engine: DockerEngine) -> None:
    """Raise ``UsageError`` for a name that the new image must not have."""
    again = "Choose another --name."
    if is_own_name(job.name):
        raise UsageError(f"{job.name} is a name of the lab's own images.", remedy=again)
    if "@" in job.name or not job.name.strip():
        raise UsageError(f"{job.name!r} is no name that an image can be given.", remedy=again)
    there = find_image(engine, job.name)
    if there is None:
        return
    original = find_image(engine, job.request.image)
    if original is not None and original.image_id == there.image_id:
        raise UsageError(f"{job.name} is the image that is to be slimmed.", remedy=again)
    if not job.force and not made_by_slim(engine, job.name):
        raise UsageError(
            f"There is an image {job.name} that this command has not made.",
            remedy="Choose another --name, or replace it with --force.",
        )


def _archive(subject: CheckedImage, work: Path) -> Path | None:
    """The packed model; of one that was given as a folder, or that came from S3, packed here."""
    if subject.archive is not None or subject.model_dir is None:
        return subject.archive
    packed = work / "model.tar.gz"
    pack(Path(subject.model_dir), packed)
    return packed


@contextmanager
def _work_folder() -> Iterator[Path]:
    """A folder for both halves of an image; those of dead commands go first."""
    place = paths.cache() / "slim"
    if place.is_dir():
        for left in place.iterdir():
            if is_dead(left.name.replace("_", "/"), local=True):
                shutil.rmtree(left, ignore_errors=True)
    mark = of_this_process().get(LABEL_PROCESS, f"{os.getpid()}-{secrets.token_hex(3)}")
    work = place / mark.replace("/", "_")
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _removed(selection: Selection) -> Sequence[RemovedPackage]:
    entries = selection.contents.entries
    stays = {entries[path].package for path in selection.kept if entries[path].size}
    return [
        RemovedPackage(
            manager=package[0],
            name=package[1],
            files=len(its),
            unpacked_bytes=sum(one.size for one in its),
            whole=package not in stays,
        )
        for package, its in selection.removed_by_package.items()
    ]


def largest_left(selection: Selection, recording: Recording) -> Largest | None:
    """The largest of the files that stay, as it stays, and how much of it the run read."""
    weigh = {
        path: selection.contents.entries[path].size - selection.stripped.get(path, 0)
        for path in selection.kept
    }
    path = max(sorted(weigh), key=weigh.__getitem__, default=None)
    if path is None:
        return None
    touched = recording.touched().get(path)
    read = 0 if touched is None else touched.read_bytes
    return Largest(
        path=path,
        unpacked_bytes=weigh[path],
        read_bytes=read if BLOCKS in recording.views else None,
    )


def _risks(
    job: SlimJob, subject: CheckedImage, recording: Recording, proof: Proof
) -> Sequence[str]:
    """What the proof does not cover, in sentences."""
    many = "one payload" if len(job.payloads) == 1 else f"{len(job.payloads)} payloads"
    found = [
        (
            f"What was tried: {many}, wrong requests and the contract. A request of another kind "
            "may need a file that is gone: give each kind as a --payload."
        ),
    ]
    if job.level is Level.FILES:
        found.append(
            "Programs that nothing started are gone, shells and package managers perhaps among "
            "them: what is run in it by hand or by a later Dockerfile may be missing."
        )
    if recording.emulated:
        found.append(
            f"{Platform(subject.platform)} was emulated: code that a real processor of its kind "
            "chooses by its features was not seen."
        )
    found += [f"Not seen for sure: {one}" for one in recording.doubts]
    found += [f"Not judged: {one}" for one in proof.unsure]
    return found
