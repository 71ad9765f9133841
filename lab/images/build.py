"""Build what is missing or has changed, and nothing else."""

import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress

from lab.engine.api import Engine, ImageFacts, find_image
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import EngineError
from lab.images import thirdparty, venvs
from lab.images.base import ensure_base
from lab.images.names import keep_as_replaced
from lab.images.targets import COMPILED_ACROSS, LABEL_FINGERPRINT, BuildTarget, fingerprint, target
from lab.images.thirdparty import Provenance
from lab.progress import Progress
from lab.spec import Platform


def ensure(
    targets: Sequence[str], *, platform: Platform, engine: Engine, progress: Progress
) -> None:
    """Have the images of ``targets`` in the engine; on one without containers, their environments.

    An image whose label says that it was made from the present inputs is not built. Raises
    ``UsageError`` for an unknown name, ``BuildError``, ``DiskFullError``, ``EmulationError`` for a
    platform that does not run on the engine, or another ``EngineError``.
    """
    wanted = [target(name) for name in dict.fromkeys(targets)]
    if not isinstance(engine, DockerEngine):
        ensure_runs(platform, engine, progress)  # an environment is of this machine's platform
        venvs.ensure([one.name for one in wanted], progress=progress)
        return
    _refuse_absent(ensure_all(wanted, platform=platform, engine=engine, progress=progress))


def ensure_all(
    targets: Sequence[BuildTarget], *, platform: Platform, engine: DockerEngine, progress: Progress
) -> Mapping[str, Provenance]:
    """The same, all in one build; where each service of others came from.

    That one of these can be had from nowhere is no error but a ``Provenance`` without source.
    """

    @functools.cache
    def base(of: Platform) -> str:
        return ensure_base(of, engine, progress).digest

    def stands_on(one: BuildTarget) -> Platform:
        return engine.facts().platform if one.name in COMPILED_ACROSS else platform

    own = _with_steps([one for one in targets if not one.upstream])
    marks = {one: fingerprint(one, base=base(stands_on(one))) for one in own}
    present = {one: find_image(engine, one.ref(platform)) for one in own}
    stale = [one for one in own if _mark(present[one]) != marks[one]]
    found = thirdparty.ensure(
        [one for one in targets if one.upstream],
        platform=platform,
        engine=engine,
        progress=progress,
        base=lambda: base(platform),
        beside={one.name: {LABEL_FINGERPRINT: marks[one]} for one in stale},
    )
    _forget(engine, [facts for one in stale if (facts := present[one]) is not None])
    return found


def _refuse_absent(found: Mapping[str, Provenance]) -> None:
    absent = [one for one in found.values() if one.source is None]
    if absent:
        raise EngineError(
            f"{absent[0].name} can be had from nowhere: {absent[0].detail}.",
            remedy="Check with `lab doctor` which registries can be reached.",
        )


def _with_steps(targets: Sequence[BuildTarget]) -> Sequence[BuildTarget]:
    """The targets, and those whose images they take a step from."""
    names = [name for one in targets for name in (*one.steps, one.name)]
    return [target(name) for name in dict.fromkeys(names)]


def _mark(facts: ImageFacts | None) -> str | None:
    return None if facts is None else facts.labels.get(LABEL_FINGERPRINT)


def _forget(engine: DockerEngine, replaced: Sequence[ImageFacts]) -> None:
    """Remove the images that lost their names to new ones, unless something still uses them.

    Without force: the engine refuses for one that a container was made from, which gets a name by
    which `lab clean` knows it.
    """
    for facts in replaced:
        with suppress(EngineError):
            try:
                with translated():
                    if not engine.client.inspect_image(facts.image_id)["RepoTags"]:
                        engine.client.remove_image(facts.image_id)
            except EngineError:
                keep_as_replaced(engine, facts.image_id)
