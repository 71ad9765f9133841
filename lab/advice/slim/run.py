"""From an image to a smaller one that is proven, named, measured and told of."""

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from lab import __version__, paths
from lab.advice.read_contents import read_contents
from lab.advice.recording import Recording
from lab.advice.slim.answers import Payload
from lab.advice.slim.bisect import Budget, TriesUsedUp
from lab.advice.slim.mend import Tracer
from lab.advice.slim.out import removed_list
from lab.advice.slim.prove import Proof, Trouble
from lab.advice.slim.record import (
    REMOVED_LIST,
    SLIM_FILE,
    RemovedPackage,
    Restored,
    Size,
    SlimRecord,
)
from lab.advice.slim.select import Level, Selection, Selector
from lab.advice.slim.write import (
    REMOVED_TAR,
    Original,
    Workshop,
    made_by_slim,
    sweep_images,
)
from lab.coldstart.runner import new_id
from lab.contract.model import CheckedImage
from lab.contract.subject import CheckRequest, prepared
from lab.engine.api import find_image
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import is_dead, of_this_process
from lab.errors import LabError, UsageError
from lab.images.names import is_own_name
from lab.lock import heavy_work
from lab.progress import Progress
from lab.runfiles import new_folder, write_whole
from lab.spec import LABEL_PROCESS, Platform

ROUNDS: Final = 8
"""Candidates that are made until it is given up."""
TRIES: Final = 120
"""Starts to trace what candidates lack, in all."""

Record: TypeAlias = Callable[[CheckedImage, str], Recording]
"""Records a run of an image: that of the subject, or another under the same conditions."""


class SlimError(LabError):
    """No smaller image could be proven to do what the original does."""

    exit_code = 15


@dataclass(frozen=True, kw_only=True)
class SlimJob:
    """What the user said."""

    request: CheckRequest
    """The image, its model and its first payload."""
    name: str
    payloads: Sequence[Payload]
    level: Level = Level.PACKAGES
    keep: Sequence[str] = ()
    force: bool = False
    quick: bool = False
    keep_removed: bool = False


@dataclass(frozen=True, kw_only=True)
class Slimmed:
    """What came of it."""

    record: SlimRecord
    folder: Path
    subject_image: str
    """The original, as the engine knows it."""
    archive: Path | None
    """The packed model, if one was given packed."""


def slim(job: SlimJob, engine: DockerEngine, progress: Progress, *, record: Record) -> Slimmed:
    """Make it, prove it, name it, and write the run folder.

    Raises ``UsageError``, ``SlimError``, ``ContainerFailedError`` when it is the original that does
    not start or answer, ``DiskFullError``, ``EngineError``. Whatever ends it, Ctrl-C included, the
    engine has neither a container nor an image more, but for the proven one.
    """
    refuse_name(job, engine)
    sweep_images(engine)
    with (
        heavy_work(f"The slimming of {job.request.image}", progress),
        prepared(job.request, engine, progress) as (subject, where),
        _work_folder() as work,
    ):
        with progress.step(f"Record what {subject.image} reads"):
            recording = record(subject, subject.image)
        with progress.step(f"Read the contents of {subject.image}"):
            contents = read_contents(engine, subject.image)
        original = Original(ref=subject.image, contents=contents)
        with Workshop(engine, original, work, where.owner) as shop:
            selector = Selector(
                contents, [recording], level=job.level, keep=job.keep, head=shop.head
            )
            proof = Proof(subject, where, job.payloads, progress, quick=job.quick)
            search = _Search(
                shop=shop,
                selector=selector,
                proof=proof,
                recording=recording,
                again=lambda image: record(subject, image),
                progress=progress,
            )
            image, selection = search.run()
            after = read_contents(engine, image)
            run_id = new_id("slim")
            found = SlimRecord(
                id=run_id,
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
                    compressed_bytes=sum(one.compressed_bytes for one in after.layers),
                    estimated=True,
                    unpacked_bytes=after.unpacked_bytes,
                    names=len(after.entries),
                ),
                removed=_removed(selection),
                restored=search.restored,
                risks=_risks(job, subject, recording, proof, selection),
                removed_tar=REMOVED_TAR if job.keep_removed else None,
            )
            folder = new_folder(paths.runs() / run_id)
            write_whole(
                folder / REMOVED_LIST, removed_list(selection).encode(errors="surrogateescape")
            )
            if job.keep_removed:
                shutil.move(shop.removed, folder / REMOVED_TAR)
            save(found, folder)
            shop.give_name(job.name)
        return Slimmed(
            record=found, folder=folder, subject_image=subject.image, archive=subject.archive
        )


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


class _Search:
    """Candidates, one after the other, until one is proven."""

    def __init__(
        self,
        *,
        shop: Workshop,
        selector: Selector,
        proof: Proof,
        recording: Recording,
        again: Callable[[str], Recording],
        progress: Progress,
    ) -> None:
        self._shop = shop
        self._selector = selector
        self._proof = proof
        self._recording = recording
        self._again = again
        self._progress = progress
        self._unrelated: set[str] = set()
        self.budget = Budget(TRIES)
        self.restored: list[Restored] = []
        self.rounds = 0

    def run(self) -> tuple[str, Selection]:
        """The proven one, by its id, and what stayed. Raises ``SlimError``."""
        for self.rounds in range(1, ROUNDS + 1):
            also = {path for one in self.restored for path in one.paths}
            selection = self._selector.select(also)
            if not selection.removed_bytes:
                raise SlimError(
                    "Nothing can be left out: the run touched all that is in the image.",
                    remedy="Try --level files.",
                )
            image = self._shop.make(selection, self._progress)
            found = self._wanting(image, selection)
            if not found:
                return image, selection
            self.restored += found
            for one in found:
                some = ", ".join(one.paths[:3]) + (" ..." if len(one.paths) > 3 else "")
                self._progress.note(f"{one.because}: kept after all: {some}")
        raise SlimError(
            f"After {ROUNDS} candidates there is still something that the smaller image does worse:"
            f" {self.restored[-1].because}.",
            remedy="Keep more with --keep GLOB, or give a --payload that reaches it.",
        )

    def _wanting(self, image: str, selection: Selection) -> Sequence[Restored]:
        """What a candidate needs beside; nothing of one that is proven. The quickest comes first."""
        return (
            self._traced(self._proof.answers(image), image, selection)
            or self._missed(image, selection)
            or self._traced(self._proof.contract(image), image, selection)
        )

    def _missed(self, image: str, selection: Selection) -> Sequence[Restored]:
        """Look-ups that fail in the candidate, and had found something in the original."""
        with self._progress.step("Record the smaller image"):
            recording = self._again(image)
        new = set(recording.missed) - set(self._recording.missed)
        lost = {
            path: sorted(set(self._selector.missing_for(path)) - selection.kept)
            for path in sorted(new)
        }
        return [
            Restored(because=f"{path} was looked for in vain", paths=its, traced=True)
            for path, its in lost.items()
            if its
        ]

    def _traced(
        self, troubles: Sequence[Trouble], image: str, selection: Selection
    ) -> Sequence[Restored]:
        tracer = Tracer(
            image=image,
            selection=selection,
            with_files=self._shop.with_files,
            budget=self.budget,
        )
        found: list[Restored] = []
        for trouble in troubles:
            if trouble.what in self._unrelated or self._cured(trouble, image, found):
                continue
            with self._progress.step(f"Trace what {trouble.what} lacks") as step:
                try:
                    cure = tracer.trace(trouble, step)
                except TriesUsedUp:
                    raise SlimError(
                        f"What {trouble.what} lacks in the smaller image was not found in "
                        f"{TRIES} tries: {trouble.words}.",
                        remedy="Keep more with --keep GLOB, or give a --payload that reaches it.",
                    ) from None
            if cure is None:
                self._unrelated.add(trouble.what)
                self._proof.unsure.append(
                    f"{trouble.what}: {trouble.words}, also with every file put back"
                )
            else:
                because = f"{trouble.what}: {trouble.words}"
                found.append(Restored(because=because, paths=cure.paths, traced=cure.traced))
        return found

    def _cured(self, trouble: Trouble, image: str, found: Sequence[Restored]) -> bool:
        """Whether what was found for others is enough for it."""
        paths = {path for one in found for path in one.paths}
        if not paths:
            return False
        with self._shop.with_files(image, paths) as tried:
            return not trouble.persists(tried)


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
    stays: Collection[tuple[str, str]] = {
        entries[path].package for path in selection.kept if entries[path].size
    }
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


def _risks(
    job: SlimJob,
    subject: CheckedImage,
    recording: Recording,
    proof: Proof,
    selection: Selection,
) -> Sequence[str]:
    """What the proof does not cover, in sentences."""
    many = "one payload" if len(job.payloads) == 1 else f"{len(job.payloads)} payloads"
    found = [
        f"What was tried: {many}, wrong requests and the contract. A request of another kind may "
        "need a file that is gone: give each kind as a --payload."
    ]
    if selection.level is Level.FILES:
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
