"""A serve bench from nothing: image, model, container, rounds, and all of it cleaned up."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lab.artifacts import archive, build, store
from lab.bench.figures import keep
from lab.bench.load import TIMEOUT_S, Block, LoadTarget
from lab.bench.serving import Arm, ServeBenchOptions, ServingResult, arms_of, measure, summarise
from lab.engine.api import ContainerSpec, Engine, Mount
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import EngineError
from lab.images.build import ensure as ensure_images
from lab.images.variants import image_ref, runtime_of
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform, Runtime
from lab.start.emulated import emulated, environment, patience
from lab.start.serving import serving

_READY_TIMEOUT_S: Final = 120.0
_INSIDE: Final = "/bench/payload"


@dataclass(frozen=True, kw_only=True)
class ServingJob:
    """What to serve and how much to measure."""

    variant: str
    model: str
    options: ServeBenchOptions
    platform: Platform | None = None
    """Of the image; None is the engine's own."""


def run(job: ServingJob, engine: Engine, progress: Progress) -> tuple[ServingResult, Path]:
    """Measure, and return the summary and the file that keeps all of it."""
    runtime = runtime_of(job.variant)
    if engine.kind is EngineKind.PROCESS:
        raise EngineError(
            "The serve bench compares two sides of one container, and there is no container here.",
            remedy="Run `lab doctor`: it says what a container engine needs on this machine.",
        )
    native = engine.facts().platform
    platform = job.platform or native
    ensure_runs(platform, engine, progress)
    build.ensure([job.model], engine=engine, progress=progress)
    ensure_images([job.variant], platform=platform, engine=engine, progress=progress)
    with (
        bench_lock("A serve bench"),
        _arms(job, runtime, engine, platform) as run_arm,
        progress.step(f"Measuring {job.variant} with {job.model}") as step,
    ):
        total = job.options.rounds + 1
        rounds = measure(run_arm, job.options, lambda done: step.advance(done + 1, total))
    result = summarise(rounds, emulated=emulated(platform, native=native))
    path = keep(
        "serve-bench",
        subject={"variant": job.variant, "model": job.model, "platform": platform},
        engine=engine,
        options=job.options,
        rounds=[asdict(one) for one in rounds],
        summary=asdict(result),
    )
    return result, path


@contextmanager
def _arms(
    job: ServingJob, runtime: Runtime, engine: Engine, platform: Platform
) -> Iterator[Callable[[Arm], Block]]:
    payload = store.payload(job.model)
    native = engine.facts().platform
    longer = patience(platform, native=native)
    with archive.unpacked(store.find(job.model, runtime).path) as model:
        (model.parent / "payload").write_bytes(payload.path.read_bytes())
        spec = ContainerSpec(
            image=image_ref(job.variant, platform),
            platform=platform,
            env=environment(platform, native=native),
            model_dir=PurePosixPath(model),
            mounts=(Mount(source=str(model.parent / "payload"), target=_INSIDE),),
            labels={LABEL_ROLE: "serve-bench", LABEL_OWNER: f"serve-bench-{os.getpid()}"},
            publish=0,
        )
        with serving(engine, spec, within_s=_READY_TIMEOUT_S * longer) as served:
            target = LoadTarget(
                address=served.address,
                payload=payload.path.read_bytes(),
                content_type=payload.content_type,
                timeout_s=TIMEOUT_S * longer,
            )
            command = ["python3", "-m", "app.inprocess", "--payload", _INSIDE]
            command += ["--content-type", payload.content_type]
            yield arms_of(served.container, target, command, job.options)
