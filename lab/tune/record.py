"""What ``lab tune`` leaves behind: ``tune.json`` first, then a line of ``samples.jsonl`` a step."""

from collections.abc import Mapping
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final, Self

from lab import paths
from lab.coldstart.record import Sample
from lab.load.arrivals.schedule import Schedule
from lab.loadtest.record import Objective, PayloadRecord
from lab.loadtest.targets.sizes import GivenSize, Size
from lab.runfiles import Lines, find_run, new_folder, parse, read_bytes, write_whole
from lab.schema import Frozen, Versioned
from lab.spec import Platform

TUNE_FILE: Final = "tune.json"
SAMPLES_FILE: Final = "samples.jsonl"
SCHEDULE_FILE: Final = "schedule.csv"
SUMMARY_FILE: Final = "summary.json"
IDLE_LIFE_S: Final = 600.0
"""How long a serverless container is kept that nobody asks: AWS publishes no figure."""


@unique
class Part(StrEnum):
    """What a step measures."""

    NEW = "new"
    """A container of that size: its cold start, then a block of warm requests."""
    RESIZED = "resized"
    """A block on a container that runs on, given that size."""
    ONDEMAND = "ondemand"
    """A cold start whose image comes as it is read."""
    CAPACITY = "capacity"
    """How many requests a second it takes, of an instance."""


class TunedSize(Frozen):
    """A size as AWS has it, and what a container gets of it here."""

    name: str
    """``2048`` or ``ml.m5.large``."""
    serverless: bool
    memory_bytes: int
    cpus: float
    given_memory_bytes: int
    given_cpus: float
    notes: tuple[str, ...] = ()
    """What this machine lacks of it, in words."""

    @classmethod
    def of(cls, size: Size, given: GivenSize) -> Self:
        memory, cpus = size.memory_bytes or 0, size.cpus or 0.0
        return cls(
            name=size.name,
            serverless=size.serverless,
            memory_bytes=memory,
            cpus=cpus,
            given_memory_bytes=given.compute.memory_bytes or memory,
            given_cpus=given.compute.cpus or cpus,
            notes=given.notes,
        )

    @property
    def capped(self) -> bool:
        """Whether the machine has less than the size: it is at least as fast as measured."""
        return self.given_cpus < self.cpus or self.given_memory_bytes < self.memory_bytes

    @property
    def memory_mb(self) -> int:
        """In MiB, which AWS calls MB."""
        return self.memory_bytes // 1024**2

    def __str__(self) -> str:
        return f"{self.memory_mb / 1024:g} GB serverless" if self.serverless else self.name


class TrafficRecord(Frozen):
    """How many requests, and when: a Poisson process, or what is in ``schedule.csv``."""

    said: str
    """``2000 requests a day``, or how the schedule was asked for."""
    requests_per_day: float
    peak_per_s: float
    """For instances: of a schedule the most in any second, else the mean."""
    horizon_s: float | None = None
    """Of the schedule, which is repeated for a day; None is a Poisson process."""
    seed: int = 0


class Tune(Versioned):
    """``tune.json``: what was asked, and in which order it is measured."""

    id: str
    started_at: str
    """ISO 8601, UTC."""
    lab_version: str
    git_commit: str | None
    git_dirty: bool | None
    name: str
    """As the user wrote it: an image's reference or a variant."""
    image: str
    image_id: str
    image_bytes: int
    """Unpacked."""
    archive_bytes: int
    model: str | None
    """A model of the lab's; None is the user's own, or in the image."""
    model_data: str | None
    platform: Platform
    emulated: bool
    payload: PayloadRecord
    payload_path: str | None
    """None is what clients of the lab's model send."""
    sizes: tuple[TunedSize, ...]
    objective: Objective | None
    traffic: TrafficRecord | None
    idle_life_s: float
    prices: str | None
    """A file; None is the packaged table."""
    quick: bool
    seed: int
    order: tuple[tuple[int, str, Part], ...]
    """Round, size and part of each step."""
    notes: tuple[str, ...] = ()
    host: Mapping[str, Any]
    engine: Mapping[str, Any]

    def size(self, name: str) -> TunedSize:
        return next(one for one in self.sizes if one.name == name)


class WarmBlock(Frozen):
    """Requests that one client sent one after the other, each as soon as it was answered."""

    latencies_s: tuple[float, ...]
    uncounted: int
    """Sent before them, and not counted."""
    answer_bytes: int
    peak_memory_bytes: int | None = None
    """By the kernel's count since the start, with pages of files that it could drop."""
    used_memory_bytes: int | None = None
    """At the end, without those that it can drop at once."""
    throttled_s: float | None = None
    """Within the block, summed over CPUs."""

    @property
    def mean_s(self) -> float:
        return sum(self.latencies_s) / len(self.latencies_s)


class Capacity(Frozen):
    """The requests a second that a size takes."""

    per_s: float
    objective_s: float | None
    """What was kept up to there; None: as many as several clients reached, whatever they waited."""
    how: str
    """In words."""
    found: bool
    """Whether a higher rate was seen to break the objective."""


class TuneSample(Versioned):
    """The immutable result of a step; a failure is one, too."""

    step: int
    round: int
    size: str
    part: Part
    took_s: float
    cold: Sample | None = None
    warm: WarmBlock | None = None
    capacity: Capacity | None = None
    failure: str | None = None
    """Why what the step was for is not there. Of a cold start that failed ``cold`` tells."""
    killed: bool = False
    """For want of memory."""


class TuneFolder:
    """``runs/<UTC time>-tune/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        again = f"Free some space, then `lab tune --resume {path.name}`."
        self._samples = Lines(path / SAMPLES_FILE, TuneSample, full=again)

    @classmethod
    def create(cls, tune: Tune, schedule: Schedule | None, *, root: Path | None = None) -> Self:
        """Make it. Raises ``DiskFullError`` and ``BusyError``."""
        folder = cls(new_folder((root or paths.runs()) / tune.id))
        folder.keep(tune, schedule)
        return folder

    def keep(self, tune: Tune, schedule: Schedule | None) -> None:
        """Write what is asked, anew where the traffic has changed."""
        write_whole(self.path / TUNE_FILE, tune.to_json())
        if schedule is not None:
            schedule.write(self.path / SCHEDULE_FILE)

    @classmethod
    def find(cls, name: str, *, root: Path | None = None) -> Self:
        """By its id, its path, or as ``latest``. Raises ``UsageError`` naming those there are."""
        runs = root or paths.runs()
        return cls(find_run(name, root=runs, file=TUNE_FILE, what="tuning", make="lab tune"))

    def tune(self) -> Tune:
        """``tune.json``. Raises ``UsageError`` when it is not this version's."""
        path = self.path / TUNE_FILE
        return parse(Tune, read_bytes(path), of=path)

    def schedule(self) -> Schedule | None:
        """Of the traffic; None of traffic that has none."""
        traffic = self.tune().traffic
        if traffic is None or traffic.horizon_s is None:
            return None
        return Schedule.read(self.path / SCHEDULE_FILE)

    def samples(self) -> list[TuneSample]:
        """Every whole line; one torn by a crash is left out."""
        return self._samples.read()

    def append(self, sample: TuneSample) -> None:
        """Keep a step. Raises ``DiskFullError``."""
        self._samples.append(sample)

    def mend(self) -> None:
        """Cut off what a crash has torn, so that it can be gone on with."""
        self._samples.mend()
