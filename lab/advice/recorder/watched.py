"""Where a container is recorded: a cold host that shows its image block by block, with a runtime
that writes down every look-up of a path. Both end with the cold host, as do their mounts.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from lab.engine.coldhost.blocklog import BlockRead
from lab.engine.coldhost.flat import FlatImage, NoDeviceError, flatten
from lab.engine.coldhost.host import MODEL, TRACED, TRACES, ColdHost, cold_host
from lab.engine.coldhost.ondemand import OnDemandImage, Speed, on_demand
from lab.engine.coldhost.program import Program
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.registry.local import NETWORK
from lab.errors import ArchiveError, EngineError
from lab.progress import Progress

_CHUNK: Final = 1 << 20
_TRY_TRACING: Final = ("strace", "-f", "-o", "/dev/null", "true")
_TRACE_DONE_S: Final = 60.0
_POLL_S: Final = 0.1


@dataclass(kw_only=True)
class Watched:
    """An image, ready to be started where it is watched."""

    host: ColdHost
    image: str
    """As the cold host's engine knows it."""
    device: OnDemandImage | None = None
    """None where its blocks cannot be seen."""
    traced: bool = False
    """Whether its look-ups can."""
    model_dir: PurePosixPath | None = None
    doubts: list[str] = field(default_factory=list)

    @property
    def runtime(self) -> str | None:
        return TRACED if self.traced else None

    def trace(self) -> bytes:
        """What ``strace`` wrote of the container, once that has ended."""
        machine = self.host.machine
        give_up_at = time.monotonic() + _TRACE_DONE_S
        while machine.execute(["pidof", "strace"])[0] == 0:
            if time.monotonic() >= give_up_at:
                self.doubts.append("strace did not end with the container.")
                break
            time.sleep(_POLL_S)
        code, said = machine.execute(["sh", "-c", f"cat {TRACES}/*"])
        if code != 0:
            self.doubts.append(f"The trace cannot be read: {said.strip()}.")
            return b""
        return said.encode()

    def reads(self) -> Sequence[BlockRead]:
        return () if self.device is None else self.device.reads()

    def extents(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        return {} if self.device is None else dict(self.device.extents())


@contextmanager
def watched(
    engine: DockerEngine,
    image: str,
    *,
    helper: str,
    owner: str,
    speed: Speed,
    archive: Path | None,
    progress: Progress,
) -> Iterator[Watched]:
    """Have an image where it is watched; gone with all that belongs to it at the end.

    ``helper`` is ``inference-lab/coldhost:<arch>``, ``archive`` a ``model.tar.gz``. Where a view is
    not to be had it is left out and said. Raises ``EngineError`` where neither is, or the disk is
    full.
    """
    engine.ensure_network(NETWORK)
    doubts = list[str]()
    flat: FlatImage | None = None
    try:
        flat = flatten(engine, image, image=helper, owner=owner, progress=progress)
    except NoDeviceError as why:
        doubts.append(_no_blocks(why))
    with ExitStack() as stack:
        host = stack.enter_context(
            cold_host(engine, image=helper, owner=owner, flat=flat is not None)
        )
        seen = Watched(host=host, image=image, doubts=doubts)
        seen.traced = _can_trace(host, doubts)
        if flat is not None:
            try:
                device = stack.enter_context(on_demand(host, flat, speed))
                device.mount()
                seen.device, seen.image = device, device.name
            except NoDeviceError as why:
                doubts.append(_no_blocks(why))
        if seen.device is None:
            if not seen.traced:
                raise EngineError(f"What {image} reads cannot be seen here. {' '.join(doubts)}")
            with progress.step(f"Load {image}"):
                _load(host, image)
        if archive is not None:
            seen.model_dir = _bring_model(host, archive)
        yield seen


def _no_blocks(why: NoDeviceError) -> str:
    return f"How many bytes were read could not be seen: {why.what.rstrip('.')}."


def _can_trace(host: ColdHost, doubts: list[str]) -> bool:
    code, said = host.machine.execute(_TRY_TRACING)
    if code != 0:
        why = " ".join(said.split()) or f"exit code {code}"
        doubts.append(f"Which files were looked up could not be seen, only their blocks: {why}.")
    return code == 0


def _load(host: ColdHost, image: str) -> None:
    """Have the image itself in the cold host's engine, as a stream."""
    with translated():
        # The SDK's types know nothing of streams.
        saved = cast("Any", host.outer.client.get_image(image, chunk_size=_CHUNK))
        for _ in host.engine.client.load_image(saved):
            pass


def _bring_model(host: ColdHost, archive: Path) -> PurePosixPath:
    words = f"mkdir -p {MODEL} && tar -xzf - -C {MODEL}; printf '{{\"code\": %d}}\\n' $?"
    program = Program(host.outer, host.machine.id, ["sh", "-c", words])
    try:
        with archive.open("rb") as file, translated():
            program.feed(iter(lambda: file.read(_CHUNK), b""))
        code = program.answer()["code"]
    finally:
        program.close()
    if code != 0:
        raise ArchiveError(
            f"{archive} cannot be unpacked where it is recorded: tar ended with code {code}.",
            remedy="Check it with `lab models verify`, and that the disk is not full.",
        )
    return MODEL
