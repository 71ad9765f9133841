"""What takes the tests longest to make, made while those run that need no engine."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Final

import pytest

from lab import paths
from lab.host import this_machine

FIXTURE: Final = "foreign_image"
"""Who asks for it needs the other platform's image: minutes under QEMU, on one core."""


class Ahead:
    """One command in the background, by the lab's own front door."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def start(self, items: Sequence[pytest.Item]) -> None:
        """Begin, if there are tests to run meanwhile and any that need it."""
        needed = any(FIXTURE in getattr(item, "fixturenames", ()) for item in items)
        if not needed or items[0].get_closest_marker("docker"):
            return
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process runs
        wanted = f"--platform={this_machine().other}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab", "images", "build", "onnx-slim", wanted],
            cwd=paths.ROOT,
            stdout=self._said,
            stderr=self._said,
        )

    def wait(self) -> None:
        """Until it is done. What failed is made, or told, by the test that needs it."""
        process, said = self._process, self._said
        self._process = self._said = None
        if process is None or said is None:
            return
        with said:
            if process.wait():
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace"))

    def stop(self) -> None:
        """End it, as Ctrl-C would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
        self.wait()
