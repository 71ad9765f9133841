"""The Dockerfile's steps as an image remembers them, changed, and shown as a diff.

An image remembers a step as one line of shell. Where a change to it is not certain (quotes that do
not close, a here-document, a package that the line does not name) there is none.
"""

import difflib
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.advice.rules.model import Rewrite

_BETWEEN: Final = re.compile(r"(\s*(?:&&|\|\||;)\s*)")
_SHELLS: Final = re.compile(r"^(?:RUN |/bin/(?:ba|da)?sh -c (?!#\(nop\)))(?P<shell>.*)$", re.DOTALL)
_SPEC: Final = r"(?P<extras>\[[^\]]*\])?(?P<version>\s*(?:===?|~=|!=|<=?|>=?|@).*)?"
ENV: Final = r"(?:[A-Z_]+=\S+ )*"
_INSTALLS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(rf"^{ENV}(?:sudo )?{pattern}(?= |$)")
    for name, pattern in (
        ("Debian", r"apt(?:-get)?(?: -\S+)* install"),
        ("Python", r"(?:\S*python[\d.]* -m |\S*uv )?\S*pip[\d.]*(?: -\S+)* install"),
        ("Node", r"(?:npm(?: -\S+)* (?:install|i|ci)|yarn(?: install)?|pnpm (?:install|i))"),
        ("Alpine", r"apk(?: -\S+)* add"),
        ("conda", r"(?:conda|mamba|micromamba)(?: -\S+)* install"),
    )
}
_TAKES_VALUE: Final = {
    *("-r", "-c", "-i", "-f", "-t", "--requirement", "--constraint", "--index-url"),
    *("--extra-index-url", "--find-links", "--target", "--prefix", "-o", "--python"),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What made a layer."""

    number: int
    command: str
    base: bool
    """It came with the base image, as far as can be told."""

    @property
    def shell(self) -> str | None:
        """What it runs; None where it copies or imports."""
        found = _SHELLS.match(self.command)
        return None if found is None else found["shell"]

    @property
    def copies(self) -> bool:
        return self.command.startswith(("COPY", "ADD"))


def normal(name: str) -> str:
    """A Python package's name as it is compared: of ``Foo_bar 1.2`` ``foo-bar``."""
    return re.sub(r"[-_.]+", "-", name.partition(" ")[0]).lower()


def parts_of(shell: str) -> list[str] | None:
    """Commands and, between them, what joins them; None where it is not certain."""
    if "<<" in shell:
        return None
    parts = _BETWEEN.split(shell)
    try:
        for part in parts[::2]:
            shlex.split(part)
    except ValueError:
        return None
    return parts


def installs(shell: str, manager: str) -> Sequence[str]:
    """What the step asks a package manager for, as it is written there."""
    parts = parts_of(shell) or []
    found = [_INSTALLS[manager].match(part) for part in parts[::2]]
    return [
        word
        for part, match in zip(parts[::2], found, strict=True)
        if match
        for word in _named(part[match.end() :].split())
    ]


def _named(words: Sequence[str]) -> Sequence[str]:
    kept, skip = [], False
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in _TAKES_VALUE
        else:
            kept.append(word)
    return kept


def name_in(word: str) -> str:
    """Of ``'Foo_bar[x]>=1'`` ``foo-bar``; of Debian's ``libx-dev=1.2`` ``libx-dev``."""
    return normal(re.split(r"[\[=<>~!@;: ]", word.strip("\"'"), maxsplit=1)[0])


def without(manager: str, names: Collection[str]) -> Rewrite:
    """Do not install these. A command that installs nothing else goes, and with it a step."""
    return _installing(manager, lambda word: None if name_in(word) in names else word)


def renamed(manager: str, names: Mapping[str, str]) -> Rewrite:
    """Install others in their place, of the same version."""

    def change(word: str) -> str | None:
        other = names.get(name_in(word))
        return word if other is None else other_name(word, other)

    return _installing(manager, change)


def other_name(word: str, other: str) -> str:
    """A requirement for another package of the same version."""
    found = re.match(rf"^(?P<quote>[\"']?)[\w.\-]+{_SPEC}$", word)
    return other if found is None else f"{found['quote']}{other}{word[_end_of_name(word) :]}"


def _end_of_name(word: str) -> int:
    found = re.match(r"[\"']?[\w.\-]+", word)
    return 0 if found is None else found.end()


def _installing(manager: str, change: Callable[[str], str | None]) -> Rewrite:
    """Rewrite each word that names a package; None where no word changes."""

    def rewrite(shell: str) -> str | None:
        parts = parts_of(shell)
        if parts is None:
            return None
        changed = False
        for at in range(0, len(parts), 2):
            found = _INSTALLS[manager].match(parts[at])
            if not found:
                continue
            words = parts[at][found.end() :].split()
            named = set(_named(words))
            kept = [
                new
                for word in words
                if (new := change(word) if word in named else word) is not None
            ]
            if kept == words:
                continue
            changed = True
            left = _named(kept) or any(word in _TAKES_VALUE for word in kept)
            parts[at] = f"{found[0]} {' '.join(kept)}" if left else ""
        return _joined(parts) if changed else None

    return rewrite


def _joined(parts: Sequence[str]) -> str:
    """Without commands that went, and what joined them to the next."""
    kept: list[str] = []
    for at in range(0, len(parts), 2):
        if parts[at]:
            kept += [*([parts[at - 1]] if kept else []), parts[at]]
    return "".join(kept)


def option(manager: str, flag: str, *, unless: str = "") -> Rewrite:
    """Give the package manager an option; None where a step has it (or one like ``unless``)."""

    def rewrite(shell: str) -> str | None:
        parts = parts_of(shell)
        if parts is None:
            return None
        changed = False
        for at in range(0, len(parts), 2):
            found = _INSTALLS[manager].match(parts[at])
            has = flag in parts[at] or (unless and re.search(unless, parts[at]))
            if found and not has:
                changed = True
                parts[at] = f"{found[0]} {flag}{parts[at][found.end() :]}"
        return "".join(parts) if changed else None

    return rewrite


def ended_by(command: str) -> Rewrite:
    """Run this at the end of the same step; None where it does."""

    def rewrite(shell: str) -> str | None:
        if parts_of(shell) is None or command in shell:
            return None
        return f"{shell.rstrip(' ;')} && {command}"

    return rewrite


def uninstalled(names: Sequence[str]) -> Rewrite:
    """Uninstall Python packages at the end of the step, by the pip that installed last in it."""

    def rewrite(shell: str) -> str | None:
        found = [_INSTALLS["Python"].match(part) for part in (parts_of(shell) or [])[::2]]
        pips = [one[0] for one in found if one]
        if not names or not pips:
            return None
        pip = re.sub(rf"^{ENV}|(?<=pip) .*| install$", "", pips[-1])
        sure = "" if "uv " in pip else " -y"
        return ended_by(f"{pip} uninstall{sure} {' '.join(names)}")(shell)

    return rewrite


def all_of(*rewrites: Rewrite) -> Rewrite:
    """One after the other, leaving out what cannot be done."""

    def rewrite(shell: str) -> str | None:
        now = shell
        for one in rewrites:
            if now:
                new = one(now)
                now = now if new is None else new
        return None if now == shell else now

    return rewrite


def first_of(*rewrites: Rewrite) -> Rewrite:
    """The first that can be done."""

    def rewrite(shell: str) -> str | None:
        return next((new for one in rewrites if (new := one(shell)) is not None), None)

    return rewrite


def gone(shell: str) -> str:
    """The step goes."""
    del shell
    return ""


def diff(old: str, new: str) -> str:
    """Of two shell commands, as the Dockerfile's lines, one for each command."""
    lines = difflib.ndiff(_lines(old), _lines(new))
    return "\n".join(line.rstrip() for line in lines if not line.startswith("?"))


def _lines(shell: str) -> list[str]:
    if not shell:
        return []
    parts = parts_of(shell) or [shell]
    lines = [f"RUN {parts[0].strip()}"]
    for joint, part in zip(parts[1::2], parts[2::2], strict=True):
        if part.strip():
            lines.append(f"    {joint.strip()} {part.strip()}")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
