"""What ``strace`` wrote, taken apart: whole calls of the container's processes, in their order.

Input is the file of ``strace -f -ttt -y -o FILE runc create ...``. In front of the container's own
calls stand those of ``runc``, which makes its name spaces, turns into its process 1 by ``execve``
and waits just before that for the order to start. By then the rest of ``runc`` is done, so that all
that appears later is the container's. Nothing is guessed: what is cut off, lost or cannot be read
is a doubt, in words.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

_LINE: Final = re.compile(r"(\d+) +(\d+)\.(\d{6}) (.*)")
_WHOLE: Final = re.compile(r"(\w+)\((.*)\) += (.+)", re.DOTALL)
_BEGUN: Final = re.compile(r"(\w+)\((.*?) ?<(?:unfinished|pid changed to (\d+)) \.\.\.>(.*)")
_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_GONE: Final = re.compile(r"\+\+\+ (?:exited|killed)\b.*")
_REMARK: Final = re.compile(r"\[ .*|--- .*|\+\+\+ .*")
_OF_DESCRIPTOR: Final = r"(?:<((?:[^\\<>]|\\.)*)>(?:\(deleted\))?)?"
_RESULT: Final = re.compile(rf"(\?|-?\d+|0x[0-9a-f]+){_OF_DESCRIPTOR}(?: (E[A-Z0-9]+)\b)?(.*)")
_TRANSLATED: Final = re.compile(r"/\* (\d+) in strace's PID NS \*/")
_ESCAPED: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_NAMED: Final = {"n": b"\n", "t": b"\t", "r": b"\r", "v": b"\v", "f": b"\f", "a": b"\a", "b": b"\b"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A system call, from its two lines where there are two. Its place is where it began."""

    pid: int
    """As the machine numbers it."""
    at_ns: int
    """When it began; nanoseconds since the epoch."""
    name: str
    arguments: str
    """As they are written."""
    value: int | None
    """What it returned; None of one that never did."""
    error: str = ""
    """``ENOENT``, ...; empty of one that succeeded, or never returned."""
    path: str = ""
    """Of the descriptor that it returned: as the kernel names it, without links."""
    child: int | None = None
    """Of a clone: the new process as the machine numbers it, where that is known."""

    @property
    def good(self) -> bool:
        return self.value is not None and not self.error


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The container's calls, from the moment when its file system had become the root."""

    calls: Sequence[Call]
    doubts: Sequence[str] = ()
    found: bool = True
    """Whether the container's process 1 was found at all."""


@dataclass(kw_only=True)
class _Lines:
    """Every call of a trace, runc's among them, and at which of them which process was gone."""

    calls: list[Call] = field(default_factory=list)
    gone: list[tuple[int, int]] = field(default_factory=list)
    """Process, and how many calls had begun."""
    unread: int = 0
    torn: bool = False
    lost: int = 0
    """Calls whose first line is missing, or whose end is, of a process that went on."""


def decoded(text: str) -> str:
    """A string as ``strace`` escapes it; bytes that are no UTF-8 as ``os.fsdecode`` has them."""
    if "\\" not in text:
        return text
    out = bytearray()
    end = 0
    for found in _ESCAPED.finditer(text):
        out += text[end : found.start()].encode("latin-1", "replace")
        what = found[1]
        if what[0] == "x" and len(what) > 1:
            out.append(int(what[1:], 16))
        elif what[0] in "01234567":
            out.append(int(what, 8) & 0xFF)
        else:
            out += _NAMED.get(what, what.encode("latin-1", "replace"))
        end = found.end()
    out += text[end:].encode("latin-1", "replace")
    return os.fsdecode(bytes(out))


def read_trace(text: bytes) -> Trace:
    """The container's calls in a trace of ``runc create``."""
    lines = _read(text)
    doubts = list(_doubts(lines))
    root = max(
        (at for at, call in enumerate(lines.calls) if call.name == "pivot_root" and call.good),
        default=None,
    )
    if root is None:
        return Trace(calls=(), doubts=(*doubts, _NO_ROOT), found=False)
    init = lines.calls[root].pid
    begin = next(
        (
            at
            for at, call in enumerate(lines.calls[root:], root)
            if call.pid == init and call.name in ("execve", "execveat") and call.good
        ),
        None,
    )
    if begin is None:
        return Trace(calls=(), doubts=(*doubts, _NO_START), found=False)
    if not any(pid == init and at > begin for pid, at in lines.gone):
        doubts.append("The trace ends while the container was running.")
    # What runc itself looks up in the image belongs to every start: the user, the working folder.
    calls = [call for call in lines.calls[root + 1 : begin] if call.pid == init]
    return Trace(calls=calls + _containers(lines, init, begin), doubts=doubts)


_NO_ROOT: Final = "The trace does not show how the container's file system became its root."
_NO_START: Final = "The trace does not show the container's first program."


def _containers(lines: _Lines, init: int, begin: int) -> list[Call]:
    """Those of process 1 from its first program on, and of all that came up after that."""
    runc = {call.pid for call in lines.calls[:begin]} - {init}
    runc -= {pid for pid, at in lines.gone if at <= begin}
    later = iter(sorted((at, pid) for pid, at in lines.gone if at > begin))
    gone = next(later, None)
    found = list[Call]()
    for at, call in enumerate(lines.calls[begin:], begin):
        while gone is not None and gone[0] <= at:
            # From here on the number is another process's.
            runc.discard(gone[1])
            gone = next(later, None)
        if call.pid not in runc:
            found.append(call)
    return found


def _doubts(lines: _Lines) -> Iterator[str]:
    if lines.torn:
        yield "The trace ends in the middle of a line."
    if lines.unread:
        yield f"{lines.unread} lines of the trace could not be read."
    if lines.lost:
        yield f"Of {lines.lost} calls the trace has only one half."


def _read(text: bytes) -> _Lines:
    body, _, rest = text.rpartition(b"\n")
    reader = _Reader()
    # Not ``splitlines``: that breaks lines at more than line ends.
    for line in body.decode("latin-1").split("\n"):
        reader.take(line)
    return reader.end(torn=bool(rest))


class _Reader:
    """Puts calls together from their lines."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._slots: list[Call | None] = []
        """A place for each call that began."""
        self._begun: dict[int, tuple[int, int, str]] = {}
        """Of each process in the middle of a call: its place, its time, what is written of it."""
        self._gone: list[tuple[int, int]] = []

    def take(self, line: str) -> None:
        parts = _LINE.fullmatch(line)
        if parts is None:
            self._lines.unread += bool(line)
            return
        pid, what = int(parts[1]), parts[4]
        at_ns = int(parts[2]) * 1_000_000_000 + int(parts[3]) * 1_000
        if what.startswith("<...") and (resumed := _RESUMED.fullmatch(what)):
            self._resumed(pid, resumed[2])
        elif " ...>" in what and (begun := _BEGUN.fullmatch(what)):
            self._begins(pid, at_ns, begun)
        elif what.startswith("+++") and _GONE.fullmatch(what):
            self._gone.append((pid, len(self._slots)))
            self._never_returns(pid)
        elif whole := _call(pid, at_ns, what):
            self._lines.lost += self._begun.pop(pid, None) is not None
            self._slots.append(whole)
        elif _REMARK.fullmatch(what) is None:
            self._lines.unread += 1

    def _begins(self, pid: int, at_ns: int, begun: re.Match[str]) -> None:
        name, arguments, changed_to, end = begun.groups()
        self._lines.lost += pid in self._begun
        if end:  # ``) = ?``: it never returned
            self._slots.append(_call(pid, at_ns, f"{name}({arguments}{end}"))
            return
        # An execve of another thread goes on under the number of the process.
        self._begun[int(changed_to or pid)] = (len(self._slots), at_ns, f"{name}({arguments}")
        self._slots.append(None)

    def _resumed(self, pid: int, rest: str) -> None:
        if pid not in self._begun:
            self._lines.lost += 1
            return
        place, at_ns, first = self._begun.pop(pid)
        self._slots[place] = _call(pid, at_ns, first + rest)
        self._lines.unread += self._slots[place] is None

    def _never_returns(self, pid: int) -> None:
        if pid in self._begun:
            place, at_ns, first = self._begun.pop(pid)
            self._slots[place] = _call(pid, at_ns, f"{first}) = ?")

    def end(self, *, torn: bool) -> _Lines:
        """What is still under way ended with the trace."""
        for pid in list(self._begun):
            self._never_returns(pid)
        lines = self._lines
        lines.torn = torn
        before = [0, *accumulate(call is not None for call in self._slots)]
        lines.calls = [call for call in self._slots if call is not None]
        lines.gone = [(pid, before[at]) for pid, at in self._gone]
        return lines


def _call(pid: int, at_ns: int, text: str) -> Call | None:
    whole = _WHOLE.fullmatch(text)
    result = None if whole is None else _RESULT.fullmatch(whole[3])
    if whole is None or result is None:
        return None
    value, path, error, rest = result.groups()
    child = _TRANSLATED.search(rest) if rest else None
    return Call(
        pid=pid,
        at_ns=at_ns,
        name=whole[1],
        arguments=whole[2],
        value=None if value == "?" else int(value, 0),
        error=error or "",
        path=decoded(path or ""),
        child=int(child[1]) if child else None,
    )
