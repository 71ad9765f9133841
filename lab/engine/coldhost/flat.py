"""Images flattened into one file system each, as AWS Lambda does when a function is made.

They are kept in a volume of the engine's, by the image's id, and go when the engine has the image
no more. Making one is no part of a trial.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from lab.engine.api import ContainerSpec, Mount
from lab.engine.coldhost.program import Program
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.owned import of_this_process
from lab.engine.interrupt import uninterrupted
from lab.errors import DiskFullError, EngineError, without_numbers
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE
from lab.units import format_bytes

VOLUME: Final = "inference-lab-flat"
PLACE: Final = PurePosixPath("/flat")
ROLE: Final = "flat"

_VERSION: Final = 2
"""Of how they are laid out: another one is made anew."""
_SUFFIX: Final = f".v{_VERSION}"
_CHUNK: Final = 1 << 20


class NoDeviceError(EngineError):
    """The engine's machine has no loop devices or no FUSE: nothing can be served on demand."""


@dataclass(frozen=True, kw_only=True)
class FlatImage:
    """A flattened image. Paths are those in a container that has the volume at ``PLACE``."""

    ref: str
    image_id: str
    path: PurePosixPath
    used_bytes: int
    """What its files and their names take."""
    files: int

    @property
    def extents(self) -> PurePosixPath:
        """Where the bytes of each file are: a line of JSON each, path and offset, length pairs."""
        return self.path.with_suffix(".extents")


def flatten(
    engine: DockerEngine, ref: str, *, image: str, owner: str, progress: Progress
) -> FlatImage:
    """An image's flattened copy, made if there is none yet.

    ``image`` is ``inference-lab/coldhost:<arch>``, ``owner`` the run's id. Raises
    ``ImageNotFoundError``, ``DiskFullError`` before anything is written, ``NoDeviceError``.
    """
    facts = engine.image(ref)
    name = facts.image_id.removeprefix("sha256:") + _SUFFIX
    engine.ensure_volume(VOLUME, {LABEL_ROLE: ROLE})
    with _helper(engine, image, owner) as helper:
        _forget_old(engine, helper)
        code, said = helper.execute(
            ["sh", "-c", f"test -e {PLACE}/{name}.img && cat {PLACE}/{name}.json"]
        )
        found = _parsed(said) if code == 0 else None
        if found is None:
            with progress.step(f"Flatten {ref} ({format_bytes(facts.unpacked_bytes)})"):
                found = _made(engine, helper, ref, name, facts.unpacked_bytes, owner)
    return FlatImage(
        ref=ref,
        image_id=facts.image_id,
        path=PLACE / f"{name}.img",
        used_bytes=found["used_bytes"],
        files=found["files"],
    )


def _parsed(said: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError:
        return None
    return found


def _made(
    engine: DockerEngine,
    helper: DockerContainer,
    ref: str,
    name: str,
    size: int,
    owner: str,
) -> dict[str, Any]:
    command = ["python3", "/opt/coldhost/flatten.py", f"{PLACE}/{name}.img", str(size)]
    with uninterrupted():
        # Never started: it is there to be read. Some images name no command.
        source = engine.create(
            ContainerSpec(
                image=ref,
                command=("none",),
                labels={LABEL_ROLE: ROLE, LABEL_OWNER: owner, **of_this_process()},
                read_only_root=False,
            )
        )
    try:
        with closing(Program(engine, helper.id, command)) as program:
            with translated():
                program.feed(engine.client.export(source.id, chunk_size=_CHUNK))
            answer = program.answer()
    finally:
        source.remove()
    if "error" in answer:
        said = without_numbers(answer["error"])
        match answer["kind"]:
            case "disk":
                raise DiskFullError(
                    f"There is no room to flatten {ref}: {said}.",
                    remedy="Free some space (`docker system df` shows what takes it).",
                )
            case "unable":
                raise NoDeviceError(f"no file system can be mounted in a container: {said}")
            case _:
                raise EngineError(f"{ref} cannot be flattened: {said}.")
    return answer


@contextmanager
def _helper(engine: DockerEngine, image: str, owner: str) -> Iterator[DockerContainer]:
    spec = ContainerSpec(
        image=image,
        command=("idle",),
        labels={LABEL_ROLE: ROLE, LABEL_OWNER: owner, **of_this_process()},
        mounts=(Mount(source=VOLUME, target=str(PLACE), read_only=False),),
        network="none",
        privileged=True,
        read_only_root=False,
    )
    with uninterrupted():
        container = engine.create(spec)
    try:
        container.start()
        yield container
    finally:
        with uninterrupted():
            container.remove()


def _forget_old(engine: DockerEngine, helper: DockerContainer) -> None:
    """Remove the copies of images that the engine has no more, and what a killed run left."""
    with translated():
        known = {one["Id"].removeprefix("sha256:") for one in engine.client.images(all=True)}
    _, listed = helper.execute(["ls", str(PLACE)])
    names = listed.split()
    old = [
        f"{PLACE}/{name}"
        for name in names
        if ".part" not in name
        and (name.partition(".")[0] not in known or f"{_SUFFIX}." not in name)
    ]
    if old:
        helper.execute(["rm", "-f", *old])
    for half in (f"{PLACE}/{name}" for name in names if ".part" in name):
        # A run that is still at it holds a lock.
        helper.execute(["flock", "--nonblock", half, "rm", "-f", half])
