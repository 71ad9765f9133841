"""What the container answers on this machine: what an endpoint's answer is held against."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from lab import wire
from lab.artifacts.archive import extract
from lab.aws.answers import Payload
from lab.aws.invoke import ANSWER
from lab.engine.api import Container, ContainerSpec, Engine
from lab.errors import ContainerFailedError, EngineError
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform
from lab.start.cause import Cause, death, not_ready, not_started
from lab.start.probe import probe
from lab.start.watch import Watch

_ROLE: Final = "push"
_READY_S: Final = 600.0
"""Long enough for an image of another processor, which is emulated."""

_ANSWER_S: Final = 120.0
_PROBE_S: Final = 0.05
_OK: Final = 200


def local_answer(
    engine: Engine,
    *,
    image: str,
    archive: Path,
    payload: Payload,
    platform: Platform | None = None,
    progress: Progress,
) -> bytes:
    """Start the image with the archive's model, ask it once, and remove it.

    Raises ``ContainerFailedError`` with the container's last lines, ``ArchiveError`` or an
    ``EngineError``.
    """
    with (
        progress.step(f"Ask {image} on this machine"),
        _running(engine, image, archive, platform) as container,
    ):
        address = _ready(container)
        headers = {"Content-Type": payload.content_type, "Accept": ANSWER}
        prepared = wire.request(
            "POST", "/invocations", host=address[0], body=payload.body, headers=headers
        )
        try:
            with wire.connect(address, timeout_s=_ANSWER_S) as connection:
                answer = wire.exchange(connection, prepared)
        except OSError as error:
            raise _failed(image, death(container, "while it was asked"), str(error)) from error
    if answer.status != _OK:
        raise ContainerFailedError(
            f"On this machine {image} answered {answer.status} to {payload.name}: "
            f"{answer.body[:300].decode(errors='replace')}",
            remedy="Send what the model understands, with --payload.",
        )
    return answer.body


@contextmanager
def _running(
    engine: Engine, image: str, archive: Path, platform: Platform | None
) -> Iterator[Container]:
    processes = engine.kind is EngineKind.PROCESS
    with tempfile.TemporaryDirectory(prefix="inference-lab-") as folder:
        # The container may run as another user than this one.
        Path(folder).chmod(0o755)
        model = Path(folder) / "model"
        extract(archive, model)
        container = engine.create(
            ContainerSpec(
                image=image,
                model_dir=PurePosixPath(model),
                labels={LABEL_ROLE: _ROLE, LABEL_OWNER: f"{_ROLE}-{os.getpid()}"},
                publish=None if processes else 0,
                platform=None if processes else platform,
            )
        )
        try:
            try:
                container.start()
            except EngineError as error:
                raise _failed(image, not_started(container, error), error.what) from error
            yield container
        finally:
            container.remove()


def _ready(container: Container) -> tuple[str, int]:
    address = container.address()
    with Watch(container) as watch:
        seen = probe(
            address,
            interval_s=_PROBE_S,
            give_up_at=time.monotonic() + _READY_S,
            gone=watch.gone,
        )
    if seen.ready_ns is None:
        raise _failed(container.name, not_ready(container, seen, _READY_S), seen.seen())
    return address


def _failed(image: str, cause: Cause | None, otherwise: str) -> ContainerFailedError:
    said = cause.message if cause else otherwise
    tail = f"\n{cause.log_tail}" if cause and cause.log_tail else ""
    return ContainerFailedError(
        f"On this machine {image} does not answer: {said}{tail}",
        remedy="Check it with `lab contract check`.",
    )
