"""Warm serving against the same decode and model run in-process, in interleaved blocks.

Both sides run in containers of the same image with the same limits: the server under load, and
``python -m app.inprocess`` inside the same container while the server idles. Each round runs all
four arms in a random order, so that a machine that changes its speed between rounds changes it
for all; figures are taken within a round and then summarised over the rounds.
"""

import json
import os
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum, unique
from pathlib import Path, PurePosixPath
from typing import Final

from lab.artifacts import archive, build, store
from lab.bench.figures import Figure, figure_of, keep
from lab.engine.api import Container, ContainerSpec, Engine, Mount
from lab.engine.docker.owned import sweep
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import ContainerFailedError, EngineError
from lab.images.build import ensure as ensure_images
from lab.images.variants import image_ref, runtime_of
from lab.load.clients import TIMEOUT_S, Block, LoadTarget, run_block
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform, Runtime
from lab.start.emulated import emulated, environment, patience
from lab.start.serving import serving

OVERHEAD_TARGET_S: Final = 0.0015
THROUGHPUT_TARGET: Final = 0.94
_READY_TIMEOUT_S: Final = 120.0
_INSIDE: Final = "/bench/payload"


@unique
class ServingArm(StrEnum):
    """What a block measures."""

    HTTP_SERIAL = "http_serial"
    INPROCESS_SERIAL = "inprocess_serial"
    HTTP_CONCURRENT = "http_concurrent"
    INPROCESS_CONCURRENT = "inprocess_concurrent"


@dataclass(frozen=True, kw_only=True)
class ServeBenchOptions:
    """How much to measure."""

    rounds: int
    requests: int
    """Per block."""
    clients: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """One block of each arm: p50 in seconds for the serial ones, requests/s for the others."""

    http_p50_s: float
    inprocess_p50_s: float
    http_rps: float
    inprocess_rps: float

    @property
    def overhead_s(self) -> float:
        """What HTTP adds to decoding and running the model."""
        return self.http_p50_s - self.inprocess_p50_s

    @property
    def throughput_ratio(self) -> float:
        """How much of the in-process ceiling the server reaches."""
        return self.http_rps / self.inprocess_rps


def measure(
    run_arm: Callable[[ServingArm], Block],
    options: ServeBenchOptions,
    on_round: Callable[[int], None],
) -> Sequence[Round]:
    """Run ``rounds`` rounds after one that is thrown away as warm-up."""
    order = random.Random(options.seed)
    rounds = []
    for number in range(options.rounds + 1):
        arms = list(ServingArm)
        order.shuffle(arms)
        blocks = {arm: run_arm(arm) for arm in arms}
        if number > 0:
            rounds.append(
                Round(
                    http_p50_s=statistics.median(blocks[ServingArm.HTTP_SERIAL].latencies_s),
                    inprocess_p50_s=statistics.median(
                        blocks[ServingArm.INPROCESS_SERIAL].latencies_s
                    ),
                    http_rps=blocks[ServingArm.HTTP_CONCURRENT].requests_per_s,
                    inprocess_rps=blocks[ServingArm.INPROCESS_CONCURRENT].requests_per_s,
                )
            )
        on_round(number)
    return rounds


def arms_of(
    container: Container, target: LoadTarget, inprocess: Sequence[str], options: ServeBenchOptions
) -> Callable[[ServingArm], Block]:
    """How each arm is run against one container; ``inprocess`` is the command inside it."""

    def run_arm(arm: ServingArm) -> Block:
        match arm:
            case ServingArm.HTTP_SERIAL:
                return run_block(target, requests=options.requests, clients=1)
            case ServingArm.HTTP_CONCURRENT:
                return run_block(target, requests=options.requests, clients=options.clients)
            case ServingArm.INPROCESS_SERIAL:
                return run_inside(container, inprocess, options.requests, 1)
            case ServingArm.INPROCESS_CONCURRENT:
                return run_inside(container, inprocess, options.requests, options.clients)

    return run_arm


def run_inside(container: Container, command: Sequence[str], requests: int, threads: int) -> Block:
    """Decode and predict without HTTP: ``command`` is ``app.inprocess``, less how much."""
    words = [*command, "--requests", str(requests), "--threads", str(threads)]
    code, output = container.execute(words)
    lines = output.strip().splitlines()
    if code != 0 or not lines:
        raise ContainerFailedError(f"The in-process run ended with code {code}: {output[-500:]}")
    result = json.loads(lines[-1])
    return Block(latencies_s=tuple(result["latencies_s"]), requests_per_s=result["requests_per_s"])


@dataclass(frozen=True, kw_only=True)
class ServingResult:
    """Seconds and ratios."""

    overhead_s: Figure
    throughput_ratio: Figure
    http_p50_s: float
    inprocess_p50_s: float
    http_rps: float
    inprocess_rps: float
    emulated: bool = False
    """Nothing that was measured says anything of real hardware."""

    @property
    def overhead_reached(self) -> bool | None:
        """Whether HTTP adds no more than the lab promises; None where it is not judged."""
        return None if self.emulated else self.overhead_s.value <= OVERHEAD_TARGET_S

    @property
    def throughput_reached(self) -> bool | None:
        """Whether the server reaches what the lab promises of the in-process ceiling."""
        return None if self.emulated else self.throughput_ratio.value >= THROUGHPUT_TARGET


def summarise(rounds: Sequence[Round], *, emulated: bool = False) -> ServingResult:
    """Medians over the rounds; the two figures are formed within each round first."""
    return ServingResult(
        emulated=emulated,
        overhead_s=figure_of([r.overhead_s for r in rounds]),
        throughput_ratio=figure_of([r.throughput_ratio for r in rounds]),
        http_p50_s=statistics.median(r.http_p50_s for r in rounds),
        inprocess_p50_s=statistics.median(r.inprocess_p50_s for r in rounds),
        http_rps=statistics.median(r.http_rps for r in rounds),
        inprocess_rps=statistics.median(r.inprocess_rps for r in rounds),
    )


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
    store.check(job.model, runtime)
    if engine.kind is EngineKind.PROCESS:
        raise EngineError(
            "The serve bench compares two sides of one container, and there is no container here.",
            remedy="Run `lab doctor`: it says what a container engine needs on this machine.",
        )
    native = engine.facts().platform
    platform = job.platform or native
    sweep(engine, progress)
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
) -> Iterator[Callable[[ServingArm], Block]]:
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
