"""``lab up`` and ``lab down``, whatever the services run as."""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from lab.artifacts import build as models
from lab.artifacts import fits, store
from lab.artifacts.store import Archive
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.endpoint.instances import LARGE
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.errors import BusyError, UsageError
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.services import Started
from lab.stack import identity, sdk, seed
from lab.stack.containers import Containers
from lab.stack.processes import Processes
from lab.stack.seed import SeededEndpoint, SeededModel
from lab.stack.settings import StackSettings

_LOCK: Final = "lock"
_ELSEWHERE: Final = (
    "Without it start the stack with `lab up`, then choose the size: `lab push aws --target local`."
)


class Backend(Protocol):
    """What the services run as."""

    def prepare(self) -> None:
        """Have everything that starting takes, and refuse what cannot be started."""

    def start_store(self) -> None:
        """S3 and the registry."""

    def start_rest(self) -> None:
        """The emulator and what watches it."""

    def started(self) -> Sequence[Started]:
        """Every service, running or not."""

    def stop(self) -> int:
        """Stop everything; data stay. How many model containers had to be removed by hand."""

    def forget(self) -> Sequence[str]:
        """Remove what is kept outside of the state folder; what could not be."""

    def empty_state(self) -> None:
        """Remove of the state folder's content what only the emulator's user may remove."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The stack as ``up`` leaves it."""

    addresses: Addresses
    services: Sequence[Started]
    endpoints: Sequence[SeededEndpoint]
    payload: Path
    """An input to send."""
    content_type: str
    sdk_settings: Path
    """For SageMaker's Python SDKs."""


def backend_for(engine: Engine, settings: StackSettings, progress: Progress) -> Backend:
    """Containers where there is an engine for them, else processes."""
    if isinstance(engine, DockerEngine):
        return Containers(engine, settings, progress)
    return Processes(settings, progress)


def up(settings: StackSettings, engine: Engine, progress: Progress) -> Stack:
    """Build what is missing, start what does not run, seed what is absent; wait until it answers.

    What is there already stays as it is. Interrupted, it leaves what the next call goes on with.
    Raises a ``LabError``.
    """
    # Before anything is built: a variant without a model, or what is no address, is refused.
    runtime, _ = settings.runtime, settings.addresses
    for model in settings.models:
        store.check(model, runtime)
    with alone(settings.state):
        backend = backend_for(engine, settings, progress)
        backend.prepare()
        models.ensure(settings.models, engine=engine, progress=progress)
        served = _served(settings, engine)
        client = EmulatorClient(settings.addresses, env=settings.env)
        try:
            before = _served_before(settings, client)
            backend.start_store()
            # Before the emulator: it starts its containers again at once, and they fetch models.
            archives = [*(one.archive for one in served), *_archives(before, progress)]
            seed.upload(archives, settings.bucket, client, progress)
            settings.addresses.save(settings.state)
            backend.start_rest()
            endpoints = [
                *seed.endpoints(served, settings.bucket, _role(settings), client, progress),
                *seed.untouched(before, client),
            ]
            for name, changes in client.changes().items():
                for change in changes:
                    progress.note(f"{name}: {change}")
        finally:
            client.close()
        return Stack(
            addresses=settings.addresses,
            services=backend.started(),
            endpoints=endpoints,
            payload=served[0].payload.path,
            content_type=served[0].payload.content_type,
            sdk_settings=sdk.save(settings.state, bucket=settings.bucket),
        )


def beside(
    settings: StackSettings, engine: Engine, client: EmulatorClient, progress: Progress
) -> Sequence[SeededEndpoint]:
    """Endpoints of more models on a stack that runs; nothing else is touched.

    Raises a ``LabError``.
    """
    with alone(settings.state):
        models.ensure(settings.models, engine=engine, progress=progress)
        served = _served(settings, engine)
        seed.upload([one.archive for one in served], settings.bucket, client, progress)
        return seed.endpoints(served, settings.bucket, _role(settings), client, progress)


def down(
    settings: StackSettings, engine: Engine, progress: Progress, *, forget: bool
) -> Sequence[str]:
    """Stop the stack and its model containers; with ``forget`` remove volumes and state too.

    Says what stays because something else uses it.
    """
    with alone(settings.state):
        backend = backend_for(engine, settings, progress)
        backend.stop()
        if not forget:
            return ()
        kept = backend.forget()
    _remove(settings.state, backend)
    return kept


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """One ``lab up`` or ``lab down`` of a state folder at a time. Raises ``BusyError``."""
    # What models are given in their environment is in there, and what is sent to them.
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                "Another `lab up` or `lab down` is at work here.", remedy="Wait until it has ended."
            ) from error
        yield
    finally:
        os.close(descriptor)


def _served(settings: StackSettings, engine: Engine) -> Sequence[SeededModel]:
    """Raises ``UsageError`` for a model that its serverless endpoint could not hold."""
    for model in settings.models:
        fits.refuse_misfit(model, settings.variant, seed.SERVERLESS_MB, also=_ELSEWHERE)
    platform = engine.facts().platform
    image = image_ref(settings.variant, platform)
    image_id = engine.image(image).image_id
    return [
        SeededModel(
            archive=store.find(model, settings.runtime),
            payload=store.payload(model),
            image=image,
            image_id=image_id,
            variant=settings.variant,
            instance_type=LARGE[platform],
        )
        for model in settings.models
    ]


def _role(settings: StackSettings) -> str:
    return f"arn:aws:iam::{settings.account}:role/inference-lab"


def _served_before(settings: StackSettings, client: EmulatorClient) -> Sequence[str]:
    """Models that are not asked for now and have endpoints from an earlier time."""
    if client.healthy():
        there: Collection[str] = [row["EndpointName"] for row in client.endpoints()]
    else:
        there = identity.endpoints(settings.state)
    others = [model for model in store.models() if model not in settings.models]
    return [one for one in others if any(f"{one}-{kind}" in there for kind in seed.KINDS)]


def _archives(models: Sequence[str], progress: Progress) -> Iterator[Archive]:
    """What their endpoints may serve, whichever variant it was; a model may be built no more."""
    for model in models:
        try:
            yield from store.archives(model)
        except UsageError as error:
            progress.note(f"{error.what} Its endpoints cannot start again: {error.remedy}")


def _remove(state: Path, backend: Backend) -> None:
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(state)
        except PermissionError:
            backend.empty_state()
            _remove_rest(state)


def _remove_rest(state: Path) -> None:
    try:
        shutil.rmtree(state)
    except PermissionError as error:
        raise UsageError(
            f"{error.filename or state} cannot be removed: {error.strerror}.",
            remedy=f"A container wrote it as root. Remove it as root: sudo rm -r {state}",
        ) from error
