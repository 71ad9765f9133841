"""Blocks of warm requests, on new containers and on running ones that are given another size."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Final

from lab.coldstart.observe import INVOCATION_TIMEOUT_S
from lab.coldstart.trial import Subject
from lab.engine.api import Container
from lab.errors import ContainerFailedError, EngineError, LabError
from lab.load.clients import LoadTarget, run_block
from lab.loadtest.targets.image import ImageTarget
from lab.loadtest.targets.sizes import Size
from lab.tune.order import groups
from lab.tune.record import TunedSize, WarmBlock

UNCOUNTED: Final = 5
"""Requests at the beginning of each block: a new container's first ones are slower."""
_TRIES: Final = 2
"""Of a group's container, after which its sizes are measured on new ones only."""


@dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """How long a block is."""

    seconds: float = 1.5
    least: int = 10
    """Six blocks of so many tell a p95."""
    most: int = 50

    def requests(self, latencies_s: Sequence[float]) -> int:
        """As many as fill the time, judged by those that are not counted."""
        return max(self.least, min(self.most, round(self.seconds / statistics.median(latencies_s))))


FULL: Final = BlockPlan()
QUICK: Final = BlockPlan(least=30, most=30)


@dataclass(kw_only=True)
class Blocks:
    """Sends blocks; one size's are all of the same length."""

    subject: Subject
    plan: BlockPlan
    patience: float = 1.0
    """By how much longer than elsewhere an answer is waited for."""
    _requests: dict[str, int] = field(default_factory=dict)

    def known(self, blocks: Mapping[str, WarmBlock]) -> None:
        """Go on with the lengths of blocks that were sent before."""
        self._requests |= {size: len(block.latencies_s) for size, block in blocks.items()}

    def send(self, container: Container, size: str) -> WarmBlock:
        """One client, one request after the other.

        Raises ``ContainerFailedError`` for an answer that is none, ``EngineError``.
        """
        target = LoadTarget(
            address=container.address(),
            payload=self.subject.payload,
            content_type=self.subject.content_type,
            accept="*/*",
            timeout_s=INVOCATION_TIMEOUT_S * self.patience,
        )
        first = run_block(target, requests=UNCOUNTED, clients=1)
        many = self._requests.setdefault(size, self.plan.requests(first.latencies_s))
        before = container.usage()
        found = run_block(target, requests=many, clients=1)
        after, load = container.usage(), container.load()
        throttled = None
        if before.throttled_seconds is not None and after.throttled_seconds is not None:
            throttled = after.throttled_seconds - before.throttled_seconds
        return WarmBlock(
            latencies_s=found.latencies_s,
            uncounted=UNCOUNTED,
            answer_bytes=found.answer_bytes,
            peak_memory_bytes=after.peak_memory_bytes,
            used_memory_bytes=None if load is None else load.memory_bytes,
            throttled_s=throttled,
        )


Starter = Callable[[Size], AbstractContextManager[ImageTarget]]
"""Starts a container at a size, and removes it at the end of the block."""


class KeptContainers:
    """One running container for each group of sizes, given the size that is asked for."""

    def __init__(self, sizes: Sequence[TunedSize], start: Starter) -> None:
        self._groups = groups(sizes)
        self._start = start
        self._running: dict[int, tuple[ImageTarget, ExitStack]] = {}
        self._failed: dict[int, list[str]] = {}
        self._too_small: set[str] = set()

    def at(self, size: TunedSize) -> Container:
        """The group's container, at that size from now on.

        Raises ``EngineError`` where the engine refuses the size, ``ContainerFailedError`` where
        no container of the group starts or the one that ran has ended: the next call starts anew,
        ``_TRIES`` times.
        """
        number = next(at for at, group in enumerate(self._groups) if size in group)
        said = self._failed.setdefault(number, [])
        if len(said) >= _TRIES:
            raise ContainerFailedError(said[-1])
        try:
            target = self._of(number)
        except ContainerFailedError as error:
            said.append(error.what.splitlines()[0])
            raise
        target.resize(Size.parse(size.name))
        return target.container

    def leave_out(self, size: str) -> None:
        """Start none at that size: a new container did not live there."""
        self._too_small.add(size)

    def ended(self, size: TunedSize) -> str | None:
        """What the size's container died of, if it did; it is not used again then."""
        number = next(at for at, group in enumerate(self._groups) if size in group)
        if number not in self._running:
            return None
        target, stack = self._running[number]
        if target.container.state().running:
            return None
        why = target.cause() or "it ended"
        self._failed.setdefault(number, []).append(f"The running container ended: {why}")
        del self._running[number]
        stack.close()
        return why

    def close(self) -> None:
        """Remove them."""
        running = [stack for _, stack in self._running.values()]
        self._running.clear()
        with ExitStack() as all_of_them:
            for stack in running:
                all_of_them.push(stack)

    def _of(self, number: int) -> ImageTarget:
        """The group's container, started at its smallest size at which it lives."""
        if number in self._running:
            return self._running[number][0]
        problem: LabError | None = None
        for size in self._groups[number]:
            if size.name in self._too_small:
                continue
            try:
                with ExitStack() as stack:
                    target = stack.enter_context(self._start(Size.parse(size.name)))
                    self._running[number] = target, stack.pop_all()
                    return target
            except (ContainerFailedError, EngineError) as error:
                self._too_small.add(size.name)
                problem = error
        what = "no container of this group starts" if problem is None else problem.what
        raise ContainerFailedError(what)
