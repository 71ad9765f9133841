"""What a check is told on the command line, made into what it can start."""

import os
import secrets
import shutil
from collections.abc import Iterator
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
from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import EmulationError, EngineError, ImageNotFoundError, UsageError
from lab.images import build as images
from lab.images.variants import VARIANTS, image_ref
from lab.progress import Progress
from lab.runfiles import read_bytes
from lab.spec import Platform, Runtime

_VARIANT_LABEL: Final = "org.inference-lab.variant"
_DEFAULT_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What the user said."""

    image: str
    """Its reference; or a variant of the lab's, which is built, and serves a model of the lab's."""
    platform: Platform | None = None
    model_data: str | None = None
    """An archive, an unpacked folder, or the name of one of the lab's models."""
    payload: Path | None = None
    content_type: str | None = None
    instance_type: str | None = None


@contextmanager
def prepared(
    wish: CheckRequest, engine: DockerEngine, progress: Progress
) -> Iterator[tuple[CheckedImage, RuleContext]]:
    """The subject with its model unpacked, in a folder that goes away afterwards.

    An image that the engine has not is pulled.
    """
    instance = _instance(wish)
    wish = _variant(wish, engine, progress)
    payload = _payload(wish)
    labels, platform = _image(wish, engine, progress)
    try:
        ensure_runs(platform, engine, progress)
    except EmulationError as error:
        # What is judged without running it is judged all the same; the rest says why it is not.
        progress.note(error.what)
    with TemporaryDirectory(prefix="inference-lab-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        # Whatever user the image runs as may pass; nobody else sees what is in it.
        work.chmod(0o711)
        packed = _archive(wish, labels)
        subject = CheckedImage(
            image=wish.image,
            platform=platform,
            model_dir=_unpacked(wish, packed, work),
            payload=None if payload is None else payload[0],
            content_type="application/json" if payload is None else payload[1],
            archive=packed,
            instance_type=instance,
        )
        owner = f"contract-{os.getpid()}-{secrets.token_hex(3)}"
        native = engine.facts().platform
        yield subject, RuleContext(engine=engine, native=native, owner=owner, work=work)


def _instance(wish: CheckRequest) -> str | None:
    """The instance type's name, which there is."""
    name = wish.instance_type
    if name is None or name in table():
        return name
    near = get_close_matches(name, table(), n=1)
    raise UsageError(
        f"There is no instance type {name} that a production variant may name.",
        remedy=f"Did you mean {near[0]}?" if near else "They begin with ml., as ml.m5.large does.",
    )


def _variant(wish: CheckRequest, engine: DockerEngine, progress: Progress) -> CheckRequest:
    """A variant of the lab's as the image of a platform, with a model that it can serve."""
    found = VARIANTS.get(wish.image)
    if found is None or _has(engine, wish.image):
        return wish
    platform = wish.platform or engine.facts().platform
    images.ensure([found.name], platform=platform, engine=engine, progress=progress)
    model = wish.model_data
    if model is None and found.runtime is not None:
        model = store.models()[0]
    if model in store.models():
        models.ensure([model], engine=engine, progress=progress)
    return replace(wish, image=image_ref(found.name, platform), model_data=model)


def _has(engine: DockerEngine, ref: str) -> bool:
    try:
        engine.image(ref)
    except ImageNotFoundError:
        return False
    return True


def _image(
    wish: CheckRequest, engine: DockerEngine, progress: Progress
) -> tuple[dict[str, str], Platform]:
    try:
        facts = engine.image(wish.image)
    except ImageNotFoundError:
        try:
            with progress.step(f"Pulling {wish.image}"):
                engine.pull(wish.image, platform=wish.platform)
        except EngineError as error:
            raise ImageNotFoundError(
                f"The engine has no image {wish.image}, and {error.what}",
                remedy="Check the name (`docker images` lists what is here), or build it first.",
            ) from error
        facts = engine.image(wish.image)
    if wish.platform is not None and facts.platform is not wish.platform:
        raise UsageError(
            f"{wish.image} is here for {facts.platform}, not for {wish.platform}.",
            remedy=f"Pull or build it for {wish.platform} first.",
        )
    return dict(facts.labels), facts.platform


def _payload(wish: CheckRequest) -> tuple[bytes, str] | None:
    if wish.payload is None:
        if wish.model_data in store.models():
            known = store.payload(wish.model_data)
            return known.path.read_bytes(), wish.content_type or known.content_type
        return None
    body = read_bytes(wish.payload, remedy="Correct --payload.")
    return body, wish.content_type or guess(wish.payload) or _DEFAULT_TYPE


def _archive(wish: CheckRequest, labels: dict[str, str]) -> Path | None:
    if wish.model_data is None or Path(wish.model_data).is_dir():
        return None
    if Path(wish.model_data).is_file():
        return Path(wish.model_data)
    if wish.model_data not in store.models():
        names = ", ".join(store.models())
        raise UsageError(
            f"{wish.model_data} is no archive, no folder and none of the lab's models.",
            remedy=f"Name a model.tar.gz, the folder that one unpacks to, or one of {names}.",
        )
    variant = VARIANTS.get(labels.get(_VARIANT_LABEL, ""))
    if variant is None:
        choices = " or ".join(
            str(store.folder(wish.model_data) / store.archive_name(runtime)) for runtime in Runtime
        )
        raise UsageError(
            f"{wish.image} is none of the lab's variants: which archive of {wish.model_data} it "
            "takes is not known.",
            remedy=f"Name the archive itself: --model-data {choices}.",
        )
    if variant.runtime is None:
        return None
    return store.find(wish.model_data, variant.runtime).path


def _unpacked(wish: CheckRequest, packed: Path | None, work: Path) -> PurePosixPath | None:
    # The folder above may be passed by everybody, so its name is not to be guessed.
    target = work / f"model-{secrets.token_hex(8)}"
    if packed is not None:
        archive.extract(packed, target)
    elif wish.model_data is not None and Path(wish.model_data).is_dir():
        shutil.copytree(wish.model_data, target)
    else:
        return None
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return PurePosixPath(target)
