"""Build what is missing or has changed, and nothing else."""

from collections.abc import Sequence

from lab.engine.api import Engine
from lab.engine.docker import DockerEngine
from lab.errors import ImageNotFoundError
from lab.images import venvs
from lab.images.bake import bake
from lab.images.base import ensure_base
from lab.images.targets import LABEL_FINGERPRINT, Target, fingerprint, target
from lab.progress import Progress
from lab.spec import Platform


def ensure(
    targets: Sequence[str], *, platform: Platform, engine: Engine, progress: Progress
) -> None:
    """Have the images of ``targets`` in the engine; on one without containers, their environments.

    An image whose label says that it was made from the present inputs is not built. Raises
    ``UsageError`` for an unknown name, ``BuildError``, ``DiskFullError`` or ``EngineError``.
    """
    wanted = [target(name) for name in dict.fromkeys(targets)]
    if not isinstance(engine, DockerEngine):
        venvs.ensure([one.name for one in wanted], progress=progress)
        return
    base = engine.image(ensure_base(platform, engine, progress).ref).image_id
    stale = {
        one.name: mark
        for one in _with_steps(wanted)
        if (mark := fingerprint(one, base=base)) != _built_from(one, platform, engine)
    }
    if stale:
        bake(
            list(stale),
            labels={name: {LABEL_FINGERPRINT: mark} for name, mark in stale.items()},
            platform=platform,
            engine=engine,
            progress=progress,
        )


def _with_steps(targets: Sequence[Target]) -> Sequence[Target]:
    """The targets, and those whose images they take a step from."""
    names = [name for one in targets for name in (*one.steps, one.name)]
    return [target(name) for name in dict.fromkeys(names)]


def _built_from(target: Target, platform: Platform, engine: DockerEngine) -> str | None:
    try:
        return engine.image(target.ref(platform)).labels.get(LABEL_FINGERPRINT)
    except ImageNotFoundError:
        return None
