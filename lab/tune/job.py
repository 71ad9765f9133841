"""What the user asked for, checked and made ready to be measured."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab import __version__
from lab.coldstart.runner import new_id
from lab.coldstart.trial import Subject
from lab.cost.prices import PriceTable
from lab.engine.api import Engine, EngineFacts
from lab.errors import UsageError
from lab.host import host_facts
from lab.load.arrivals.parse import parse
from lab.load.arrivals.schedule import Schedule
from lab.loadtest.record import Objective, PayloadRecord
from lab.loadtest.targets.api import LoadPayload
from lab.loadtest.targets.sizes import Size, machine_of
from lab.loadtest.targets.subject import ImageRequest, ImageSubject, image_subject
from lab.progress import Progress
from lab.runfiles import read_bytes
from lab.spec import SERVERLESS_TIERS, EngineKind
from lab.start.emulated import emulated
from lab.tune.money import daily, scheduled
from lab.tune.order import QUICK_ROUNDS, ROUNDS, order
from lab.tune.record import IDLE_LIFE_S, TrafficRecord, Tune, TunedSize, TuneFolder


@dataclass(frozen=True, kw_only=True)
class MoneyJob:
    """What prices depend on, and measuring does not; None where nothing was said."""

    requests_per_day: float | None = None
    schedule: str | None = None
    idle_life_s: float | None = None
    prices: Path | None = None

    def traffic(self, seed: int) -> tuple[TrafficRecord | None, Schedule | None]:
        """Raises ``UsageError``."""
        if self.requests_per_day is not None and self.schedule is not None:
            raise UsageError(
                "Traffic is given twice, by --requests-per-day and by --schedule.",
                remedy="Give one of them.",
            )
        if self.requests_per_day is not None:
            return daily(self.requests_per_day), None
        if self.schedule is None:
            return None, None
        found = parse(self.schedule, seed=seed)
        return scheduled(found), found


@dataclass(frozen=True, kw_only=True)
class TuneJob:
    """What the user said."""

    request: ImageRequest
    payload_path: Path | None
    sizes: Sequence[Size]
    """Without a memory size of serverless inference: all of these that the machine has, too."""
    objective: Objective | None = None
    money: MoneyJob = MoneyJob()
    on_demand: bool = False
    quick: bool = False
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class ReadyTune:
    """A folder to measure into, and what is measured."""

    folder: TuneFolder
    tune: Tune
    subject: Subject


def begin(job: TuneJob, engine: Engine, progress: Progress) -> ReadyTune:
    """Make all ready for a new run.

    Raises ``UsageError`` for sizes that the machine has not or the image is not for, traffic or
    prices that are none, and what ``image_subject`` raises.
    """
    facts = engine.facts()
    sizes, notes = chosen_sizes(job.sizes, facts)
    traffic, schedule = job.money.traffic(job.seed)
    if job.money.prices is not None:
        PriceTable.load(job.money.prices)
    ready = image_subject(job.request, engine, progress)
    _refuse_foreign(ready, sizes)
    host, found = host_facts(), engine.image(ready.subject.image)
    docker = facts.kind is EngineKind.DOCKER
    if job.on_demand and not docker:
        raise UsageError(
            "--on-demand needs a container engine, and there is none here.",
            remedy="Leave it out, or see `lab doctor`.",
        )
    if not docker:
        notes = [*notes, "There is no container engine: sizes were not changed while running."]
    asked = job.request.payload or ready.payload
    path = job.payload_path
    tune = Tune(
        id=new_id("tune"),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lab_version=__version__,
        git_commit=host.get("git_commit"),
        git_dirty=host.get("git_dirty"),
        name=job.request.name,
        image=ready.subject.image,
        image_id=found.image_id,
        image_bytes=found.unpacked_bytes,
        archive_bytes=_bytes(ready.subject.archive),
        model=ready.model if job.request.model_data is None else None,
        model_data=None if job.request.model_data is None else str(job.request.model_data),
        platform=ready.platform,
        emulated=emulated(ready.platform, native=facts.platform),
        payload=PayloadRecord(
            name=asked.name,
            content_type=asked.content_type,
            bytes=len(asked.body),
            sha256=hashlib.sha256(asked.body).hexdigest(),
        ),
        payload_path=None if path is None else str(path),
        sizes=tuple(sizes),
        objective=job.objective,
        traffic=traffic,
        idle_life_s=IDLE_LIFE_S if job.money.idle_life_s is None else job.money.idle_life_s,
        prices=None if job.money.prices is None else str(job.money.prices),
        quick=job.quick,
        seed=job.seed,
        order=order(
            sizes,
            rounds=QUICK_ROUNDS if job.quick else ROUNDS,
            seed=job.seed,
            resizable=docker,
            on_demand=job.on_demand,
        ),
        notes=tuple(notes),
        host=host,
        engine=asdict(facts),
    )
    return ReadyTune(folder=TuneFolder.create(tune, schedule), tune=tune, subject=ready.subject)


def again(name: str, money: MoneyJob) -> TuneFolder:
    """A run to go on with; its prices and traffic are replaced by what is given.

    Raises ``UsageError``.
    """
    folder = TuneFolder.find(name)
    folder.mend()
    tune = folder.tune()
    traffic, schedule = money.traffic(tune.seed)
    changed: dict[str, object] = {}
    if traffic is not None:
        changed["traffic"] = traffic
    if money.idle_life_s is not None:
        changed["idle_life_s"] = money.idle_life_s
    if money.prices is not None:
        PriceTable.load(money.prices)
        changed["prices"] = str(money.prices)
    if changed:
        folder.keep(tune.model_copy(update=changed), schedule)
    return folder


def complete(folder: TuneFolder) -> bool:
    """Whether nothing is left to be measured."""
    return len({one.step for one in folder.samples()}) == len(folder.tune().order)


def go_on(folder: TuneFolder, engine: Engine, progress: Progress) -> ReadyTune:
    """Make ready what a run measured. Raises ``UsageError`` when it is not what it was."""
    tune = folder.tune()
    payload = None
    if tune.payload_path is not None:
        body = read_bytes(Path(tune.payload_path), remedy="Start a new run.")
        payload = LoadPayload(
            name=tune.payload.name, body=body, content_type=tune.payload.content_type
        )
    ready = image_subject(
        ImageRequest(
            name=tune.name,
            model=tune.model,
            model_data=None if tune.model_data is None else Path(tune.model_data),
            payload=payload,
            platform=tune.platform,
        ),
        engine,
        progress,
    )
    now = {
        "the image": engine.image(ready.subject.image).image_id,
        "the payload": hashlib.sha256(ready.subject.payload).hexdigest(),
        "the engine": str(engine.facts().kind),
    }
    was = {
        "the image": tune.image_id,
        "the payload": tune.payload.sha256,
        "the engine": str(tune.engine.get("kind")),
    }
    changed = [what for what, one in now.items() if one != was[what]]
    if changed:
        raise UsageError(
            f"{folder.path.name} cannot go on, since {' and '.join(changed)} changed: its samples "
            "would not be comparable.",
            remedy="Start a new run.",
        )
    return ReadyTune(folder=folder, tune=tune, subject=ready.subject)


def chosen_sizes(
    asked: Sequence[Size], facts: EngineFacts
) -> tuple[Sequence[TunedSize], Sequence[str]]:
    """What a container gets of each size here, and which were left out.

    Where no memory size was asked for, all that the machine has. Raises ``UsageError`` for a size
    that was asked for and that the machine has not.
    """
    machine = machine_of(facts)
    twins = [one.name for place, one in enumerate(asked) if one in asked[:place]]
    if twins:
        raise UsageError(f"{twins[0]} is named twice.", remedy="Name each size once.")
    if any(one.memory_bytes is None for one in asked):
        raise UsageError(
            "host is no size that AWS has.", remedy="Name memory sizes and instance types."
        )
    wanted = [TunedSize.of(one, one.given(machine)) for one in asked]
    if any(one.serverless for one in asked):
        return wanted, ()
    found, left_out = [], []
    for tier in SERVERLESS_TIERS:
        size = Size.parse(tier.name)
        try:
            found.append(TunedSize.of(size, size.given(machine)))
        except UsageError as error:
            left_out.append(f"{size.name} MB was left out. {error.what}")
    if not found and not wanted:
        raise UsageError(left_out[0], remedy="Use a larger machine.")
    return [*found, *wanted], left_out


def _refuse_foreign(ready: ImageSubject, sizes: Sequence[TunedSize]) -> None:
    """An image for one processor does not start on an instance type with another."""
    for size in sizes:
        runs = Size.parse(size.name).platform
        if runs is not None and runs is not ready.platform and not size.serverless:
            raise UsageError(
                f"{size.name} runs images for {runs}, and this one is for {ready.platform}.",
                remedy=f"Leave that type out, or add --platform {runs}.",
            )


def _bytes(path: Path | None) -> int:
    return 0 if path is None else path.stat().st_size
