"""Making ready what a plan needs, and nothing else: engine, images, models, registry."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from itertools import product
from typing import Final

from lab import paths
from lab.artifacts import build as models
from lab.artifacts import fits
from lab.coldstart import pagecache
from lab.coldstart.executor import ROLE_TRIAL, ColdStartBench, ContainerExecutor
from lab.coldstart.folder import RUN_FILE
from lab.coldstart.observe import Limits
from lab.coldstart.plan import Plan
from lab.coldstart.record import Cell, ImageRecord
from lab.coldstart.runner import Prepared
from lab.coldstart.sites import Cold, cold_hosts
from lab.coldstart.subjects import Subjects, check_models, check_own, ensure_own, resolve
from lab.coldstart.trial import Subject
from lab.engine.api import Container, ContainerSpec, Engine, EngineFacts
from lab.engine.coldhost.flat import ROLE as ROLE_FLAT
from lab.engine.coldhost.ondemand import Speed
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import of_this_process, remove_owned, sweep
from lab.engine.emulation.qemu import Emulation, ensure_runs
from lab.engine.interrupt import uninterrupted
from lab.engine.registry.local import Registry
from lab.engine.select import open_engine
from lab.errors import EngineError, UsageError
from lab.images import build as images
from lab.images.base import ensure_base
from lab.images.sizes import image_record
from lab.images.targets import COMPILED_ACROSS
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import FLOOR, LABEL_OWNER, LABEL_ROLE, EngineKind, Platform, StartKind
from lab.start.emulated import PATIENCE, emulated

_ROLES: Final = (ROLE_TRIAL, "coldhost", "link", ROLE_FLAT)


@contextmanager
def prepared(plan: Plan, run_id: str, progress: Progress) -> Iterator[Prepared]:
    """Have everything that the plan needs; at the end nothing is left of the run but its folder.

    Builds only what the plan names and what is missing or has changed.
    """
    with ExitStack() as stack:
        engine = open_engine(progress)
        stack.callback(engine.close)
        remove_leftovers(engine, progress)
        stack.callback(remove_all_of, engine, run_id, progress)
        facts = engine.facts()
        emulations = _emulations(plan, engine, facts, progress)
        unable = impossible(plan, facts)
        pulling = bool(cold_kinds(plan, unable))
        base = _build(plan, engine, facts, pulling=pulling, progress=progress)
        subjects = resolve(plan)
        executor, registry = stack.enter_context(
            executing(
                plan,
                [(one, platform) for (_, _, platform), one in subjects.by_key.items()],
                subjects.of,
                engine,
                unable=unable,
                owner=run_id,
                publish=_publish(engine, facts, run_id),
                progress=progress,
            )
        )
        yield Prepared(
            run_trial=executor.run,
            engine=asdict(facts),
            base_image=base,
            images=_image_records(subjects, engine, registry),
            models=subjects.models,
            notes=(*notes(plan, facts, unable, emulations), *misfits(plan)),
            here=facts.here,
        )


def cold_kinds(plan: Plan, unable: Collection[StartKind]) -> Collection[StartKind]:
    """The plan's start kinds that need a cold host, of those that are possible."""
    return ({StartKind.PULL, StartKind.ONDEMAND} & {*plan.start_kinds}) - {*unable}


@contextmanager
def executing(
    plan: Plan,
    subjects: Sequence[tuple[Subject, Platform]],
    subject_of: Callable[[Cell], Subject],
    engine: Engine,
    *,
    unable: dict[StartKind, str],
    owner: str,
    publish: int | None,
    progress: Progress,
) -> Iterator[tuple[ContainerExecutor, Registry | None]]:
    """What runs a plan's trials, and the registry that holds what is pulled.

    ``unable`` gets the kinds that turn out to be impossible, each with the reason.
    """
    facts = engine.facts()
    with ExitStack() as stack:
        cold: Cold | None = None
        kinds = cold_kinds(plan, unable)
        if kinds and isinstance(engine, DockerEngine):
            cold = stack.enter_context(
                cold_hosts(
                    engine,
                    subjects,
                    kinds=kinds,
                    native=facts.platform,
                    speed=Speed(bandwidth=plan.bandwidth, latency_s=plan.chunk_latency),
                    owner=owner,
                    progress=progress,
                )
            )
            if cold.why_not:
                unable[StartKind.ONDEMAND] = cold.why_not
        bench = ColdStartBench(
            engine=engine,
            facts=facts,
            limits=Limits(probe_interval_s=plan.probe_interval, ready_timeout_s=plan.ready_timeout),
            owner=owner,
            work=paths.cache() / "trials" / owner,
            publish=publish,
            cold=cold.pulled if cold else None,
            on_demand=cold.demanded if cold else None,
            unable=unable,
        )
        executor = ContainerExecutor(bench, subject_of)
        stack.callback(executor.close)
        yield executor, cold.registry if cold else None


def impossible(plan: Plan, facts: EngineFacts) -> dict[StartKind, str]:
    """The plan's start kinds that cannot be measured here, each with the reason."""
    reasons: dict[StartKind, str] = {}
    if facts.kind is EngineKind.PROCESS:
        reasons[StartKind.PULL] = "no container: there is no image to pull"
        reasons[StartKind.ONDEMAND] = "no container: there is no image to serve"
    why_not = pagecache.why_not(local=facts.here)
    if why_not is not None:
        reasons[StartKind.DISKCOLD] = why_not
    return {kind: why for kind, why in reasons.items() if kind in plan.start_kinds}


def notes(
    plan: Plan,
    facts: EngineFacts,
    unable: Mapping[StartKind, str],
    emulations: Sequence[Emulation] = (),
) -> tuple[str, ...]:
    """What is degraded or skipped, in words, for the terminal and ``run.json``."""
    said = list(facts.notes)
    said += [f"{kind} trials are skipped: {why}." for kind, why in unable.items()]
    capped = [tier.name for tier in plan.tiers if tier.cpus is not None and tier.cpus > facts.cpus]
    if capped:
        said.append(
            f"Tier {', '.join(capped)} MB: the CPU quota is capped at this machine's "
            f"{facts.cpus} CPUs."
        )
    large = [
        tier.name
        for tier in plan.tiers
        if tier.memory_bytes is not None and tier.memory_bytes > facts.memory_bytes
    ]
    if large:
        said.append(f"Tier {', '.join(large)} MB is more memory than this machine has.")
    said += [
        f"{one.platform} is emulated ({one.detail}): its times say nothing of real hardware, "
        f"and its containers are waited for {PATIENCE:g} times as long."
        for one in emulations
    ]
    return tuple(said)


def misfits(plan: Plan) -> Iterator[str]:
    """Which cells will be killed for want of memory, as far as the models' cards tell.

    They are measured all the same: a kill is a result.
    """
    for variant, model in product(plan.variants, plan.models):
        needed = fits.need(model, variant)
        small = [tier for tier in plan.tiers if needed and not needed.fits(tier)]
        if needed and small:
            yield f"{needed.misfit(small[-1])} Its starts there are measured all the same."


def _emulations(
    plan: Plan, engine: Engine, facts: EngineFacts, progress: Progress
) -> tuple[Emulation, ...]:
    """Have the plan's other platforms run here. Raises ``EmulationError`` where they cannot."""
    return tuple(
        ensure_runs(platform, engine, progress)
        for platform in plan.platforms
        if emulated(platform, native=facts.platform)
    )


def _build(
    plan: Plan, engine: Engine, facts: EngineFacts, *, pulling: bool, progress: Progress
) -> dict[str, object]:
    """Build and get images and models; says which base image was used."""
    if facts.kind is EngineKind.PROCESS and plan.own is not None:
        raise UsageError(
            f"{plan.own.image} is a container image, and there is no container engine here.",
            remedy="See `lab doctor` for how to get one.",
        )
    if plan.own is not None:
        check_own(plan.own)
        for platform in plan.platforms:
            ensure_own(plan.own, platform, engine, progress)
    check_models(plan)
    base: dict[str, object] = {}
    for platform in plan.platforms:
        targets = list(plan.all_variants)
        if platform is facts.platform:
            targets += models.trainer(plan.models)
        if facts.kind is EngineKind.DOCKER:
            stands_on = facts.platform if COMPILED_ACROSS.issuperset(targets) else platform
            found = ensure_base(stands_on, engine, progress)
            base[stands_on.arch] = asdict(found)
        if pulling and platform is facts.platform:
            targets += ["registry", "coldhost"]
        images.ensure(targets, platform=platform, engine=engine, progress=progress)
    if pulling and facts.platform not in plan.platforms:
        helpers = ["registry", "coldhost"]
        images.ensure(helpers, platform=facts.platform, engine=engine, progress=progress)
    if plan.models:
        models.ensure(plan.models, engine=engine, progress=progress)
    return base


def _image_records(
    subjects: Subjects, engine: Engine, registry: Registry | None
) -> tuple[ImageRecord, ...]:
    seen = {
        (variant, platform): one.image for (variant, _, platform), one in subjects.by_key.items()
    }
    records = []
    for (variant, platform), ref in seen.items():
        found = image_record(engine, registry, variant, platform, ref=ref)
        records.append(
            ImageRecord.model_validate({**asdict(found), "image_id": engine.image(ref).image_id})
        )
    return tuple(records)


def _publish(engine: Engine, facts: EngineFacts, owner: str) -> int | None:
    """Whether ports must be published to be reached: seen on a container of the floor.

    Publishing costs a start some 10 ms and is avoided where the container's own address can be
    reached, as on Linux.
    """
    if facts.kind is EngineKind.PROCESS:
        return None
    container = engine.create(
        ContainerSpec(
            image=image_ref(FLOOR, facts.platform),
            labels={LABEL_ROLE: ROLE_TRIAL, LABEL_OWNER: owner, **of_this_process()},
        )
    )
    try:
        container.start()
        container.address()
    except EngineError:
        return 0
    else:
        return None
    finally:
        with suppress(EngineError):
            container.remove()


# --- cleaning up ---------------------------------------------------------------------------------


def remove_all_of(engine: Engine, owner: str, progress: Progress) -> None:
    """Remove every container that carries this run's label; say what could not be."""
    with uninterrupted():
        for line in remove_owned(engine, {LABEL_OWNER: owner}):
            progress.note(line)


def remove_leftovers(engine: Engine, progress: Progress) -> None:
    """Remove the containers and unpacked models of runs that were killed.

    Call it only with the bench lock held: then no run of this machine is alive, and whatever
    carries the label of a run that has a folder here is nobody's any more.
    """
    sweep(engine, progress)
    left = [
        container
        for role in _ROLES
        for container in engine.containers({LABEL_ROLE: role})
        if (owner := container.labels.get(LABEL_OWNER))
        and (paths.runs() / owner / RUN_FILE).is_file()
    ]
    count = _remove(left)
    shutil.rmtree(paths.cache() / "trials", ignore_errors=True)
    if count:
        progress.note(f"Removed {count} containers that a killed run had left behind.")


def _remove(containers: Sequence[Container]) -> int:
    for container in containers:
        with suppress(EngineError):
            container.remove()
    return len(containers)
