"""A container's log, read: the lab's own requests out of it, what is one error held together.

Pure: text in, lines and blocks out.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

DIVIDER: Final = "--- its last lines:"
TAIL_LINES: Final = 20
BLOCK_LINES: Final = 40
_LINE_CHARS: Final = 500
_REPEATS: Final = 3
"""Errors alike but for their figures are said once when there are more."""

_METHOD: Final = r"(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH)"
_PATH: Final = r"/(?:ping|startup|invocations|execution-parameters|models)\b[^\s\"',]*"
_STATUS: Final = r"(?P<status>[1-5]\d\d)\b"
_REQUESTS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # NGINX, Apache, Gunicorn, Uvicorn, Werkzeug, http.server, Hypercorn, aiohttp, morgan, Ray,
        # Tomcat, Jetty, Multi Model Server, TorchServe, DJL
        (
            rf"\b{_METHOD}\s+\"?{_PATH}\"?(?:\s+(?:HTTP/)?\d(?:\.\d)?)?\"?(?:\s+-+>?|:)?\s+"
            rf"(?:{_STATUS}|OK\b)"
        ),
        rf"(?:^|[\s:|]){_STATUS}\b.{{0,60}}[\s|]{_METHOD}\s+\"?{_PATH}\"?(?:\s|$)",  # Tornado, Gin
        rf"\bmethod={_METHOD},\s*path={_PATH}.*?(?:status=)?{_STATUS}",  # BentoML
        rf"\b{_METHOD} \"{_PATH}\", parameters=",  # Spring
        rf'^\{{.*"(?:url|uri|path|request_uri|request_path)":\s*"{_PATH}"',  # pino, JSON logs
        r'^\{.*"msg":\s*"request completed"',
        r"^\S+ - - \[[^]]+\] code \d+, message ",  # http.server, before its own
    )
)
_BLAMED: Final = re.compile(r"\[(?:error|crit|alert|emerg)\]")
"""NGINX's error log names the request, too: that is no access line."""

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):")
_GROUP: Final = re.compile(r"^\s*\+ Exception Group ")
_BAR: Final = re.compile(r"^\s*[|+](?:-[-+ \d]*| ?)")
_FRAME: Final = re.compile(r'^\s*File ".+", line \d+')
_CHAIN: Final = re.compile(
    r"^(?:During handling of the above exception|The above exception was the direct cause)"
)
_AT: Final = re.compile(
    r"^\s+(?:at \S|\.\.\. \d+ (?:more|common frames)|(?:Caused by|Suppressed): )|^Caused by: "
    r"|^Emitted '"
)
_NAMES_ERROR: Final = re.compile(r"(?:Error|Exception|Throwable)\b")
_R_ERROR: Final = re.compile(r"^Error(?: in .+)?\s?:")
_R_END: Final = "Execution halted"
_PANIC: Final = re.compile(r"^(?:panic|fatal error): |^thread '.*' panicked at |^terminate called ")
_PANIC_BODY: Final = re.compile(
    r"^(?:\s|$|goroutine |created by |exit status |note: |\S+\(.*\)$|\[signal )"
)
_RUBY_FROM: Final = re.compile(r"^\s+from \S+:\d+")
_BACK: Final = 15
"""So many lines stand between the name of an error and the first frame of its stack at most."""

_AFTERMATH: Final = re.compile(
    r"^(?:SystemExit|KeyboardInterrupt|GeneratorExit|(?:asyncio\.(?:exceptions\.)?)?CancelledError"
    r"|(?:.*\]\s|java\.lang\.)InterruptedException|BrokenPipeError|ConnectionResetError"
    r"|(?:gunicorn\.errors\.)?HaltServer"
    r"|(?:subprocess\.)?CalledProcessError|.*\bWorkerLaunchException"
    r"|(?:\w+\.)*\w*(?:Error|Exception): .*\b[Ww]orkers?\b.*\b(?:failed to|died|exited|crashed)\b"
    r"|.*[Ss]ee (?:the )?(?:root cause|stack trace|error)s? above)"
)
"""Exceptions that follow from a death rather than bring it."""

_ASIDE: Final = re.compile(r"^Exception (?:ignored|(?:occurred|happened) during processing of)")
"""What stands above an exception that ends nothing: Python's, of a request or at the very end."""

SERIOUS: Final = re.compile(
    r"\b(?:error|err|fatal|critical|crit|emerg|severe|panic|abort(?:ed)?)\b|"
    r"(?:Error|Exception)\b|\b[Ff]ailed\b|\bcannot\b|\bcan't\b|\b[Dd]ied\b",
    re.IGNORECASE,
)
_MILD: Final = re.compile(
    r"\b(?:warn(?:ing)?|info|debug|notice)\b|Warning:|^[IW]\d{4} ", re.IGNORECASE
)


@dataclass(frozen=True)
class Line:
    """A line that is none of the lab's requests, and its place in the log."""

    at: int
    text: str

    @cached_property
    def mild(self) -> bool:
        """Whether it calls itself a warning or less."""
        return bool(_MILD.search(self.text))

    @property
    def asked(self) -> bool:
        """Whether it is about one of the lab's requests, as NGINX's ``upstream`` errors are."""
        return bool(re.search(rf"\b{_METHOD}\s+\"?{_PATH}", self.text))


@dataclass(frozen=True)
class Block:
    """One error with its stack: a traceback with what it was raised from, a stack, a panic."""

    begin: int
    end: int
    lines: Sequence[str]
    above: str = ""
    """The line before it."""

    @property
    def headlines(self) -> Sequence[str]:
        """What names the errors in it: what is not indented."""
        return [
            line.strip()
            for line in self.lines
            if line.strip()
            and (not line[0].isspace() or line.lstrip().startswith("Caused by"))
            and not _TRACEBACK.search(line)
            and not _CHAIN.search(line)
            and not line.startswith(("Require stack", "- ", "Calls:", "goroutine ", _R_END, "}"))
        ]

    @property
    def headline(self) -> str:
        """What names the error that was not caught."""
        heads = self.headlines
        if not heads:
            return ""
        raised = _TRACEBACK.search(self.lines[0]) or _FRAME.search(self.lines[0])
        return heads[-1] if raised else heads[0]

    @property
    def aftermath(self) -> bool:
        """Whether it only follows from something else."""
        aside = _ASIDE.match(self.above)
        return bool(aside or _AFTERMATH.match(self.headline)) or not self.headlines

    @property
    def shape(self) -> str:
        """The same for the same error of another process."""
        return _shape("\n".join(self.lines))


@dataclass(frozen=True)
class LogText:
    """A log without the lab's own requests."""

    blocks: Sequence[Block]
    loose: Sequence[Line]
    """What is in no block."""
    answered_at: int = -1
    """Where the last of the lab's requests stands that was answered 2xx: what was logged before
    did not keep it from that."""

    @property
    def decisive(self) -> Block | None:
        """The error that ended it, or keeps it from working: the last that is no aftermath."""
        for block in reversed(self.blocks):
            if block.end > self.answered_at and not block.aftermath:
                return block
        return None


def read(log: str) -> LogText:
    """Take a log apart."""
    lines: list[Line] = []
    answered_at = -1
    for at, raw in enumerate(log.split("\n")):
        text = _clean(raw)
        asked = None if _BLAMED.search(text) else _request(text)
        if asked is None:
            lines.append(Line(at, text))
        elif (asked.groupdict().get("status") or "").startswith("2"):
            answered_at = at
    blocks = list(_blocks(lines))
    held = {at for block in blocks for at in range(block.begin, block.end + 1)}
    # Of a block whose lines carry a prefix, foreign lines may stand between.
    loose = [line for line in lines if line.text.strip() and line.at not in held]
    return LogText(blocks=blocks, loose=loose, answered_at=answered_at)


def excerpt(log: str, *, first: str = "") -> str:
    """What to show of a log: what looks like the error first, then its last lines.

    Without the lab's own requests; an error that respawned processes repeat is said once.
    ``first`` is a line that is to come first where there is no traceback or the like.
    """
    text = read(log)
    block = text.decisive
    if block is None and not first:
        block = next((one for one in reversed(text.blocks)), None)
    head = [] if block is None else _trimmed(block)
    if block is not None:
        times = sum(one.shape == block.shape for one in text.blocks)
        head += [f"(the same {times} times)"] if times > 1 else []
    elif first:
        head = [first]
    tail = _tail(text.loose, without=set(head))
    if not head or not tail:
        return "\n".join(head or tail)
    return "\n".join([*head, DIVIDER, *tail])


def _tail(loose: Sequence[Line], *, without: set[str]) -> list[str]:
    many = Counter(_shape(line.text) for line in loose)
    found: list[str] = []
    said: set[str] = set()
    for line in reversed(loose):
        shape = _shape(line.text)
        text = _short(line.text)
        if line.text.strip() in without or shape in said:
            continue
        if many[shape] > _REPEATS and (line.asked or SERIOUS.search(text)):
            said.add(shape)
            text += f" ({many[shape]} times)"
        found.insert(0, text)
        if len(found) == TAIL_LINES:
            break
    return found


def _trimmed(block: Block) -> list[str]:
    lines = [_short(line) for line in block.lines]
    if len(lines) <= BLOCK_LINES:
        return lines
    # A traceback says what it is about at its end, a stack at its beginning.
    first = 4 if _TRACEBACK.search(lines[0]) else BLOCK_LINES - 8
    last = BLOCK_LINES - first
    return [*lines[:first], f"({len(lines) - BLOCK_LINES} lines left out)", *lines[-last:]]


def _short(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 3]}..."


def _shape(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+|\d+", "0", text.strip())


def _clean(raw: str) -> str:
    text = _ANSI.sub("", raw.rstrip("\r"))
    # A carriage return in the midst is either part of a name, and to be seen, or a progress bar's.
    text = re.sub(r"\r(?=['\":])", r"\\r", text)
    return text.rpartition("\r")[2]


def _request(text: str) -> re.Match[str] | None:
    for pattern in _REQUESTS:
        found = pattern.search(text)
        if found is not None:
            return found
    return None


def _blocks(lines: Sequence[Line]) -> Iterator[Block]:
    at, free = 0, 0
    while at < len(lines):
        text = lines[at].text
        block: tuple[int, int, list[str]] | None = None
        if _GROUP.match(text):
            block = _group(lines, at)
        elif _TRACEBACK.search(text) or _FRAME.match(text):
            block = _python(lines, at)
        elif _AT.match(text) or _RUBY_FROM.match(text):
            block = _stack(lines, at, free)
        elif _R_ERROR.match(text):
            block = _r(lines, at)
        elif _PANIC.match(text):
            block = _panic(lines, at)
        if block is None:
            at += 1
            continue
        begin, end, held = block
        above = lines[begin - 1].text if begin else ""
        yield Block(lines[begin].at, lines[end].at, held, above)
        at = free = end + 1


def _python(lines: Sequence[Line], begin: int) -> tuple[int, int, list[str]]:
    """A traceback, whatever stands before each of its lines, with those it was chained to."""
    found = _TRACEBACK.search(lines[begin].text)
    width = 0 if found is None else found.start()
    held = [lines[begin].text[width:]]
    end, raised = begin, False
    for at, body in _same_source(lines, begin, width):
        if not body.strip():
            if raised and not _chained(lines, at, width):
                break
            held.append("")
            continue
        chained = bool(_CHAIN.match(body))
        named = not body[0].isspace() and not chained
        if raised and named:
            break
        raised = (raised and not chained) or (named and not _TRACEBACK.match(body))
        held.append(body)
        end = at
    while not held[-1].strip():
        held.pop()
    return begin, end, held


def _group(lines: Sequence[Line], begin: int) -> tuple[int, int, list[str]]:
    """An exception group, without the bars at its left."""
    end = begin
    while end + 1 < len(lines) and _BAR.match(lines[end + 1].text):
        end += 1
    return begin, end, [_BAR.sub("", line.text) for line in lines[begin : end + 1]]


def _same_source(lines: Sequence[Line], begin: int, width: int) -> Iterator[tuple[int, str]]:
    """What follows without the prefix of the first line: of a logger's lines those that carry the
    like.
    """
    like = _shape(lines[begin].text[:width])
    last = begin
    for at in range(begin + 1, len(lines)):
        text = lines[at].text
        if _shape(text[:width]) == like:
            last = at
            yield at, text[width:]
        elif at - last > _BACK:
            return


def _chained(lines: Sequence[Line], at: int, width: int) -> bool:
    following = (line.text[width:] for line in lines[at + 1 : at + 4])
    return any(_CHAIN.match(text) for text in following)


def _stack(lines: Sequence[Line], at: int, free: int) -> tuple[int, int, list[str]]:
    """Java's, Node's or Ruby's frames with the line above them that names the error."""
    begin = max(free, at - 1)
    for above in range(at - 1, max(free, at - _BACK) - 1, -1):
        if not lines[above].text.strip():
            break
        if _NAMES_ERROR.search(lines[above].text):
            begin = above
            break
    end = at
    while end + 1 < len(lines):
        after = lines[end + 1].text
        if not (_AT.match(after) or _RUBY_FROM.match(after)):
            break
        end += 1
    if lines[end].text.rstrip().endswith("{"):  # Node shows the error's own fields
        closing = range(end + 1, min(end + _BACK, len(lines)))
        end = next((one for one in closing if lines[one].text.startswith("}")), end)
    return begin, end, [line.text for line in lines[begin : end + 1]]


def _r(lines: Sequence[Line], begin: int) -> tuple[int, int, list[str]] | None:
    for end in range(begin, min(begin + _BACK, len(lines))):
        if lines[end].text.strip() == _R_END:
            return begin, end, [line.text for line in lines[begin : end + 1]]
    return None


def _panic(lines: Sequence[Line], begin: int) -> tuple[int, int, list[str]]:
    end = begin
    if lines[begin].text.startswith("thread ") and begin + 1 < len(lines):
        end += 1  # what Rust says stands on a line of its own
    while end + 1 < len(lines) and _PANIC_BODY.match(lines[end + 1].text):
        end += 1
    return begin, end, [line.text for line in lines[begin : end + 1]]
