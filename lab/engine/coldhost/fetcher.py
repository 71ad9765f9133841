"""The program in a cold host that fetches model archives: started early, asked when it counts."""

from pathlib import PurePosixPath
from typing import Final

from lab.engine.coldhost.program import Program
from lab.engine.docker.engine import DockerEngine
from lab.errors import (
    ArchiveError,
    DiskFullError,
    EngineError,
    LabError,
    RegistryError,
    without_numbers,
)

_COMMAND: Final = ("python3", "/opt/coldhost/fetch.py")
_REMEDIES: Final[dict[str, tuple[type[LabError], str]]] = {
    "registry": (RegistryError, "Run it again: the registry is started when it is missing."),
    "archive": (ArchiveError, "Build the model again: `lab models build`."),
    "disk": (DiskFullError, "Free some space (`docker system df` shows what takes it)."),
}


class Fetcher:
    """``fetch.py`` at the other end of a stream: starting it and Python is not measured."""

    def __init__(self, engine: DockerEngine, container_id: str) -> None:
        """Start it in the container and wait until it listens."""
        self._program = Program(engine, container_id, _COMMAND)
        self._program.answer()

    def fetch(self, url: str, sha256: str, into: PurePosixPath) -> tuple[int, int]:
        """Download, check and unpack; begin and end in nanoseconds by the cold host's clock.

        Raises ``RegistryError``, ``ArchiveError`` or ``DiskFullError``.
        """
        answer = self._program.ask({"url": url, "sha256": sha256, "into": str(into)})
        if "error" in answer:
            kind, remedy = _REMEDIES.get(answer["kind"], (EngineError, ""))
            said = without_numbers(answer["error"])
            raise kind(f"The model cannot be fetched: {said}.", remedy=remedy)
        return int(answer["begin_ns"]), int(answer["end_ns"])

    def close(self) -> None:
        self._program.close()
