"""Push images through the engine, and show how far it is."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import transfer_failed, translated
from lab.engine.interrupt import uninterrupted
from lab.engine.registry.distribution import REMEDY
from lab.progress import Step
from lab.units import format_bytes

_AT_A_TIME: Final = 2
_CONTAINERD: Final = "io.containerd.snapshotter"
_NO_PASSWORD: Final[Mapping[str, str]] = {"username": ""}
"""None is needed, so none is looked for in the user's settings."""


def push_together(
    engine: DockerEngine,
    images: Mapping[str, tuple[str, str]],
    step: Step,
    *,
    auth: Mapping[str, str] | None = None,
) -> None:
    """Push images, two at a time. ``images``: reference to repository (with host) and tag.

    ``auth`` is ``username`` and ``password`` for a registry that asks for them; the engine gets
    them with the request and keeps them nowhere. Raises the first error; an interrupt ends the
    pushes under way.
    """
    job = _Job(engine, step, auth or _NO_PASSWORD)
    with ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool:
        try:
            pushes = [pool.submit(job.push, ref, *place) for ref, place in images.items()]
            for push in pushes:
                push.result()
        except BaseException:
            job.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def keeps_manifests(engine: DockerEngine) -> bool:
    """Whether the engine keeps layers compressed, and pushes manifests as they were made."""
    with translated():
        info = engine.client.info()
    return any(_CONTAINERD in str(pair) for pair in info.get("DriverStatus") or ())


class _Job:
    """Some pushes and their common progress."""

    def __init__(self, engine: DockerEngine, step: Step, auth: Mapping[str, str]) -> None:
        self._engine = engine
        self._auth = auth
        self._step = step
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._sizes: dict[tuple[str, str], tuple[int, int]] = {}

    def stop(self) -> None:
        self._stopped.set()

    def push(self, ref: str, repository: str, tag: str) -> None:
        with translated(), _named(self._engine, ref, repository, tag):
            lines: Iterator[Mapping[str, Any]] = self._engine.client.push(
                repository, tag=tag, stream=True, decode=True, auth_config=dict(self._auth)
            )
            for line in lines:
                if self._stopped.is_set():
                    return
                if "error" in line:
                    what = f"{ref} cannot be pushed: {line['error']}"
                    raise transfer_failed(what, remedy=REMEDY)
                self._show(ref, line)

    def _show(self, ref: str, line: Mapping[str, Any]) -> None:
        detail = line.get("progressDetail") or {}
        if "id" not in line or "current" not in detail:
            return
        current = int(detail["current"])
        with self._lock:
            self._sizes[ref, line["id"]] = (current, max(current, int(detail.get("total") or 0)))
            done, total = (sum(column) for column in zip(*self._sizes.values(), strict=True))
            self._step.advance(done, total)
            self._step.detail(f"{format_bytes(done)} of {format_bytes(total)}, uncompressed")


@contextmanager
def _named(engine: DockerEngine, ref: str, repository: str, tag: str) -> Iterator[None]:
    """A second name for the image, for the time of the push: engines push by name."""
    ours = f"{repository}:{tag}"
    engine.client.tag(ref, repository, tag=tag)
    try:
        yield
    finally:
        with uninterrupted():
            names = engine.client.inspect_image(ours)["RepoTags"]
            # Taking away an image's only name would remove the image.
            if set(names) != {ours}:
                engine.client.remove_image(ours, noprune=True)
