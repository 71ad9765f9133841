"""An engine whose containers are servers on the loopback, or do a piece of work and end."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from lab.engine.api import (
    ContainerLoad,
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineFacts,
    ImageFacts,
    LayerEvent,
    LogLine,
    LogStream,
    Usage,
)
from lab.errors import EngineError, ImageNotFoundError
from lab.spec import EngineKind, Platform
from tests.unit.start.servers import Answer, ready_when_asked, serving


@dataclass(kw_only=True)
class Behaviour:
    """What the containers of an engine do."""

    answer: Callable[[], Answer] = lambda: ready_when_asked(times=22)
    work: Callable[[], tuple[int, str]] | None = None
    """Done to its end when the container is started: exit code and log."""
    keeps: bool = False
    """Whether it keeps connections for more than one request."""
    exit_code: int | None = None
    """Exited at once, with this."""
    ends: Sequence[tuple[int, str]] = ()
    """Its first starts end so, one after the other: exit code, and what it says."""
    lingers: bool = True
    """Whether it can still be found once it has exited."""
    oom: bool = False
    log: str = ""
    model_files: Sequence[str] | None = None
    marks: Sequence[float] = ()
    """Logged as the start-up line's marks: seconds after the start."""
    refuses: str = ""
    """What the engine says instead of starting it."""
    started_again: bool = True
    """Whether a second start counts as one."""
    clock_ahead_ns: int = 0
    """By how much the engine's clock is ahead of ours."""
    actions: Sequence[str] = ("start",)


class FakeLogStream:
    """All there is at once, and the end."""

    def __init__(self, lines: Sequence[LogLine], since_ns: int) -> None:
        self._lines = [line for line in lines if line.at_ns > since_ns]

    def __iter__(self) -> Iterator[LogLine]:
        return iter([line for line in self._lines if line.text])

    def close(self) -> None:
        pass


@dataclass(kw_only=True)
class FakeContainer:
    id: str
    spec: ContainerSpec
    does: Behaviour
    engine: "FakeEngine"
    name: str = "fake"
    starts: list[int] = field(default_factory=list)
    stops: int = 0
    ended: list[LogLine] = field(default_factory=list)
    """What it said in starts that ended, stamped."""
    removed: bool = False
    _server: AbstractContextManager[tuple[str, int]] | None = None
    _address: tuple[str, int] = ("127.0.0.1", 9)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.labels

    def start(self) -> None:
        if self.does.refuses:
            raise EngineError(self.does.refuses)
        if not self.starts or self.does.started_again:
            self.starts.append(time.time_ns() + self.does.clock_ahead_ns)
        if self._ends is not None:
            _, said = self._ends
            self.ended += [LogLine(at_ns=time.time_ns(), text=one) for one in said.splitlines()]
        elif self.does.work is not None:
            self.does.exit_code, self.does.log = self.does.work()
        elif self.does.exit_code is None:
            self._server = serving(self.does.answer(), keeps=self.does.keeps)
            self._address = self._server.__enter__()

    def stop(self, *, grace_s: float = 30.0) -> None:
        self.stops += 1
        self._end()

    def kill(self, signal: str = "KILL") -> None:
        self._end()

    def remove(self) -> None:
        self._end()
        self.removed = True

    def resize(self, *, memory_bytes: int | None, cpus: float | None) -> None:
        self.spec = replace(self.spec, memory_bytes=memory_bytes, cpus=cpus)

    @property
    def _ends(self) -> tuple[int, str] | None:
        """How the newest start ends, if it is one of those."""
        count = len(self.starts)
        return self.does.ends[count - 1] if 0 < count <= len(self.does.ends) else None

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.__exit__(None, None, None)

    def address(self, port: int | None = None) -> tuple[str, int]:
        if self._server is None and not self.does.lingers:
            raise EngineError("fake does not publish port 8080 and does not run.")
        return self._address

    def state(self) -> ContainerState:
        return ContainerState(
            running=self._server is not None,
            pid=100 + len(self.starts),
            started_at_ns=self.starts[-1] if self.starts else None,
            exit_code=self.does.exit_code if self._ends is None else self._ends[0],
            oom_killed=self.does.oom,
        )

    def logs(self, *, tail: int = 50, since_ns: int = 0) -> str:
        lines = [line.text for line in self._lines() if line.at_ns > since_ns]
        return "\n".join(lines[-tail:])

    def _lines(self) -> list[LogLine]:
        if self._ends is not None:
            return self.ended
        at_ns = self.starts[-1] if self.does.ends and self.starts else time.time_ns()
        now = [*self.does.log.splitlines(), *self._startup_line()]
        return [*self.ended, *(LogLine(at_ns=at_ns, text=text) for text in now)]

    def _startup_line(self) -> list[str]:
        if not self.does.marks or not self.starts:
            return []
        names = ("process", "interpreter", "imports", "model_loaded", "warmed_up", "listening")
        times = [self.starts[-1] + round(after * 1e9) for after in self.does.marks]
        report = {"schema": 1, "pid": 1, "marks": dict(zip(names, times, strict=False))}
        return [json.dumps({"lab_startup": report}), "INFO serving"]

    def follow_logs(self, *, since_ns: int = 0) -> LogStream:
        return FakeLogStream(self._lines(), since_ns)

    def load(self) -> ContainerLoad | None:
        return ContainerLoad(memory_bytes=5, memory_limit_bytes=10, cpu_seconds=0.5, threads=2)

    def usage(self) -> Usage:
        return Usage(peak_memory_bytes=7, cpu_seconds=0.5, throttled_seconds=0.1, read_bytes=3)

    def events(self, since_ns: int) -> Sequence[EngineEvent]:
        at_ns = self.starts[-1] + 1_000_000
        return [
            EngineEvent(action=action, at_ns=at_ns)
            for action in self.does.actions
            if at_ns >= since_ns
        ]

    def execute(self, command: Sequence[str]) -> tuple[int, str]:
        return 0, ""

    def mounted(self, folder: str) -> Sequence[str] | None:
        return self.does.model_files

    def head(self, path: str) -> bytes:
        raise EngineError(f"there is no {path}.")

    def disk_free(self) -> int | None:
        return None


class FakeEngine:
    """Hands out containers that all behave alike."""

    def __init__(
        self,
        does: Behaviour | None = None,
        *,
        kind: EngineKind = EngineKind.DOCKER,
        platform: Platform = Platform.AMD64,
    ) -> None:
        self.does = does or Behaviour()
        self.kind = kind
        self.platform = platform
        self.foreign: dict[str, Platform] = {}
        """Images that are for another platform than the engine's own."""
        self.ids: dict[str, str] = {}
        """What an image's name stands for; ``sha256:1`` unless it is here."""
        self.gone: set[str] = set()
        """Names and ids of images that it does not have."""
        self.made: list[FakeContainer] = []
        self.fails: BaseException | None = None
        self._ids = itertools.count()

    def facts(self) -> EngineFacts:
        return EngineFacts(
            kind=self.kind,
            name="fake",
            address="fake://",
            versions={},
            storage_driver=None,
            cgroup_version=None,
            cpus=2,
            memory_bytes=8 * 1024**3,
            platform=self.platform,
            clock_offset_s=self.does.clock_ahead_ns / 1e9,
            clock_error_s=0.001,
        )

    def create(self, spec: ContainerSpec) -> FakeContainer:
        if self.fails is not None:
            raise self.fails
        if spec.image in self.gone:
            raise ImageNotFoundError(f"no {spec.image}")
        made = FakeContainer(id=f"c{next(self._ids)}", spec=spec, does=self.does, engine=self)
        self.made.append(made)
        return made

    def containers(self, labels: Mapping[str, str]) -> Sequence[FakeContainer]:
        return [
            one for one in self.made if not one.removed and labels.items() <= one.labels.items()
        ]

    def image(self, ref: str) -> ImageFacts:
        if ref in self.gone:
            raise ImageNotFoundError(f"no {ref}")
        return ImageFacts(
            ref=ref,
            image_id=ref if ref.startswith("sha256:") else self.ids.get(ref, "sha256:1"),
            digest=None,
            platform=self.foreign.get(ref, self.platform),
            unpacked_bytes=1,
            labels={},
        )

    def media_type(self, ref: str) -> str:
        raise ImageNotFoundError(f"{ref} is in no registry")

    def pull(self, ref: str, *, platform: Platform | None = None) -> Sequence[LayerEvent]:
        return []

    def close(self) -> None:
        pass
