"""The images that come from registries: tags, and the digests they were once resolved to."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from lab.paths import SERVICES

PINS: Final = SERVICES / "pins.json"
VARIABLE: Final = "LAB_DEBIAN"
"""Another place to take Debian from: a company's mirror of Docker Hub."""

_ANSWER_S: Final = 3.0
_HUB: Final = {"docker.io": "registry-1.docker.io", "": "registry-1.docker.io"}
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
        """The host that serves it."""
        host, _, _ = self.ref.partition("/")
        named = "." in host or ":" in host or host == "localhost"
        return _HUB.get(host, host) if named else _HUB[""]


def pins(name: str, *, file: Path = PINS, env: Mapping[str, str] = os.environ) -> Iterator[Pin]:
    """Where ``name`` can be had, the best place first."""
    if name == "debian" and env.get(VARIABLE):
        yield Pin(ref=env[VARIABLE], digest=None)
        return
    for entry in json.loads(file.read_text(encoding="utf-8"))["images"][name]:
        yield Pin(ref=entry["ref"], digest=entry["digest"])


def answers(registry: str, *, timeout_s: float = _ANSWER_S) -> bool:
    """Whether a registry answers there in time. Honours the proxies of the environment."""
    plain = registry.startswith(("localhost", "127."))
    try:
        answer = httpx.get(f"{'http' if plain else 'https'}://{registry}/v2/", timeout=timeout_s)
    except (httpx.HTTPError, OSError):
        return False
    return answer.is_success or answer.status_code == _ASKS_WHO
