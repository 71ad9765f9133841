"""What the lab asks of a container engine: small enough to be played by a process or a script."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from lab.errors import ImageNotFoundError
from lab.spec import PORT, EngineKind, Platform

HEAD_BYTES: Final = 4096
SHM_BYTES: Final = 64 * 2**20
"""Of every container's ``/dev/shm``, whatever the engine's default is: what SageMaker has."""
STOP_SIGNAL: Final = "SIGTERM"
"""What ``stop`` sends, whatever the image's ``STOPSIGNAL`` is: the one that SageMaker documents."""
_MOST_FILES: Final = 1000


def files_below(folder: Path) -> Sequence[str] | None:
    """The files below a folder, sorted; None when it is not here."""
    if not folder.is_dir():
        return None
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(folder)) for path in islice(files, _MOST_FILES))


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder of the engine's machine in a container; ``source`` None is a new empty volume."""

    source: str | None
    target: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """How to make a container. Paths are those of the machine that the engine runs on."""

    image: str
    name: str | None = None
    command: Sequence[str] = ("serve",)
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    model_dir: PurePosixPath | None = None
    """Unpacked model, mounted read-only at ``/opt/ml/model``."""
    mounts: Sequence[Mount] = ()
    port: int = PORT
    publish: int | None = None
    """Host port on 127.0.0.1 for ``port``; 0 lets the engine choose; None publishes nothing."""
    also_publish: Mapping[int, int] = field(default_factory=dict)
    """Further ports of the container, published in the same way."""
    memory_bytes: int | None = None
    cpus: float | None = None
    user: str | None = None
    read_only_root: bool = True
    """Read-only root file system with a writable ``/tmp`` of its own."""
    network: str | None = None
    """A network by name, ``none``, ``host`` or ``container:ID``; None is the engine's default."""
    privileged: bool = False
    cap_add: Sequence[str] = ()
    platform: Platform | None = None
    runtime: str | None = None
    """One of the engine's runtimes by name; None is its default."""
    hostname: str | None = None
    """None leaves it to the engine; a process has the machine's."""


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """What the engine knows of a container. Times are nanoseconds since the epoch."""

    running: bool
    pid: int | None
    started_at_ns: int | None
    exit_code: int | None
    oom_killed: bool


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a container's cgroup counted since it started; None where it cannot be read."""

    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    read_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class ContainerLoad:
    """What a running container uses now. Memory without what the kernel could drop at once."""

    memory_bytes: int
    memory_limit_bytes: int
    """Of the cgroup; the machine's memory where there is no limit."""
    cpu_seconds: float
    """Since it started."""
    threads: int | None = None
    oom_kills: int = 0
    """Processes in it that were killed for want of memory, as far as it can be seen from here."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of a container's output, stamped by the engine; nanoseconds since the epoch."""

    at_ns: int
    text: str


class LogStream(Protocol):
    """A container's output as it comes. Iterating ends when the container has, or on ``close``."""

    def __iter__(self) -> Iterator[LogLine]:
        """Raises ``EngineError`` when the engine breaks off or is silent for too long."""

    def close(self) -> None:
        """End it, from any thread."""


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """An event as the engine itself stamped it: ``create``, ``start``, ``die``, ``oom``, ..."""

    action: str
    at_ns: int


@dataclass(frozen=True, kw_only=True)
class LayerEvent:
    """One line of a pull's progress, stamped as it was received.

    ``status`` is the engine's own word: ``Pulling fs layer``, ``Downloading``,
    ``Download complete``, ``Extracting``, ``Pull complete``, ``Already exists``, ...
    """

    layer: str
    status: str
    at_ns: int


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """An image as the engine has it. ``unpacked_bytes`` is the sum of its layers on disk."""

    ref: str
    image_id: str
    digest: str | None
    platform: Platform
    unpacked_bytes: int
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What measured: goes into ``run.json``."""

    kind: EngineKind
    name: str
    """How to say it in a title: ``Docker Engine 26.1.5`` or ``processes (no container)``."""
    address: str
    versions: Mapping[str, str]
    storage_driver: str | None
    cgroup_version: str | None
    cpus: int
    memory_bytes: int
    platform: Platform
    clock_offset_s: float
    """The engine's clock minus ours; 0 when the difference is within ``clock_error_s``."""
    clock_error_s: float
    notes: Sequence[str] = ()
    """What is degraded, in words: printed and recorded."""

    @property
    def here(self) -> bool:
        """Whether its containers run on this machine's own kernel, which then shows its work."""
        return self.kind is EngineKind.PROCESS or (
            self.address.startswith("unix://") and "desktop" not in " ".join(self.notes).lower()
        )


class Container(Protocol):
    """One container. Every method raises an ``EngineError`` that says what the engine answered."""

    @property
    def id(self) -> str:
        """The engine's id."""

    @property
    def name(self) -> str:
        """The container's name."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The container's labels."""

    def start(self) -> None:
        """Start it, and return as soon as the engine says so."""

    def stop(self, *, grace_s: float = 30.0) -> None:
        """``STOP_SIGNAL``, then SIGKILL after ``grace_s``. No error if it has stopped already."""

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to process 1."""

    def remove(self) -> None:
        """Kill it if need be and forget it with its anonymous volumes. No error if gone."""

    def resize(self, *, memory_bytes: int | None, cpus: float | None) -> None:
        """Other limits from now on; None is all that the machine has.

        What it runs goes on, with what it has in memory: a limit below that is refused, or kills.
        Raises ``EngineError`` where the engine cannot.
        """

    def address(self, port: int | None = None) -> tuple[str, int]:
        """Host and port at which ``port`` (the spec's, if None) is reached from here."""

    def state(self) -> ContainerState:
        """What the engine knows of it now."""

    def logs(self, *, tail: int = 50, since_ns: int = 0) -> str:
        """The last lines of both its streams, of what it said from ``since_ns`` on."""

    def follow_logs(self, *, since_ns: int = 0) -> LogStream:
        """Both its streams from ``since_ns`` on, until it ends."""

    def load(self) -> ContainerLoad | None:
        """What it uses now, without waiting for a second sample; None when it does not run."""

    def usage(self) -> Usage:
        """What its cgroup counted; read it while the container still runs."""

    def events(self, since_ns: int) -> Sequence[EngineEvent]:
        """The engine's events of this container from ``since_ns`` until now, oldest first."""

    def execute(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command inside; its exit code and output."""

    def mounted(self, folder: str) -> Sequence[str] | None:
        """The files of what is mounted at a folder, as paths below it; none where nothing is
        mounted, None where that cannot be seen from here.
        """

    def head(self, path: str) -> bytes:
        """The first bytes of a file in it, whether it runs or not."""

    def disk_free(self) -> int | None:
        """Bytes that are free on the disk that containers write to; None when it is not here."""


class Engine(Protocol):
    """An engine that answers."""

    @property
    def kind(self) -> EngineKind:
        """Docker or processes."""

    def facts(self) -> EngineFacts:
        """What it is; asked once per run."""

    def create(self, spec: ContainerSpec) -> Container:
        """Make a container, not yet started.

        Raises ``ImageNotFoundError``, ``PortTakenError``, ``DiskFullError`` or ``EngineError``.
        """

    def containers(self, labels: Mapping[str, str]) -> Sequence[Container]:
        """The lab's own containers (its label is always asked for) that carry ``labels`` too."""

    def image(self, ref: str) -> ImageFacts:
        """An image that the engine has. Raises ``ImageNotFoundError``."""

    def media_type(self, ref: str) -> str:
        """Of the manifest that a registry has under that name; nothing is pulled.

        Raises ``EngineError`` where there is none, and where no registry answers.
        """

    def pull(self, ref: str, *, platform: Platform | None = None) -> Sequence[LayerEvent]:
        """Pull an image and return the pull's own events, oldest first.

        Raises ``ImageNotFoundError`` or ``RegistryError``.
        """

    def close(self) -> None:
        """Let go of the connection; containers stay."""


def find_image(engine: Engine, ref: str) -> ImageFacts | None:
    """An image; None where the engine does not have it."""
    try:
        return engine.image(ref)
    except ImageNotFoundError:
        return None
