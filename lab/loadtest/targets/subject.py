"""What an image is loaded with: a variant of the lab's with a model, or a user's own image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.artifacts import build as models
from lab.artifacts import store
from lab.coldstart.trial import Subject
from lab.engine.api import Engine, find_image
from lab.engine.docker.owned import sweep
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import EngineError, UsageError
from lab.images import build as images
from lab.images.variants import VARIANTS, image_ref
from lab.loadtest.targets.api import LoadPayload
from lab.progress import Progress
from lab.spec import FLOOR, EngineKind, Platform
from lab.start.image import ensure_image


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """What the user said of an image."""

    name: str
    """A variant's, or a reference."""
    model: str | None = None
    """Of the lab's, for a variant; None is the first."""
    model_data: Path | None = None
    """A ``model.tar.gz``, for any other image."""
    payload: LoadPayload | None = None
    """None is what the variant's model says that a client sends."""
    platform: Platform | None = None
    """None is the engine's own, or what the image is for."""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ImageSubject:
    """The same, made ready."""

    subject: Subject
    model: str | None
    platform: Platform

    @property
    def payload(self) -> LoadPayload:
        """What it is asked unless a user says otherwise."""
        return LoadPayload(
            name="payload", body=self.subject.payload, content_type=self.subject.content_type
        )


def image_subject(asked: ImageRequest, engine: Engine, progress: Progress) -> ImageSubject:
    """Build or pull what is missing. Raises ``UsageError``, ``ImageNotFoundError``, ...

    An image that the engine has under a variant's very name goes before the variant.
    """
    sweep(engine, progress)
    known = asked.name in VARIANTS or asked.name == FLOOR
    if known and (engine.facts().kind is EngineKind.PROCESS or not find_image(engine, asked.name)):
        return _variant(asked, engine, progress)
    return _own(asked, engine, progress)


def lab_payload(model: str) -> LoadPayload:
    """What a client of one of the lab's models sends. Raises ``UsageError`` if it is not built."""
    found = store.payload(model)
    return LoadPayload(
        name=found.path.name, body=found.path.read_bytes(), content_type=found.content_type
    )


def _variant(asked: ImageRequest, engine: Engine, progress: Progress) -> ImageSubject:
    if asked.model_data is not None:
        raise UsageError(
            f"{asked.name} is a variant of the lab's, which serves the lab's models.",
            remedy="Choose one with --model in place of --model-data.",
        )
    native = engine.facts().platform
    platform = asked.platform or native
    runtime = VARIANTS[asked.name].runtime if asked.name in VARIANTS else None
    model = None if runtime is None else asked.model or store.DEFAULT
    if model is not None:
        store.check(model, runtime)
    ensure_runs(platform, engine, progress)
    images.ensure([asked.name], platform=platform, engine=engine, progress=progress)
    payload = asked.payload
    archive = None
    if runtime is not None and model is not None:
        models.ensure([model], engine=engine, progress=progress)
        archive = store.find(model, runtime).path
        payload = payload or lab_payload(model)
    payload = payload or LoadPayload(name="empty", body=b"{}", content_type="application/json")
    return ImageSubject(
        subject=Subject(
            image=image_ref(asked.name, platform),
            archive=archive,
            payload=payload.body,
            content_type=payload.content_type,
        ),
        model=model,
        platform=platform,
    )


def _own(asked: ImageRequest, engine: Engine, progress: Progress) -> ImageSubject:
    if engine.facts().kind is EngineKind.PROCESS:
        raise EngineError(
            f"{asked.name} is a container image, and there is no container engine here.",
            remedy="See `lab doctor` for how to get one.",
        )
    if asked.model is not None:
        raise UsageError(
            f"{asked.name} is no variant of the lab's: which of its archives it takes is not "
            "known.",
            remedy="Name the archive itself: --model-data model.tar.gz.",
        )
    if asked.model_data is not None and not asked.model_data.is_file():
        raise UsageError(
            f"The model data {asked.model_data} are not a file.", remedy="Name a model.tar.gz."
        )
    if asked.payload is None:
        raise UsageError(
            f"{asked.name} needs a question to ask of it.", remedy="Add --payload FILE."
        )
    facts = ensure_image(asked.name, asked.platform, engine, progress)
    if asked.platform not in {None, facts.platform}:
        raise UsageError(
            f"{asked.name} is here for {facts.platform}, not for {asked.platform}.",
            remedy=f"Pull or build it for {asked.platform} first.",
        )
    ensure_runs(facts.platform, engine, progress)
    data = asked.model_data
    return ImageSubject(
        subject=Subject(
            image=asked.name,
            archive=data,
            payload=asked.payload.body,
            content_type=asked.payload.content_type,
        ),
        model=None if data is None else data.name.partition(".")[0],
        platform=facts.platform,
    )
