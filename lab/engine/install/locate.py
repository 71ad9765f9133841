"""Find an engine that answers: the one the environment names, else the lab's own."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.docker.client import open_client
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.places import Places
from lab.errors import EngineError

_DEFAULT: Final = "unix:///var/run/docker.sock"
_PING_S: Final = 2


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An address where an engine may answer."""

    address: str
    origin: str
    """Where the address comes from, as a person would say it."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A candidate that did not answer, and why."""

    candidate: Candidate
    why: str
    forbidden: bool
    """Something is there, but this user may not speak to it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was found where."""

    found: Candidate | None
    refused: Sequence[Refusal]

    @property
    def forbidden(self) -> Sequence[Refusal]:
        """Where an engine is that this user may not use."""
        return [refusal for refusal in self.refused if refusal.forbidden]

    @property
    def why(self) -> str:
        """Where was asked, and why nothing answered there."""
        return "; ".join(f"{refusal.candidate.origin}: {refusal.why}" for refusal in self.refused)


def candidates(
    env: Mapping[str, str] = os.environ, *, home: Path | None = None
) -> Iterator[Candidate]:
    """Addresses in the order in which Docker's own client would take them, then the lab's own.

    ``DOCKER_CONTEXT`` comes before ``DOCKER_HOST``, and that before the context in use.
    """
    folder = Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else _home(home) / ".docker"
    seen: set[str] = set()
    for candidate in _named(env, folder):
        if candidate.address not in seen:
            seen.add(candidate.address)
            yield candidate


def _named(env: Mapping[str, str], folder: Path) -> Iterator[Candidate]:
    if env.get("DOCKER_CONTEXT"):
        yield from _context(folder, env["DOCKER_CONTEXT"], "DOCKER_CONTEXT")
    if env.get("DOCKER_HOST"):
        yield Candidate(address=env["DOCKER_HOST"], origin="DOCKER_HOST")
    yield from _context(folder, _current(folder), "the Docker context in use")
    yield Candidate(address=_DEFAULT, origin="the default socket")
    if env.get("XDG_RUNTIME_DIR"):
        rootless = Path(env["XDG_RUNTIME_DIR"]) / "docker.sock"
        if rootless.exists():
            yield Candidate(address=f"unix://{rootless}", origin="the user's own socket")
    yield Candidate(address=Places.here(env).address, origin="the lab's private engine")


def search(env: Mapping[str, str] = os.environ) -> Search:
    """Ask each candidate until one answers within two seconds."""
    refused: list[Refusal] = []
    for candidate in candidates(env):
        refusal = ask(candidate)
        if refusal is None:
            return Search(found=candidate, refused=refused)
        refused.append(refusal)
    return Search(found=None, refused=refused)


def ask(candidate: Candidate) -> Refusal | None:
    """None when an engine answers there, else why not."""
    if candidate.address.startswith("unix://"):
        socket = Path(candidate.address.removeprefix("unix://"))
        try:
            if not socket.exists():
                return Refusal(candidate=candidate, why=f"no {socket}", forbidden=False)
        except OSError as error:
            return Refusal(candidate=candidate, why=str(error), forbidden=True)
        if not os.access(socket, os.R_OK | os.W_OK):
            return Refusal(candidate=candidate, why=f"no permission for {socket}", forbidden=True)
    try:
        ping(candidate.address)
    except EngineError as error:
        return Refusal(candidate=candidate, why=error.what, forbidden=False)
    return None


def ping(address: str, *, timeout_s: int = _PING_S) -> None:
    """Raises ``EngineError`` when no engine answers there in time."""
    # Its version is asked for, which every engine answers whatever versions it speaks.
    open_client(address, timeout_s=timeout_s).close()


def find_engine(env: Mapping[str, str] = os.environ) -> DockerEngine | None:
    """The engine that answers, without starting or installing any; None when none does."""
    found = search(env).found
    return None if found is None else DockerEngine(found.address)


def _current(folder: Path) -> str:
    return str(_json(folder / "config.json").get("currentContext") or "default")


def _context(folder: Path, name: str, origin: str) -> Iterator[Candidate]:
    """The context's address. ``default`` has none of its own."""
    if name == "default":
        return
    digest = hashlib.sha256(name.encode()).hexdigest()
    described = _json(folder / "contexts" / "meta" / digest / "meta.json")
    endpoint = (described.get("Endpoints") or {}).get("docker") or {}
    if endpoint.get("Host"):
        yield Candidate(address=str(endpoint["Host"]), origin=f"{origin} ({name})")


def _json(path: Path) -> Mapping[str, dict[str, dict[str, object]]]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _home(home: Path | None) -> Path:
    try:
        return home or Path.home()
    except RuntimeError:  # no home in the environment and none in the user data base
        return Path("/nonexistent")
