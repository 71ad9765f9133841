"""The kernel's table of interpreters for programs of other machines (binfmt_misc).

The format of entries and registrations is the kernel's: Documentation/admin-guide/binfmt-misc.rst.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.install import privilege
from lab.host import read_text
from lab.spec import Platform

_FOLDER: Final = Path("/proc/sys/fs/binfmt_misc")
_CONFIGS: Final = (Path("/etc/binfmt.d"), Path("/usr/lib/binfmt.d"))
_MACHINES: Final = {
    # As QEMU names it, and the two bytes of `e_machine` in an ELF header.
    Platform.AMD64: ("x86_64", "3e00"),
    Platform.ARM64: ("aarch64", "b700"),
}
_E_MACHINE: Final = slice(2 * 18, 2 * 20)
_FIELD: Final = re.compile(r"^(interpreter|flags:|offset|magic) (\S*)", re.MULTILINE)
_WRITE: Final = 'printf %s "$1" >"$2"'


@dataclass(frozen=True, kw_only=True)
class BinfmtEntry:
    """An interpreter that is registered."""

    name: str
    interpreter: Path
    enabled: bool
    fixed: bool
    """Opened when it was registered (flag F), so that programs in containers find it too."""
    registered_at: float
    """Seconds since the epoch."""

    @property
    def stale(self) -> bool:
        """The file has changed since: what was opened then is what still runs."""
        try:
            return self.fixed and self.interpreter.stat().st_ctime > self.registered_at
        except OSError:
            return False


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How a package wants its interpreter registered."""

    name: str
    line: str
    interpreter: Path
    source: Path
    as_packaged: bool
    """The package's own line has the flag F already."""


@dataclass(frozen=True, kw_only=True)
class Binfmt:
    """The table, and where packages say what to put into it."""

    folder: Path = _FOLDER
    configs: Sequence[Path] = _CONFIGS

    @property
    def mounted(self) -> bool:
        """Whether the table can be seen."""
        return (self.folder / "register").exists()

    @property
    def heeded(self) -> bool:
        """Whether the kernel looks into it: all of it can be switched off."""
        return (read_text(self.folder / "status") or "").startswith("enabled")

    def serving(self, platform: Platform) -> BinfmtEntry | None:
        """The entry that takes a platform's programs: of those enabled, the one registered last."""
        _, machine = _MACHINES[platform]
        found = list(self._entries(machine)) if self.heeded else []
        return max(found, key=lambda entry: (entry.enabled, entry.registered_at), default=None)

    def registration(self, platform: Platform) -> Registration | None:
        """What the distribution's QEMU says of itself, with the flag F; None without QEMU."""
        machine, _ = _MACHINES[platform]
        for folder in self.configs:
            source = folder / f"qemu-{machine}.conf"
            with suppress(OSError):
                for line in source.read_text(encoding="utf-8").splitlines():
                    made = _registration(line.strip(), source)
                    if made is not None:
                        return made
        return None

    def register(self, wanted: Registration) -> None:
        """Put it in, in place of what has its name. Raises ``CommandError``."""
        if not self.mounted:
            privilege.as_root(["mount", "-t", "binfmt_misc", "binfmt_misc", self.folder])
        old = self.folder / wanted.name
        if old.exists():
            # A second registration of a name is refused, and a changed program is not noticed.
            self._write("-1", old)
        self._write(wanted.line, self.folder / "register")
        self._write("1", self.folder / "status")

    def by_hand(self, wanted: Registration | None, platform: Platform) -> Sequence[str]:
        """The same as commands for root's shell."""
        machine, _ = _MACHINES[platform]
        name = f"qemu-{machine}" if wanted is None else wanted.name
        source = f"/usr/lib/binfmt.d/{name}.conf" if wanted is None else wanted.source
        line = f"cat {source}"
        if wanted is not None and not wanted.as_packaged:
            line = f"printf %s '{wanted.line}'"
        commands = [f"{line} > {self.folder}/register"]
        if (self.folder / name).exists():
            commands.insert(0, f"echo -1 > {self.folder / name}")
        if not self.mounted:
            commands.insert(0, f"mount -t binfmt_misc binfmt_misc {self.folder}")
        elif not self.heeded:
            commands.append(f"echo 1 > {self.folder}/status")
        return commands

    def _entries(self, machine: str) -> Iterator[BinfmtEntry]:
        with suppress(OSError):  # not mounted, not Linux
            for path in sorted(self.folder.iterdir()):
                with suppress(OSError):  # write-only, or gone
                    entry = _entry(path, machine)
                    if entry is not None:
                        yield entry

    def _write(self, text: str, path: Path) -> None:
        privilege.as_root(["sh", "-c", _WRITE, "sh", text, path])


def _entry(path: Path, machine: str) -> BinfmtEntry | None:
    text = path.read_text(encoding="utf-8")
    fields: dict[str, str] = dict(_FIELD.findall(text))
    if fields.get("offset") != "0" or fields.get("magic", "")[_E_MACHINE] != machine:
        return None
    return BinfmtEntry(
        name=path.name,
        interpreter=Path(fields["interpreter"]),
        enabled=text.startswith("enabled"),
        fixed="F" in fields.get("flags:", ""),
        registered_at=path.stat().st_mtime,
    )


def _registration(line: str, source: Path) -> Registration | None:
    # :name:type:offset:magic:mask:interpreter:flags
    parts = line.split(":")
    if len(parts) != 8 or parts[0]:
        return None
    as_packaged = "F" in parts[7]
    if not as_packaged:
        parts[7] += "F"
    return Registration(
        name=parts[1],
        line=":".join(parts),
        interpreter=Path(parts[6]),
        source=source,
        as_packaged=as_packaged,
    )
