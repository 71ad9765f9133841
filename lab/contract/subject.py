"""What a check is told on the command line, made into what it can start."""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from lab.artifacts import archive, store
from lab.artifacts import build as models
from lab.contenttype import guess
from lab.contract.model import CheckedImage, RuleContext
from lab.endpoint.instances import table
from lab.endpoint.launch.model import ModelData, bring
from lab.endpoint.live import LaunchFailed
from lab.endpoint.s3 import S3Objects
from lab.engine.api import ImageFacts
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import remove_owned, sweep
from lab.engine.emulation.qemu import ensure_runs
from lab.engine.interrupt import uninterrupted
from lab.errors import ArchiveError, EmulationError, ImageNotFoundError, UsageError
from lab.images import build as images
from lab.images.variants import VARIANTS, image_ref
from lab.progress import Progress
from lab.runfiles import read_bytes
from lab.spec import LABEL_OWNER, Platform, Runtime
from lab.start.image import ensure_image

_VARIANT_LABEL: Final = "org.inference-lab.variant"
_DEFAULT_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What the user said."""

    image: str
    """Its reference; or a variant of the lab's, which is built, and serves a model of the lab's."""
    platform: Platform | None = None
    model_data: str | None = None
    """An archive, an unpacked folder, what lies at ``s3://``, or the name of a model of the lab's.
    """
    payload: Path | None = None
    content_type: str | None = None
    instance_type: str | None = None


@contextmanager
def prepared(
    request: CheckRequest, engine: DockerEngine, progress: Progress
) -> Iterator[tuple[CheckedImage, RuleContext]]:
    """The subject with its model unpacked, in a folder that goes away afterwards.

    An image that the engine has not is pulled.
    """
    instance = _instance(request)
    with TemporaryDirectory(prefix="inference-lab-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        # Whatever user the image runs as may pass; nobody else sees what is in it.
        work.chmod(0o711)
        # That may be passed by everybody, so the name is not to be guessed.
        model = work / f"model-{secrets.token_hex(8)}"
        # First: it takes a second, and what SageMaker refuses is not worth an image.
        packed = _own_model(request.model_data, model)
        sweep(engine, progress)
        request = _variant(request, engine, progress)
        payload = _payload(request)
        facts = _image(request, engine, progress)
        try:
            ensure_runs(facts.platform, engine, progress)
        except EmulationError as error:
            # What is judged without running it is judged all the same; the rest says why it is not.
            progress.note(error.what)
        if request.model_data in store.models() and not model.exists():
            packed = _lab_model(request, facts.labels)
            if packed is not None:
                archive.extract(packed, model)
        subject = CheckedImage(
            image=request.image,
            platform=facts.platform,
            model_dir=_readable(model) if model.exists() else None,
            payload=None if payload is None else payload[0],
            content_type="application/json" if payload is None else payload[1],
            archive=packed,
            instance_type=instance,
        )
        owner = f"contract-{os.getpid()}-{secrets.token_hex(3)}"
        machine = engine.facts()
        try:
            yield (
                subject,
                RuleContext(
                    engine=engine,
                    native=machine.platform,
                    owner=owner,
                    work=work,
                    here=machine.here,
                ),
            )
        finally:
            # By the label: Ctrl-C may have come before a container was known, and an engine that
            # is busy may have failed to remove one.
            with uninterrupted():
                for line in remove_owned(engine, {LABEL_OWNER: owner}):
                    progress.note(line)


def _instance(request: CheckRequest) -> str | None:
    """The instance type's name, which there is."""
    name = request.instance_type
    if name is None or name in table():
        return name
    near = get_close_matches(name, table(), n=1)
    raise UsageError(
        f"There is no instance type {name} that a production variant may name.",
        remedy=f"Did you mean {near[0]}?" if near else "They begin with ml., as ml.m5.large does.",
    )


def _variant(request: CheckRequest, engine: DockerEngine, progress: Progress) -> CheckRequest:
    """A variant of the lab's as the image of a platform, with a model that it can serve."""
    found = VARIANTS.get(request.image)
    if found is None or _has(engine, request.image):
        return request
    platform = request.platform or engine.facts().platform
    model = request.model_data
    if model is None and found.runtime is not None:
        model = store.DEFAULT
    if model in store.models():
        store.check(model, found.runtime)
    images.ensure([found.name], platform=platform, engine=engine, progress=progress)
    if model in store.models():
        models.ensure([model], engine=engine, progress=progress)
    return replace(request, image=image_ref(found.name, platform), model_data=model)


def _has(engine: DockerEngine, ref: str) -> bool:
    try:
        engine.image(ref)
    except ImageNotFoundError:
        return False
    return True


def _image(request: CheckRequest, engine: DockerEngine, progress: Progress) -> ImageFacts:
    facts = ensure_image(request.image, request.platform, engine, progress)
    if request.platform is not None and facts.platform is not request.platform:
        raise UsageError(
            f"{request.image} is here for {facts.platform}, not for {request.platform}.",
            remedy=f"Pull or build it for {request.platform} first.",
        )
    return facts


def _payload(request: CheckRequest) -> tuple[bytes, str] | None:
    if request.payload is None:
        if request.model_data in store.models():
            known = store.payload(request.model_data)
            return known.path.read_bytes(), request.content_type or known.content_type
        return None
    body = read_bytes(request.payload, remedy="Correct --payload.")
    return body, request.content_type or guess(request.payload) or _DEFAULT_TYPE


def _own_model(given: str | None, into: Path) -> Path | None:
    """Unpack what is not one of the lab's models; its archive, if it has one on this machine."""
    if given is None:
        return None
    path = Path(given)
    if given.startswith("s3://"):
        data = ModelData(uri=given, compressed=not given.endswith("/"))
        try:
            bring(data, into, objects=S3Objects(endpoint_url=None), check=lambda: None)
        except LaunchFailed as error:
            raise ArchiveError(error.reason) from error
    elif path.is_dir():
        try:
            shutil.copytree(path, into)
        except shutil.Error as error:
            raise UsageError(
                f"{path} cannot be copied: {error.args[0][0][0]} cannot be read, or is a link to "
                "nothing.",
                remedy="Correct or remove it.",
            ) from error
    elif path.is_file():
        archive.extract(path, into)
        return path
    elif given not in store.models():
        names = ", ".join(store.models())
        raise UsageError(
            f"{given} is no archive, no folder and none of the lab's models.",
            remedy=f"Name a model.tar.gz, the folder that one unpacks to, or one of {names}.",
        )
    return None


def _lab_model(request: CheckRequest, labels: Mapping[str, str]) -> Path | None:
    """The archive of one of the lab's models that the image takes."""
    model = str(request.model_data)
    variant = VARIANTS.get(labels.get(_VARIANT_LABEL, ""))
    if variant is None:
        paths = (store.folder(model) / store.archive_name(runtime) for runtime in Runtime)
        raise UsageError(
            f"{request.image} is none of the lab's variants: which archive of {model} it takes is "
            "not known.",
            remedy=f"Name the archive itself: --model-data {' or '.join(map(str, paths))}.",
        )
    return None if variant.runtime is None else store.find(model, variant.runtime).path


def _readable(model: Path) -> PurePosixPath:
    """To any user."""
    for path in (model, *model.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return PurePosixPath(model)
