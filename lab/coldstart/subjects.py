"""From a cell to what it starts: image, model archive, payload."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.artifacts import store
from lab.artifacts.archive import unpacked
from lab.coldstart.plan import OwnImage, Plan
from lab.coldstart.record import Cell, ModelRecord
from lab.coldstart.schedule import cells
from lab.coldstart.trial import Subject
from lab.engine.api import Engine
from lab.errors import UsageError
from lab.images.variants import VARIANTS, image_ref
from lab.progress import Progress
from lab.spec import FLOOR, Platform, Runtime
from lab.start.image import ensure_image

Key = tuple[str, str, Platform]
"""Variant, model, platform: what a subject depends on."""


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """Everything that a plan starts."""

    by_key: Mapping[Key, Subject]
    models: Sequence[ModelRecord]

    def of(self, cell: Cell) -> Subject:
        return self.by_key[cell.variant, cell.model, cell.platform]


def resolve(plan: Plan) -> Subjects:
    """Find image names, archives and payloads of a plan whose models are built.

    Raises ``UsageError`` for a file that is missing or has changed.
    """
    by_key: dict[Key, Subject] = {}
    models: dict[tuple[str, str], ModelRecord] = {}
    planned = {(cell.variant, cell.model, cell.platform) for cell in cells(plan)}
    for variant, model, platform in sorted(planned, key=lambda key: key[0] == FLOOR):
        if plan.own is not None and variant == plan.own.variant:
            subject, record = own_subject(plan.own)
        elif variant == FLOOR:
            # Handed what the others of its model get to fetch, so that it costs the same.
            others = [one for key, one in by_key.items() if key[1:] == (model, platform)]
            subject, record = _floor(others, platform), None
        else:
            subject, record = _ours(variant, model, platform)
        by_key[variant, model, platform] = subject
        if record is not None:
            models[record.name, record.archive] = record
    return Subjects(by_key=by_key, models=tuple(models.values()))


def own_subject(own: OwnImage) -> tuple[Subject, ModelRecord | None]:
    """The user's image with the user's files. Raises ``UsageError`` for a file that is missing."""
    payload = _read(own.payload, "payload")
    record = None
    if own.model_data is not None:
        data = _read(own.model_data, "model data")
        record = ModelRecord(
            name=own.model,
            archive=own.model_data.name,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
        )
    subject = Subject(
        image=own.image,
        archive=own.model_data,
        payload=payload,
        content_type=own.content_type,
    )
    return subject, record


def ensure_own(own: OwnImage, platform: Platform, engine: Engine, progress: Progress) -> None:
    """Have the user's image here, pulled from its registry if need be.

    Raises ``ImageNotFoundError`` when it is nowhere, ``UsageError`` when it is for a processor
    that was not asked for.
    """
    facts = ensure_image(own.image, platform, engine, progress)
    if facts.platform is not platform:
        raise UsageError(
            f"{own.image} is for {facts.platform}, and the plan says {platform}.",
            remedy=f"Add `--platform {facts.platform}` (emulated if this machine is not one), "
            f"or build the image with `--platform {platform}`.",
        )


def check_models(plan: Plan) -> None:
    """Refuse a model that is built and has nothing for one of the variants.

    Raises ``UsageError``.
    """
    for model in plan.models:
        store.check(model, *(VARIANTS[one].runtime for one in plan.variants if one in VARIANTS))


def check_own(own: OwnImage) -> None:
    """Refuse the user's files before anything is built for them.

    Raises ``UsageError`` for a file that is missing, ``ArchiveError`` for an archive that is
    corrupt or would write outside its folder.
    """
    own_subject(own)
    if own.model_data is not None:
        with unpacked(own.model_data):
            pass


def _ours(variant: str, model: str, platform: Platform) -> tuple[Subject, ModelRecord]:
    runtime = VARIANTS[variant].runtime or Runtime.ONNX
    archive = store.find(model, runtime)
    payload = store.payload(model)
    record = ModelRecord(
        name=model, archive=runtime.value, sha256=archive.sha256, bytes=archive.bytes
    )
    subject = Subject(
        image=image_ref(variant, platform),
        archive=archive.path,
        payload=payload.path.read_bytes(),
        content_type=payload.content_type,
    )
    return subject, record


def _floor(others: Sequence[Subject], platform: Platform) -> Subject:
    """The floor fetches the smallest archive of its model, and is asked the same."""
    sizes = {one.archive.stat().st_size: one for one in others if one.archive is not None}
    like = sizes[min(sizes)] if sizes else others[0]
    return replace(like, image=image_ref(FLOOR, platform))


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The {what} {path} cannot be read: {error.strerror or error}.",
            remedy="Name a file that is there.",
        ) from error
