"""What the container answers on this machine: what an endpoint's answer is held against."""

import os
from pathlib import Path, PurePosixPath
from typing import Final

from lab.artifacts.archive import unpacked
from lab.aws.answers import AnswerPayload
from lab.aws.invoke import ANSWER
from lab.engine.api import ContainerSpec, Engine
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform
from lab.start.serving import serving

_ROLE: Final = "push"
_READY_S: Final = 600.0
"""Long enough for an image of another processor, which is emulated."""

_ANSWER_S: Final = 120.0


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
    processes = engine.kind is EngineKind.PROCESS
    with progress.step(f"Ask {image} on this machine"), unpacked(archive) as model:
        spec = ContainerSpec(
            image=image,
            model_dir=PurePosixPath(model),
            labels={LABEL_ROLE: _ROLE, LABEL_OWNER: f"{_ROLE}-{os.getpid()}"},
            publish=None if processes else 0,
            platform=None if processes else platform,
        )
        with serving(engine, spec, within_s=_READY_S) as served:
            return served.invoke(
                payload.body,
                payload.content_type,
                accept=ANSWER,
                name=payload.name,
                timeout_s=_ANSWER_S,
            )
