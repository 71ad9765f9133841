"""An endpoint bench from beginning to end: endpoints made, measured, deleted; figures kept."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from lab.bench.emulator import EmulatorBenchOptions, measure
from lab.bench.emulator_result import EmulatorResult, summarise
from lab.bench.emulator_stage import BenchSubject, staged
from lab.bench.figures import keep
from lab.endpoint.client import EmulatorClient
from lab.engine.api import Engine
from lab.lock import bench_lock
from lab.progress import Progress


def run(
    subject: BenchSubject,
    options: EmulatorBenchOptions,
    *,
    floor: str,
    client: EmulatorClient,
    engine: Engine,
    progress: Progress,
) -> tuple[EmulatorResult, Path]:
    """Measure the emulator that ``client`` speaks to; the summary and the file that keeps all.

    ``floor`` is the image that answers at once; ``engine`` the one that the emulator uses, for
    starts by hand.
    """
    with bench_lock("An endpoint bench"), ExitStack() as stack:
        with progress.step("Bringing the bench's endpoints into service"):
            stage = stack.enter_context(staged(subject, floor=floor, client=client, engine=engine))
        with progress.step("Measuring the emulator") as step:
            measured = measure(stage, options, step)
    result = summarise(measured, options)
    path = keep(
        "endpoint-bench",
        subject={
            "image": subject.image,
            "floor": floor,
            "memory_mb": subject.memory_mb,
            "emulator": client.addresses.sagemaker,
        },
        engine=engine,
        options=options,
        rounds=asdict(measured),
        summary=asdict(result) | {"reached": result.reached},
    )
    return result, path
