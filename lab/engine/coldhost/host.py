"""A machine that has never seen a layer: a container with an engine and an empty volume of its own.

After ``docker rmi`` a pull is instant, since the build cache still holds the layers; only an empty
store downloads and unpacks them all. What is *not* cold: the registry reads its files from this
machine's page cache, as a registry in the cloud answers from a fast store, so the shaped link is
what bounds the download; and the layers are written through the page cache, so that a container
started right after the pull finds its files in memory, as on a machine that has just pulled. The
disk below has no journal (see ``services/coldhost/start``).
"""

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from docker.errors import NotFound

from lab.engine.api import ContainerSpec, Mount
from lab.engine.coldhost.fetcher import Fetcher
from lab.engine.coldhost.flat import PLACE, VOLUME
from lab.engine.coldhost.pulled import NotColdError, Pulled, downloaded_at, layers_pulled
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.owned import of_this_process
from lab.engine.interrupt import uninterrupted
from lab.engine.registry.distribution import REMEDY
from lab.engine.registry.local import INTERNAL, NETWORK
from lab.errors import EngineError, RegistryError
from lab.sockets import free_port
from lab.spec import LABEL_OWNER, LABEL_ROLE, Platform

ROLE: Final = "coldhost"
MODEL: Final = PurePosixPath("/var/lib/docker/inference-lab/model")
"""Where to unpack a model: on the cold host's own disk, beside the layers."""

TRACED: Final = "traced"
"""The runtime of its engine that writes down every look-up of a path: see ``TRACES``."""
TRACES: Final = PurePosixPath("/var/lib/docker/traces")
"""What ``strace`` wrote of each container of that runtime, a file each."""

_DATA: Final = "/var/lib/docker"
_SHARED: Final = "/run/coldhost"
_SOCKET: Final = "docker.sock"
_READY_S: Final = 30.0
_POLL_S: Final = 0.01
_API_PORT: Final = 2375
_COPIES: Final = "vfs"
_WATCH_EVERY_S: Final = 1.0


class ColdHost:
    """A cold host that answers. Its containers' limits are enforced as the outer engine's are."""

    def __init__(
        self,
        engine: DockerEngine,
        fetcher: Fetcher,
        *,
        publish: int,
        watch: Callable[[], AbstractContextManager[threading.Event]],
        machine: DockerContainer,
        outer: DockerEngine,
    ) -> None:
        """``watch`` ends what goes on here when the registry is gone."""
        self.engine = engine
        """The inner engine. Paths in its specs are those of the cold host."""
        self.publish = publish
        """What ``ContainerSpec.publish`` must be for a container's port to be reached from here.

        0 on this machine's own engine; otherwise the one port that is forwarded, through something
        that accepts connections before the container listens.
        """
        self.machine = machine
        """The container that it is, for programs to be run beside its engine."""
        self.outer = outer
        """The engine that the machine is a container of."""
        self._fetcher = fetcher
        self._watch = watch

    def pull(self, ref: str, *, platform: Platform | None = None) -> Pulled:
        """Pull an image by the name it has in the registry, as seen from the inside.

        Raises ``NotColdError`` if the engine had any image before, or any layer of this one;
        ``ImageNotFoundError``, ``RegistryError`` or ``DiskFullError`` if the pull fails.
        """
        self.require_empty()
        with self._watch() as registry_gone:
            try:
                begin = time.time_ns()
                events = self.engine.pull(ref, platform=platform)
                end = time.time_ns()
            except EngineError as error:
                if not registry_gone.is_set():
                    raise
                raise RegistryError(
                    f"The local registry went away while {ref} was being pulled.", remedy=REMEDY
                ) from error
        layers = layers_pulled(events)
        return Pulled(
            begin_ns=begin,
            downloaded_ns=downloaded_at(events),
            end_ns=end,
            layers=layers,
            events=events,
        )

    def require_empty(self) -> None:
        """Raise ``NotColdError`` if the engine has an image."""
        with translated():
            images = self.engine.client.images(all=True)
        if images:
            raise NotColdError(
                f"The cold host already has {len(images)} image(s).",
                remedy="Use a new one for each pull.",
            )

    def fetch(self, url: str, digest: str, into: PurePosixPath = MODEL) -> tuple[int, int]:
        """Fetch a model archive over the shaped link and unpack it into a new folder.

        ``digest`` is its sha256, with or without the prefix. Returns begin and end in nanoseconds
        since the epoch. Raises ``RegistryError``, ``ArchiveError`` or ``DiskFullError``.
        """
        return self._fetcher.fetch(url, digest.removeprefix("sha256:"), into)


@contextmanager
def cold_host(
    engine: DockerEngine,
    *,
    image: str,
    owner: str,
    registry: str = INTERNAL,
    doors: Path | None = None,
    flat: bool = False,
) -> Iterator[ColdHost]:
    """A new cold host, gone with its volume at the end of the block, however that comes.

    ``image`` is ``inference-lab/coldhost:<arch>``, ``owner`` the run's id, ``registry`` the one
    that needs no TLS, as seen from the inside. ``doors`` is the folder below which its socket
    comes to lie, for a caller whose own temporary folder the engine does not see. ``flat``: it has
    the flattened images. Raises ``EngineError`` when the engine in it does not come up within 30 s.
    """
    made = ExitStack()
    try:
        with uninterrupted():
            door: _Door = _Folder(doors) if engine.bridged else _Port()
            made.callback(door.close)
            container = engine.create(
                door.spec(_spec(image=image, owner=owner, registry=registry, flat=flat))
            )
            made.callback(container.remove)
        container.start()
        inner = _ready(container, door)
        made.callback(inner.close)
        _check_driver(inner)
        fetcher = Fetcher(engine, container.id)
        made.callback(fetcher.close)
        watch = partial(
            _watched, engine, registry.partition(":")[0], on_gone=partial(_end, container)
        )
        yield ColdHost(
            inner, fetcher, publish=door.forwarded, watch=watch, machine=container, outer=engine
        )
    finally:
        with uninterrupted():
            made.close()


def remove_leftovers(engine: DockerEngine, *, owner: str) -> int:
    """Remove the cold hosts that a killed run left behind; how many there were."""
    left = engine.containers({LABEL_ROLE: ROLE, LABEL_OWNER: owner})
    for container in left:
        container.remove()
    return len(left)


class _Folder:
    """The way in on this machine: a socket in a folder that only its owner may enter."""

    forwarded: Final = 0

    def __init__(self, below: Path | None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lab-cold-", dir=below))

    def spec(self, spec: ContainerSpec) -> ContainerSpec:
        shared = Mount(source=str(self._folder), target=_SHARED, read_only=False)
        return replace(
            spec,
            # The socket is root's; --group is who may use it besides.
            command=(*spec.command, f"--host=unix://{_SHARED}/{_SOCKET}", f"--group={os.getgid()}"),
            mounts=(*spec.mounts, shared),
        )

    def open(self, container: DockerContainer) -> DockerEngine | None:
        path = self._folder / _SOCKET
        if not path.exists():
            return None
        host, _ = container.address(_API_PORT)
        return DockerEngine(f"unix://{path}", reach=host)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class _Port:
    """The way in where the engine is in a virtual machine: two ports forwarded to 127.0.0.1."""

    def __init__(self) -> None:
        self.forwarded = free_port()

    def spec(self, spec: ContainerSpec) -> ContainerSpec:
        return replace(
            spec,
            command=(*spec.command, f"--host=tcp://0.0.0.0:{_API_PORT}", "--tls=false"),
            port=_API_PORT,
            publish=0,
            also_publish={self.forwarded: self.forwarded},
        )

    def open(self, container: DockerContainer) -> DockerEngine:
        host, port = container.address(_API_PORT)
        # By another name than 127.0.0.1, at which the inner engine would publish for itself only.
        return DockerEngine(f"tcp://{host}:{port}", reach="localhost")

    def close(self) -> None:
        """Nothing to close."""


_Door = _Folder | _Port


def _spec(*, image: str, owner: str, registry: str, flat: bool) -> ContainerSpec:
    return ContainerSpec(
        image=image,
        name=f"inference-lab-cold-{secrets.token_hex(4)}",
        command=(
            # The forwarder would accept connections before the container listens.
            "--userland-proxy=false",
            "--ip6tables=false",
            f"--insecure-registry={registry}",
            f"--add-runtime={TRACED}=/opt/coldhost/traced",
            # A second attempt would be measured as one slow pull.
            "--max-download-attempts=1",
        ),
        labels={LABEL_ROLE: ROLE, LABEL_OWNER: owner, **of_this_process()},
        mounts=(
            Mount(source=None, target=_DATA, read_only=False),
            *((Mount(source=VOLUME, target=str(PLACE)),) if flat else ()),
        ),
        network=NETWORK,
        privileged=True,
        read_only_root=False,
    )


def _ready(container: DockerContainer, door: _Door) -> DockerEngine:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and container.state().running:
        with suppress(EngineError):
            inner = door.open(container)
            if inner is not None:
                # What the user's Docker settings say of passwords is not this engine's concern,
                # and asking a credential helper would be measured as part of the pull.
                inner.client.reload_config(dockercfg_path=os.devnull)
                return inner
        time.sleep(_POLL_S)
    raise EngineError(
        f"The cold host did not come up.\n{container.logs(tail=8)}",
        remedy="Pull trials need an engine that runs privileged containers; see `lab doctor`.",
    )


def _end(container: DockerContainer) -> None:
    # It may have ended by itself.
    with suppress(EngineError):
        container.kill()


def _check_driver(inner: DockerEngine) -> None:
    with translated():
        driver = inner.client.info()["Driver"]
    if driver == _COPIES:
        raise EngineError(
            "The cold host's engine copies every layer whole (storage driver vfs).",
            remedy="Keep the engine's data on ext4 or xfs, where overlay2 works.",
        )


@contextmanager
def _watched(
    engine: DockerEngine, name: str, *, on_gone: Callable[[], None]
) -> Iterator[threading.Event]:
    """Look once a second whether a container runs; when it does not, set the event that the block
    is given, and call ``on_gone``.

    A container that is killed may not get to close its connections, and whoever reads from one
    then waits for minutes.
    """
    gone = threading.Event()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_WATCH_EVERY_S):
            if not _runs(engine, name):
                gone.set()
                on_gone()
                return

    thread = threading.Thread(target=look, name=f"watch {name}", daemon=True)
    thread.start()
    try:
        yield gone
    finally:
        ended.set()
        thread.join()


def _runs(engine: DockerEngine, name: str) -> bool:
    try:
        with translated():
            return bool(engine.client.inspect_container(name)["State"]["Running"])
    except EngineError as error:
        # Only its absence counts: an engine that is slow to answer says nothing about it.
        return not isinstance(error.__cause__, NotFound)
