"""A kernel's table of interpreters, played in a folder: what is written to it shows as entries."""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.engine.emulation.binfmt import Binfmt
from tests.unit.engine.conftest import Programs

MAGIC = {
    "aarch64": r"\x7f\x45\x4c\x46\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00",
    "x86_64": r"\x7f\x45\x4c\x46\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\x3e\x00",
}
MASK = r"\xff" * 20


class Kernel:
    """Stands for the kernel, for apt and for the QEMU that apt installs."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.binfmt = Binfmt(folder=folder / "binfmt_misc", configs=(folder / "binfmt.d",))
        self.qemu = folder / "qemu-aarch64-static"
        self.programs = programs
        self.apt_brings: Callable[[], None] = lambda: None
        self.refuses = False
        self._answer = programs.run
        self.binfmt.folder.mkdir()
        self.binfmt.configs[0].mkdir()
        programs.run = self.run  # type: ignore[method-assign]
        programs.answer("mount")
        programs.answer("sh -c")
        programs.answer("env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get")

    def mount(self) -> None:
        (self.binfmt.folder / "register").touch()
        (self.binfmt.folder / "status").write_text("enabled")

    def installed(self, version: str, *, machine: str = "aarch64", flags: str = "OPF") -> None:
        """A package has brought this QEMU, and says how to register it."""
        self.qemu.write_text(version)
        self.programs.answer(f"{self.qemu} --version", f"qemu-{machine} version {version} (Debian)")
        line = f":qemu-{machine}:M::{MAGIC[machine]}:{MASK}:{self.qemu}:{flags}"
        (self.binfmt.configs[0] / f"qemu-{machine}.conf").write_text(line + "\n")

    def registered(
        self, name: str = "qemu-aarch64", *, flags: str = "OPF", state: str = "enabled", at: int = 0
    ) -> None:
        """An entry as the kernel shows it; ``at`` seconds later than the present."""
        self.mount()
        self._register(f":{name}:M::{MAGIC['aarch64']}:{MASK}:{self.qemu}:{flags}", state=state)
        path = self.binfmt.folder / name
        now = path.stat().st_mtime
        os.utime(path, (now + at, now + at))

    def run(self, words: Sequence[str], **more: Any) -> "subprocess.CompletedProcess[str]":
        done = self._answer(words, **more)
        if words[0] == "mount":
            self.mount()
        elif words[:2] == ["sh", "-c"] and not self._write(words[4], Path(words[5])):
            return subprocess.CompletedProcess(words, 1, "", "write error: File exists")
        elif "install" in words and "-s" not in words:
            self.apt_brings()
        return done

    def _write(self, text: str, path: Path) -> bool:
        if text == "-1":
            path.unlink()
        elif path.name == "register":
            if self.refuses or (self.binfmt.folder / text.split(":")[1]).exists():
                return False
            self._register(text)
        elif path.name == "status":
            path.write_text("enabled")
        return True

    def _register(self, line: str, *, state: str = "enabled") -> None:
        _, name, _, _, magic, _, interpreter, flags = line.split(":")
        (self.binfmt.folder / name).write_text(
            f"{state}\ninterpreter {interpreter}\nflags: {flags}\noffset 0\n"
            f"magic {magic.replace(chr(92) + 'x', '')}\nmask ff\n"
        )
