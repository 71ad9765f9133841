"""What a container touched of its image, and what it looked for in vain, from its system calls."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from lab.advice.recorder.interpreters import UnknownInterpreterError, interpreter
from lab.advice.recorder.links import Way, walk
from lab.advice.recorder.strace import Call, Trace, decoded

NOT_OF_THE_IMAGE: Final = (
    "/proc",
    "/sys",
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
)
"""What an engine mounts into every container."""

_STRING: Final = r'"((?:[^"\\]|\\.)*)"(\.\.\.)?'
_BASE: Final = r"(?:AT_FDCWD|\d+)(?:<((?:[^\\<>]|\\.)*)>)?(?:\(deleted\))?"
_AT: Final = re.compile(rf"({_BASE}), (?:{_STRING}|NULL)")
_PLAIN: Final = re.compile(_STRING)

_TWO: Final = frozenset({"link", "linkat", "rename", "renameat", "renameat2"})
_SECOND: Final = frozenset({"symlink", "symlinkat", "inotify_add_watch"})
"""Whose first string is no path that is looked up, or none relative to its descriptor."""
_NO_LOOK_UP: Final = frozenset(
    {"clone", "clone3", "fork", "vfork", "fchdir", "getcwd", "pivot_root", "mount", "umount2"}
    | {"umount", "quotactl", "io_uring_setup"}
)
_OPENING: Final = frozenset({"open", "openat", "openat2", "creat", "execve", "execveat"})
_RUNNING: Final = frozenset({"execve", "execveat"})
_OF_THE_NAME: Final = frozenset(
    {"lstat", "lstat64", "readlink", "readlinkat", "unlink", "unlinkat", "rmdir", "mkdir"}
    | {"mkdirat", "mknod", "mknodat", "lchown", "lchown32", "lgetxattr", "llistxattr"}
    | {"lsetxattr", "lremovexattr", "symlink", "symlinkat", "name_to_handle_at", *_TWO}
)
"""Which do not follow a link at the end of a path."""
_NOT_FOLLOWED: Final = re.compile(r"\b(?:AT_SYMLINK_NOFOLLOW|O_NOFOLLOW|O_EXCL)\b")
_MISSED: Final = frozenset({"ENOENT", "ENOTDIR"})
_NO_PATH: Final = frozenset({"EFAULT", "ENAMETOOLONG"})
_MOST_INTERPRETERS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A look-up of a path."""

    at_ns: int
    path: str
    """Absolute; links, ``.`` and ``..`` are still in it."""
    found: bool | None
    """None: not known, the process ended in the middle of it."""
    opened: bool = False
    executed: bool = False
    follow: bool = True
    resolved: str = ""
    """Of what was opened: its place as the kernel names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Touch:
    """What was done with a name of the image."""

    first_ns: int
    opened: bool


@dataclass(frozen=True, kw_only=True)
class Touched:
    """What a container did to the names of its image. Times are nanoseconds since the epoch."""

    names: Mapping[str, Touch]
    missed: Mapping[str, int]
    """Looked for in vain, and when first; by the place where it would be, links followed."""
    doubts: Sequence[str] = ()


@dataclass
class _Place:
    """Of processes that share it: where they are, and what they take for the root."""

    folder: str | None
    root: str = ""


@dataclass
class _Looks:
    found: list[Look] = field(default_factory=list)
    doubts: Counter[str] = field(default_factory=Counter)
    places: dict[int, _Place] = field(default_factory=dict)


def looks(trace: Trace) -> tuple[Sequence[Look], Sequence[str]]:
    """The look-ups of a trace in their order, and what could not be told of them, in words."""
    seen = _Looks()
    if trace.calls:
        seen.places[trace.calls[0].pid] = _Place("/")
    for call in trace.calls:
        _see(call, seen)
    counted = (f"{words} ({count} times)." for words, count in seen.doubts.items())
    return seen.found, [*trace.doubts, *counted]


def _see(call: Call, seen: _Looks) -> None:
    place = seen.places.setdefault(call.pid, _Place(None))
    if call.name == "io_uring_setup" and call.good:
        seen.doubts["A process uses io_uring, whose look-ups no trace shows"] += 1
    if call.child is not None:
        shared = "CLONE_FS" in call.arguments
        seen.places[call.child] = place if shared else _Place(place.folder, place.root)
    if call.name == "getcwd" and call.good and (told := _PLAIN.match(call.arguments)):
        place.folder = decoded(told[1])
    if call.name == "fchdir" and call.good and (into := re.fullmatch(_BASE, call.arguments)):
        place.folder = decoded(into[1] or "") or None
    if call.name in _NO_LOOK_UP or call.error in _NO_PATH:
        return
    paths = _paths(call, place, seen)
    seen.found += [_look(call, path) for path in paths]
    if call.good and paths and call.name == "chdir":
        place.folder = paths[0]
    if call.good and paths and call.name == "chroot":
        place.root = paths[0].rstrip("/")


def _look(call: Call, path: str) -> Look:
    opened = call.good and call.name in _OPENING and "O_PATH" not in call.arguments
    follow = call.name not in _OF_THE_NAME and not _NOT_FOLLOWED.search(call.arguments)
    return Look(
        at_ns=call.at_ns,
        path=path,
        # An error other than these says that something is there.
        found=None if call.value is None else call.error not in _MISSED,
        opened=opened,
        executed=opened and call.name in _RUNNING,
        follow=follow,
        resolved=call.path if call.good and call.name in _OPENING else "",
    )


def _paths(call: Call, place: _Place, seen: _Looks) -> list[str]:
    """The paths that a call looks up, absolute. What cannot be told is a doubt."""
    named = list[tuple[str | None, str, str]]()
    """Folder that it is relative to, the path, and whether that is cut off."""
    at = list(_AT.finditer(call.arguments))
    if at and call.name != "inotify_add_watch":
        for found in at:
            _, base, path, cut = found.groups()
            folder = decoded(base) if base is not None else None
            if found[1].startswith("AT_FDCWD"):
                place.folder = folder = folder or place.folder
            named.append((folder, decoded(path or ""), cut or ""))
    else:
        named = [
            (place.folder, decoded(found[1]), found[2] or "")
            for found in _PLAIN.finditer(call.arguments)
        ]
        if call.name == "symlink":
            named = named[1:]
    if call.name not in _TWO:
        named = named[:1]
    if not named:
        seen.doubts[f"The path of a call of {call.name} could not be read"] += 1
    return [path for one in named if (path := _absolute(call, place, one, seen)) is not None]


def _absolute(
    call: Call, place: _Place, named: tuple[str | None, str, str], seen: _Looks
) -> str | None:
    folder, path, cut = named
    if cut:
        seen.doubts[f"A path of {call.name} is cut off"] += 1
        return None
    if path.startswith("/"):
        return place.root + path
    if not path and "AT_EMPTY_PATH" not in call.arguments and "NULL" not in call.arguments:
        return None
    if folder is None:
        seen.doubts[f"A path of {call.name} is relative to a folder that is not known"] += 1
        return None
    if not folder.startswith("/"):  # a pipe, a socket, memory
        return None
    return f"{folder}/{path}" if path else folder


def touched(
    trace: Trace,
    *,
    names: Mapping[str, str],
    mounts: Iterable[str] = (),
    head: Callable[[str], bytes],
) -> Touched:
    """What a trace's processes touched of an image.

    ``names``: every name of the image, absolute; of a symbolic link with its target, of all else
    with an empty string. ``mounts``: what the container had in the place of it. ``head`` gives the
    first 4096 bytes of a file that was executed, for the interpreter that the kernel opened; empty
    where they are not known.
    """
    seen, doubts = looks(trace)
    notes = _Notes(names=names, mounts=(*NOT_OF_THE_IMAGE, *mounts), head=head)
    for look in sorted(seen, key=lambda one: one.at_ns):
        notes.take(look)
    return Touched(
        names=dict(sorted(notes.touched.items())),
        missed=dict(sorted(notes.missed.items())),
        doubts=[*doubts, *dict.fromkeys(notes.doubts)],
    )


class _Notes:
    """Look-ups, brought to the names of an image."""

    def __init__(
        self, *, names: Mapping[str, str], mounts: Sequence[str], head: Callable[[str], bytes]
    ) -> None:
        self.touched: dict[str, Touch] = {}
        self.missed: dict[str, int] = {}
        self.doubts: list[str] = []
        self._names = names
        self._mounts = tuple(mount.rstrip("/") for mount in mounts)
        self._below = tuple(f"{mount}/" for mount in self._mounts)
        self._head = head
        self._interpreters: dict[str, str | None] = {}
        links = {name: target for name, target in names.items() if target}

        @cache
        def way(path: str, follow: bool) -> Way:  # noqa: FBT001
            return walk(path, links, follow=follow)

        self._way = way

    def take(self, look: Look) -> None:
        way = self._way(look.path, look.follow)
        last = way.path
        if look.resolved.startswith("/"):
            # The kernel knows best: links may have been made or replaced since.
            last = self._way(look.resolved, True).path  # noqa: FBT003
        if look.found is False and last not in self._names:
            if not self._mounted(last):
                self.missed.setdefault(last, look.at_ns)
            return
        if look.executed and not last.startswith("/proc/"):
            # Whoever made or mounted the program: its interpreter may be the image's.
            self._interpreted(last, look.at_ns)
        if last not in self._names and not self._mounted(last):
            return  # made by the container itself
        for name in (*way.through, *_folders(last)):
            self._touch(name, look.at_ns)
        self._touch(last, look.at_ns, opened=look.opened)

    def _touch(self, name: str, at_ns: int, *, opened: bool = False) -> None:
        if name not in self._names or self._mounted(name):
            return
        known = self.touched.get(name)
        if known is None or (opened and not known.opened):
            first_ns = at_ns if known is None else known.first_ns
            self.touched[name] = Touch(first_ns=first_ns, opened=opened)

    def _mounted(self, name: str) -> bool:
        return name in self._mounts or name.startswith(self._below)

    def _interpreted(self, program: str, at_ns: int) -> None:
        """The interpreter that the kernel opened, and that one's."""
        for _ in range(_MOST_INTERPRETERS):
            if program not in self._interpreters:
                self._interpreters[program] = self._interpreter(program)
            named = self._interpreters[program]
            if named is None:
                return
            way = self._way(f"/{named}", True)  # noqa: FBT003
            for name in (*way.through, *_folders(way.path)):
                self._touch(name, at_ns)
            self._touch(way.path, at_ns, opened=True)
            program = way.path

    def _interpreter(self, program: str) -> str | None:
        head = self._head(program)
        try:
            found = interpreter(head)
        except UnknownInterpreterError as error:
            self.doubts.append(f"The interpreter of {program} is not known: {error}.")
            return None
        if not head:
            self.doubts.append(f"The interpreter of {program} is not known: it cannot be read.")
        elif found is not None and not found.startswith("/"):
            self.doubts.append(f"The interpreter of {program}, {found}, is a relative path.")
            return None
        return found


def _folders(path: str) -> Sequence[str]:
    """The folders above a path, the root not among them."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1)]
