"""What a container died of, or why it does not come up, from what it left: pure.

``lab.start.deaths`` is the table of what is usual; this looks things up in it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from lab.spec import MODEL_DIR
from lab.start import deaths, logtext
from lab.start.deaths import DEATHS, UsualDeath
from lab.start.logtext import SERIOUS, Block, Line, LogText

_LINE_CHARS: Final = 300
_LISTED: Final = 8
_ROOMY: Final = 2**30
_QUOTES: Final = str.maketrans("\u2018\u2019", "''")
_SIGNALLED: Final = 128
"""What a shell, and so an engine, adds to the number of a signal in an exit code."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What happened, and what helps."""

    kind: str
    """For programs, as the table names it: ``missing_module``."""
    what: str
    """A part of a sentence that names the real error: it stands behind a colon."""
    line: str
    """The line of the log that shows it; empty where none does."""
    cure: str
    """What to change, imperative."""

    @property
    def vague(self) -> bool:
        """Whether it names the error and knows no more of it."""
        return self.kind in deaths.VAGUE

    @property
    def words(self) -> str:
        """What happened, with the line that shows it."""
        return self.what if self.line in self.what else f"{self.what} ({self.line})"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a container beside its log."""

    model_files: Sequence[str] | None = None
    """Paths below ``/opt/ml/model``; empty where no model was given; None where unseen."""
    disk_free_bytes: int | None = None
    """Of the disk that containers write to."""
    head: Callable[[str], bytes] = lambda _: b""
    """The first bytes of a file in it; none where it cannot be read."""


_Hit: TypeAlias = tuple[UsualDeath, Mapping[str, str], str]
"""What it died of, what its sign named, and the line."""


def explain(
    log: str,
    *,
    exit_code: int | None = None,
    oom_killed: bool = False,
    refusal: str = "",
    known: Known | None = None,
) -> Explanation | None:
    """What a container died of: by its log, how it ended, what the engine said instead of a start.

    ``exit_code`` None is one that runs on: None is returned where nothing shows an error.
    """
    known = known or Known()
    text = logtext.read(log)
    if oom_killed:
        return _filled((deaths.KERNEL_OOM, {}, ""), known)
    hit = _match([refusal], DEATHS)
    if hit is not None:
        return _filled((hit[0], hit[1], ""), known)
    alive = exit_code is None
    signal = _signal(exit_code)
    crash = next((row for row in DEATHS if signal in row.signals and not row.weak), None)
    strong = [row for row in DEATHS if not row.weak]
    hit = _in_block(text, strong) or _in_loose(text, strong, alive=alive)
    if hit is None and crash is not None:
        hit = crash, {}, ""
    hit = hit or _exception(text) or _in_loose(text, DEATHS, alive=alive)
    if hit is None and not alive:
        hit = _by_its_end(text, signal, exit_code)
    return None if hit is None else _filled(hit, known)


def excerpt(log: str, explanation: Explanation | None = None) -> str:
    """What to show of a log: what looks like the error first, then the last lines.

    Without the lab's own requests. Where there is no traceback, the line of the explanation is the
    error.
    """
    return logtext.excerpt(log, first="" if explanation is None else explanation.line)


def _signal(exit_code: int | None) -> int | None:
    if exit_code is None:
        return None
    return -exit_code if exit_code < 0 else exit_code - _SIGNALLED


def _in_block(text: LogText, rows: Iterable[UsualDeath]) -> _Hit | None:
    """By the error that ended it: by what names it rather than by the rest of its lines."""
    block = text.decisive
    if block is None:
        return None
    rows = list(rows)
    whole = "\n".join(block.lines)
    found = _match(block.headlines, rows, whole=whole)
    # Of the rest what stands first: what follows are an error's own fields.
    return found or _match([line.strip() for line in reversed(block.lines)], rows, whole=whole)


def _in_loose(text: LogText, rows: Iterable[UsualDeath], *, alive: bool) -> _Hit | None:
    """By the lines that belong to no traceback; a warning only where there is nothing else.

    What stands before an error that is told at length did not end it. Of one that lives, only what
    calls itself an error counts.
    """
    rows = list(rows)
    block = text.decisive
    since = max(text.answered_at, -1 if block is None else block.begin)
    lines = [line for line in text.loose if line.at > since]
    grave = [line for line in lines if not line.mild and (not alive or SERIOUS.search(line.text))]
    found = _last_match(grave, rows)
    if found is not None or alive or block is not None:
        return found
    return _last_match(lines, rows)


def _last_match(lines: Sequence[Line], rows: Sequence[UsualDeath]) -> _Hit | None:
    whole = "\n".join(line.text for line in lines)
    for line in reversed(lines):
        found = _match([line.text.strip()], rows, whole=whole)
        if found is not None:
            return found
    return None


def _match(lines: Sequence[str], rows: Iterable[UsualDeath], *, whole: str = "") -> _Hit | None:
    """The first row of which a sign is found, with the last line that shows it."""
    for row in rows:
        if row.within and not re.search(row.within, whole):
            continue
        for line in reversed(lines):
            for sign in row.signs:
                found = re.search(sign, line.translate(_QUOTES))
                if found is not None:
                    return row, _groups(found), line
    return None


def _groups(found: re.Match[str]) -> Mapping[str, str]:
    return {name: value for name, value in found.groupdict().items() if value is not None}


def _exception(text: LogText) -> _Hit | None:
    block = text.decisive
    return None if block is None else (deaths.EXCEPTION, {}, block.headline)


def _by_its_end(text: LogText, signal: int | None, exit_code: int | None) -> _Hit:
    """By the exit code alone, else by the last line that says something."""
    for row in DEATHS:
        if signal in row.signals or exit_code in row.codes:
            return row, {}, ""
    aftermath: Block | None = text.blocks[-1] if text.blocks else None
    own = [line for line in text.loose if not line.asked]
    grave = [line for line in own if SERIOUS.search(line.text) and not line.mild]
    if not text.loose and aftermath is None:
        return (deaths.ENDED if exit_code == 0 else deaths.SILENT), {}, ""
    if exit_code == 0 and not grave and aftermath is None:
        return deaths.ENDED, {}, ""
    if grave:
        return deaths.ERROR_LINE, {}, grave[-1].text.strip()
    last = own or list(text.loose)
    line = last[-1].text.strip() if last else aftermath.headline if aftermath else ""
    return deaths.UNKNOWN, {}, line


def _filled(hit: _Hit, known: Known) -> Explanation:
    """The words of a hit, with what is known of the container."""
    row, named, line = hit
    row, named = _sharpened(row, dict(named), known)
    line = line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 3]}..."
    values = defaultdict(str, named)
    values["line"] = line
    if "path" in named:
        values["file"] = PurePosixPath(named["path"]).name
    if "name" in named:
        values["lower"] = named["name"].lower()
        values["package"] = _package(named["name"])
    if "lib" in named:
        values["debian"] = _debian(named["lib"])
    return Explanation(
        kind=row.kind,
        what=row.what.format_map(values),
        line=line,
        cure=row.cure.format_map(values),
    )


def _sharpened(
    row: UsualDeath, named: dict[str, str], known: Known
) -> tuple[UsualDeath, dict[str, str]]:
    """The row that fits better still, from what is known beside the log."""
    if row in {deaths.CRLF, deaths.UNSEEN_INTERPRETER}:
        named.setdefault("path", "serve")
    if row is deaths.UNSEEN_INTERPRETER:
        return _interpreter(row, named, known.head(named["path"]))
    if row is deaths.MODEL_FILE:
        return _model_file(row, named, known.model_files)
    roomy = known.disk_free_bytes is not None and known.disk_free_bytes > _ROOMY
    return (deaths.SHM_LIKELY if row is deaths.SPACE and roomy else row), named


def _interpreter(
    row: UsualDeath, named: dict[str, str], head: bytes
) -> tuple[UsualDeath, dict[str, str]]:
    first = head.partition(b"\n")[0]
    if head.startswith(b"\x7fELF"):
        return deaths.NO_LOADER, named
    if not first.startswith(b"#!"):
        return row, named
    if first.endswith(b"\r"):
        return deaths.CRLF, named
    words = first[2:].decode(errors="replace").split()
    return deaths.NO_INTERPRETER, named | {"interpreter": words[0] if words else "(none)"}


def _model_file(
    row: UsualDeath, named: dict[str, str], files: Sequence[str] | None
) -> tuple[UsualDeath, dict[str, str]]:
    """Whether the file is one folder down, or else what the folder holds."""
    if files is None:
        return row, named | {"listing": "what the folder holds cannot be seen from here"}
    if not files:
        return deaths.NO_MODEL, named
    wanted = PurePosixPath(named["path"]).relative_to(MODEL_DIR)
    for one in files:
        path = PurePosixPath(one)
        if len(path.parts) > 1 and wanted.parts and PurePosixPath(*path.parts[1:]) == wanted:
            found = f"{MODEL_DIR}/{path}"
            return deaths.ARCHIVE_DEPTH, named | {"found": found, "folder": path.parts[0]}
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    listing = f"{MODEL_DIR} holds {', '.join(files[:_LISTED])}{more}"
    return row, named | {"listing": listing}


def _package(module: str) -> str:
    return deaths.PACKAGES.get(module) or deaths.PACKAGES.get(
        module.partition(".")[0], module.partition(".")[0]
    )


def _debian(library: str) -> str:
    package = deaths.LIBRARIES.get(library.partition(".so")[0])
    if package is None:
        return (
            f"Install the package that has it (packages.debian.org finds {library} in the "
            "contents of packages)."
        )
    return (
        f"Install Debian's {package} (`RUN apt-get update && apt-get install -y "
        f"--no-install-recommends {package} && rm -rf /var/lib/apt/lists/*`)."
    )
