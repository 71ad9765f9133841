"""Runs the steps of a tuning in their order, and keeps each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from lab import busy
from lab.coldstart.loop import InterruptedRunError, words
from lab.coldstart.plan import MAX_READY_TIMEOUT_S, Plan
from lab.coldstart.prepare import executing, impossible, remove_all_of, remove_leftovers
from lab.coldstart.trial import Subject
from lab.engine.api import Engine
from lab.images import build as images
from lab.images.base import ensure_base
from lab.loadtest.runner import InterruptedLoadError
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import StartKind
from lab.tune.record import Part, Tune, TuneFolder
from lab.tune.steps import Steps

_LOOK_S: Final = 0.5


def measure(
    tune: Tune, folder: TuneFolder, subject: Subject, engine: Engine, progress: Progress
) -> None:
    """Run the steps that the folder has no sample of.

    Raises ``ContainerFailedError`` where the image starts at no size or refuses the payload,
    ``BusyError``, ``InterruptedRunError``, ``EngineError``; the samples so far are in the folder.
    Nothing that was made for it is left.
    """
    done = {one.step for one in folder.samples()}
    rest = [one for one in enumerate(tune.order) if one[0] not in done]
    try:
        with (
            bench_lock(f"The tuning {tune.id}"),
            _steps(tune, folder, subject, engine, progress) as steps,
            progress.step(f"Measure {tune.name} at {len(tune.sizes)} sizes") as step,
        ):
            for place, (number, (turn, size, part)) in enumerate(rest):
                left = sum(steps.expected_s(name, kind) for _, (_, name, kind) in rest[place:])
                step.advance(place, len(rest))
                step.detail(f"{place + 1} of {len(rest)}, {words(left)}: {size}, {part}")
                steps.run(number, turn, size, part)
            step.advance(len(rest), len(rest))
    except (KeyboardInterrupt, InterruptedLoadError) as stop:
        raise InterruptedRunError(
            f"Stopped: {len(folder.samples())} of {len(tune.order)} steps are kept in "
            f"{folder.path}.",
            remedy=f"Go on with `lab tune --resume {tune.id}`.",
        ) from stop


@contextmanager
def _steps(
    tune: Tune, folder: TuneFolder, subject: Subject, engine: Engine, progress: Progress
) -> Iterator[Steps]:
    """All that the steps need, and nothing of it at the end."""
    facts = engine.facts()
    kinds = [StartKind.FRESH]
    if any(part is Part.ONDEMAND for _, _, part in tune.order):
        kinds.append(StartKind.ONDEMAND)
    plan = Plan(
        name="tune",
        variants=("tuned",),
        models=("own",),
        platforms=(tune.platform,),
        start_kinds=tuple(kinds),
        repeats=dict.fromkeys(kinds, 1),
        warm_up=(),
        ready_timeout=MAX_READY_TIMEOUT_S,
    )
    with ExitStack() as stack:
        remove_leftovers(engine, progress)
        stack.callback(remove_all_of, engine, tune.id, progress)
        if StartKind.ONDEMAND in kinds:
            ensure_base(facts.platform, engine, progress)
            helpers = ["registry", "coldhost"]
            images.ensure(helpers, platform=facts.platform, engine=engine, progress=progress)
        executor, _ = stack.enter_context(
            executing(
                plan,
                [(subject, tune.platform)],
                lambda _: subject,
                engine,
                unable=impossible(plan, facts),
                owner=tune.id,
                # Where a container's own address is reached it is used all the same.
                publish=0,
                progress=progress,
            )
        )
        use = busy.watch(_LOOK_S) if facts.here else None
        if use is not None and busy.disturbed(use):
            progress.note(f"This machine is busy: {busy.told(use)}. Stop that, and start again.")
        steps = Steps(tune, folder, subject, engine, executor, progress)
        stack.callback(steps.close)
        yield steps
