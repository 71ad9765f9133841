"""What the container answers on this machine: what an endpoint's answer is held against."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from lab import wire
from lab.artifacts.archive import extract
from lab.aws.answers import AnswerPayload
from lab.aws.invoke import ANSWER
from lab.engine.api import ContainerSpec, Engine
from lab.errors import ContainerFailedError
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform
from lab.start.cause import death
from lab.start.serving import Served, failed, serving

_ROLE: Final = "push"
_READY_S: Final = 600.0
"""Long enough for an image of another processor, which is emulated."""

_ANSWER_S: Final = 120.0
_OK: Final = 200


def local_answer(
    engine: Engine,
    *,
    image: str,
    archive: Path,
    payload: AnswerPayload,
    platform: Platform | None = None,
    progress: Progress,
) -> bytes:
    """Start the image with the archive's model, ask it once, and remove it.

    Raises ``ContainerFailedError`` with the container's last lines, ``ArchiveError`` or an
    ``EngineError``.
    """
    with (
        progress.step(f"Ask {image} on this machine"),
        _running(engine, image, archive, platform) as served,
    ):
        headers = {"Content-Type": payload.content_type, "Accept": ANSWER}
        prepared = wire.request(
            "POST", "/invocations", host=served.address[0], body=payload.body, headers=headers
        )
        try:
            with wire.connect(served.address, timeout_s=_ANSWER_S) as connection:
                answer = wire.exchange(connection, prepared)
        except OSError as error:
            cause = death(served.container, "while it was asked")
            if cause is not None:
                raise failed(image, cause) from error
            raise ContainerFailedError(
                f"On this machine {image} does not answer: {error}",
                remedy="Check it with `lab contract check`.",
            ) from error
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
) -> Iterator[Served]:
    processes = engine.kind is EngineKind.PROCESS
    with tempfile.TemporaryDirectory(prefix="inference-lab-") as folder:
        # The container may run as another user than this one.
        Path(folder).chmod(0o755)
        model = Path(folder) / "model"
        extract(archive, model)
        spec = ContainerSpec(
            image=image,
            model_dir=PurePosixPath(model),
            labels={LABEL_ROLE: _ROLE, LABEL_OWNER: f"{_ROLE}-{os.getpid()}"},
            publish=None if processes else 0,
            platform=None if processes else platform,
        )
        with serving(engine, spec, within_s=_READY_S) as served:
            yield served
