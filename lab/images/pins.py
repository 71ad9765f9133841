"""The images that come from registries: tags, and the digests they were once resolved to."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from lab import tls
from lab.engine.docker.engine import DockerEngine
from lab.errors import LabError
from lab.paths import SERVICES
from lab.progress import Progress
from lab.spec import Platform

PINS: Final = SERVICES / "pins.json"
VARIABLE: Final = "LAB_DEBIAN"
"""Another place to take Debian from: a company's mirror of Docker Hub."""

_ANSWER_S: Final = 3.0
_HUB: Final = "docker.io"
_HUB_SERVER: Final = "registry-1.docker.io"
_ASKS_WHO: Final = 401


@dataclass(frozen=True, kw_only=True)
class Pin:
    """An image by tag, and by digest once ``scripts/update_pins`` has seen it."""

    ref: str
    digest: str | None

    @property
    def pinned(self) -> str:
        """How to pull it: by digest if one is known."""
        return f"{self.ref}@{self.digest}" if self.digest else self.ref

    @property
    def registry(self) -> str:
        """The host that serves it; Docker Hub unless the name says otherwise."""
        host = self._parts()[0]
        return _HUB_SERVER if host == _HUB else host

    @property
    def path(self) -> str:
        """Repository and tag in that registry."""
        return self._parts()[1]

    @property
    def scheme(self) -> str:
        """Registries on this machine have no TLS, as engines allow."""
        return "http" if self.registry.startswith(("localhost", "127.")) else "https"

    def answers(self) -> bool:
        """Whether the registry answers in time. Honours the proxies of the environment."""
        try:
            answer = httpx.get(
                f"{self.scheme}://{self.registry}/v2/", timeout=_ANSWER_S, verify=tls.context()
            )
        except (httpx.HTTPError, OSError):
            return False
        return answer.is_success or answer.status_code == _ASKS_WHO

    def _parts(self) -> tuple[str, str]:
        host, slash, path = self.ref.partition("/")
        if slash and ("." in host or ":" in host or host == "localhost"):
            return host, path
        return _HUB, self.ref if slash else f"library/{self.ref}"


def pins(name: str, *, file: Path = PINS, env: Mapping[str, str] = os.environ) -> Iterator[Pin]:
    """Where ``name`` can be had, the best place first."""
    if name == "debian" and env.get(VARIABLE):
        yield Pin(ref=env[VARIABLE], digest=None)
        return
    for entry in json.loads(file.read_text(encoding="utf-8"))["images"][name]:
        yield Pin(ref=entry["ref"], digest=entry["digest"])


def pull_first(
    name: str,
    platform: Platform,
    engine: DockerEngine,
    progress: Progress,
    *,
    use: Callable[[Pin], None],
    reached: dict[str, bool],
) -> bool:
    """Pull ``name`` from the first registry that answers here and answers the engine too; whether
    there was one and ``use`` could make something of it.

    ``reached`` remembers which registries answered: each is asked once.
    """
    for pin in pins(name):
        if pin.registry not in reached:
            with progress.step(f"Asking {pin.registry} for {pin.ref}"):
                reached[pin.registry] = pin.answers()
        if not reached[pin.registry]:
            continue
        try:
            with progress.step(f"Pulling {pin.ref}"):
                engine.pull(pin.pinned, platform=platform)
            use(pin)
        except LabError as error:
            progress.note(f"{pin.ref} cannot be used: {error.what.splitlines()[0]}")
        else:
            return True
    return False
