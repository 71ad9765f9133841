"""A comparison from nothing: emulation, images, model, containers; all of it cleaned up."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from lab import paths
from lab.artifacts import archive, build, store
from lab.engine.api import ContainerSpec, Engine
from lab.engine.docker.owned import sweep
from lab.engine.emulation.qemu import ensure_runs
from lab.errors import EngineError, UsageError
from lab.host import host_facts
from lab.images.build import ensure as ensure_images
from lab.images.variants import image_ref, runtime_of, serving
from lab.parity.compare import ModelAnswer, compare, parse, summarise, words
from lab.parity.inputs import COUNT, ParityInput, choose
from lab.parity.record import FILE, Bounds, Parity, ParityComparison, Side, save
from lab.progress import Progress
from lab.runfiles import new_folder
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform, Runtime
from lab.start.emulated import emulated, environment, patience
from lab.start.serving import serving as started

ROLE: Final = "parity"
READY_S: Final = 300.0
"""How long a native container may take to be ready. Emulated ones have longer."""
REQUEST_S: Final = 120.0
"""How long it may take to answer."""

_ENV: Final = {
    # Gunicorn and NGINX give up on a worker after 60 s: emulated TensorFlow takes longer to load.
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600",
}


@dataclass(frozen=True, kw_only=True)
class ParityJob:
    """What to compare. ``platform`` None is the one that the engine has not."""

    variants: Sequence[str] = ()
    """All that serve a model, if none is named."""
    platform: Platform | None = None
    model: str
    count: int = COUNT
    payloads: Sequence[Path] = ()


def run(job: ParityJob, engine: Engine, progress: Progress) -> tuple[Parity, Path]:
    """Compare, and return the figures and the file that keeps them.

    The file grows by a variant at a time: what was compared before a failure or Ctrl-C is in it.
    Raises ``UsageError``, ``EngineError``, ``ContainerFailedError``, or ``ParityError`` for answers
    that cannot be compared; that bounds are broken is for ``refuse_broken`` to say.
    """
    runtimes = {name: runtime_of(name) for name in job.variants} or serving()
    if engine.kind is EngineKind.PROCESS:
        raise EngineError(
            "Platforms are compared in containers, and there is no container here.",
            remedy="Run `lab doctor`: it says what a container engine needs on this machine.",
        )
    facts = engine.facts()
    other = _other(job.platform, facts.platform)
    sweep(engine, progress)
    build.ensure([job.model], engine=engine, progress=progress)
    inputs = choose(job.model, job.count, job.payloads)
    tolerance = store.tolerance(job.model)
    ensure_runs(other, engine, progress)
    for platform in (facts.platform, other):
        ensure_images(list(runtimes), platform=platform, engine=engine, progress=progress)
    now = datetime.now(UTC)
    parity = Parity(
        id=f"{now:%Y%m%dT%H%M%SZ}-parity",
        created_at=now.isoformat(timespec="seconds"),
        model=job.model,
        bounds=_bounds(tolerance),
        host=host_facts(),
        engine=asdict(facts),
    )
    path = paths.runs() / parity.id / FILE
    with _folder(path.parent), ExitStack() as stack:
        scene = _Scene(
            engine=engine,
            native=facts.platform,
            model=job.model,
            model_dirs={
                runtime: stack.enter_context(archive.unpacked(store.find(job.model, runtime).path))
                for runtime in sorted(set(runtimes.values()))
            },
            inputs=inputs,
            tolerance=tolerance,
            owner=f"{parity.id}-{os.getpid()}",
        )
        for one, runtime in runtimes.items():
            found = scene.compare(one, runtime, other, progress)
            parity = parity.model_copy(update={"comparisons": (*parity.comparisons, found)})
            save(parity, path.parent)
    return parity, path


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """A folder of this run alone; gone again if nothing was finished."""
    new_folder(path)
    try:
        yield
    finally:
        with suppress(OSError):  # it holds what was finished
            path.rmdir()


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What all comparisons of a run have in common."""

    engine: Engine
    native: Platform
    model: str
    model_dirs: Mapping[Runtime, Path]
    inputs: Sequence[ParityInput]
    tolerance: store.AnswerTolerance
    owner: str

    def compare(
        self, variant: str, runtime: Runtime, other: Platform, progress: Progress
    ) -> ParityComparison:
        """One variant: first the engine's own platform, then the other."""
        names = [one.name for one in self.inputs]
        reference = self._answers(variant, runtime, self.native, progress)

        def so_far(answers: Sequence[ModelAnswer]) -> str:
            count = len(answers)
            return words(compare(names[:count], reference[:count], answers))

        compared = self._answers(variant, runtime, other, progress, so_far)
        results = compare(names, reference, compared)
        return summarise(
            results,
            variant=variant,
            archive=(runtime.value, store.find(self.model, runtime).sha256),
            sides=(self._side(variant, self.native), self._side(variant, other)),
            reference=reference,
            bounds=_bounds(self.tolerance),
        )

    def _answers(
        self,
        variant: str,
        runtime: Runtime,
        platform: Platform,
        progress: Progress,
        so_far: Callable[[Sequence[ModelAnswer]], str] = lambda _: "",
    ) -> Sequence[ModelAnswer]:
        """Start a container and send it every input.

        ``so_far`` makes words of the answers that have come, for whoever waits for the others.
        """
        image = image_ref(variant, platform)
        longer = patience(platform, native=self.native)
        spec = ContainerSpec(
            image=image,
            platform=platform,
            model_dir=PurePosixPath(self.model_dirs[runtime]),
            env={**_ENV, **environment(platform, native=self.native)},
            labels={LABEL_ROLE: ROLE, LABEL_OWNER: self.owner},
            publish=0,
        )
        how = " (emulated)" if emulated(platform, native=self.native) else ""
        answers: list[ModelAnswer] = []
        with (
            progress.step(f"Asking {variant} for {platform}{how}") as step,
            started(
                self.engine,
                spec,
                within_s=READY_S * longer,
                waiting=lambda seconds: step.detail(f"starting for {seconds:.0f} s"),
            ) as served,
        ):
            for one in self.inputs:
                step.detail(f"{len(answers)} of {len(self.inputs)} inputs{so_far(answers)}")
                body = served.invoke(
                    one.body,
                    one.content_type,
                    accept="application/json",
                    name=one.name,
                    timeout_s=REQUEST_S * longer,
                )
                answers.append(parse(body, self.tolerance, of=f"{one.name} by {image}"))
                step.advance(len(answers), len(self.inputs))
        return answers

    def _side(self, variant: str, platform: Platform) -> Side:
        ref = image_ref(variant, platform)
        return Side(
            platform=platform,
            image=ref,
            image_id=self.engine.image(ref).image_id,
            emulated=emulated(platform, native=self.native),
        )


def _bounds(tolerance: store.AnswerTolerance) -> Bounds:
    return Bounds(
        max_abs_difference=tolerance.max_abs_difference, least_agreement=tolerance.least_agreement
    )


def _other(asked: Platform | None, native: Platform) -> Platform:
    """The platform that is compared with the engine's own."""
    (other,) = set(Platform) - {native}
    if asked is native:
        raise UsageError(
            f"{native} is the engine's own platform, which others are compared with.",
            remedy=f"Name the other one: --platform {other}.",
        )
    return asked or other
