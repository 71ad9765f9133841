"""Where the private engine keeps its things."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import EngineError

_DATA: Final = Path("/var/lib/inference-lab")
_RUN: Final = Path("/run/inference-lab")
_SOCKET_BYTES: Final = 107
"""The longest path of a Unix socket that Linux takes."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Files and folders of one private engine."""

    run: Path
    """Socket, process id and run-time state; gone after a restart of the machine."""
    data: Path
    """Images, containers, volumes, and the log."""

    @classmethod
    def here(cls, env: Mapping[str, str] = os.environ) -> "Places":
        """The machine's own, or everything below ``LAB_ENGINE_ROOT``."""
        root = env.get("LAB_ENGINE_ROOT")
        if root:
            return cls(run=Path(root).absolute(), data=Path(root).absolute())
        return cls(run=_RUN, data=_DATA)

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    @property
    def exec_root(self) -> Path:
        return self.run / "exec"

    @property
    def pid_file(self) -> Path:
        return self.run / "dockerd.pid"

    @property
    def lock(self) -> Path:
        """Held while it is started or stopped."""
        return self.run / "lock"

    @property
    def data_root(self) -> Path:
        """Images, containers and volumes."""
        return self.data / "docker"

    @property
    def log(self) -> Path:
        return self.data / "dockerd.log"

    def check(self) -> None:
        """Raise ``EngineError`` when a socket of the engine would have too long a path."""
        # The longest of the sockets is that of the engine's own containerd.
        longest = self.exec_root / "containerd" / "containerd-debug.sock"
        if len(os.fsencode(longest)) > _SOCKET_BYTES:
            raise EngineError(
                f"{self.run} is too long a path for an engine: {longest} exceeds the "
                f"{_SOCKET_BYTES} bytes of a Unix socket's path.",
                remedy="Set LAB_ENGINE_ROOT to a shorter one.",
            )
