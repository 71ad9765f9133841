"""Seconds that Python spends on importing each package: a start with ``-X importtime``, apart from
all timed ones.

The switch goes by the environment, so it reaches whatever the entry point starts: Gunicorn's
workers, Uvicorn's, a program behind NGINX. An interpreter that ignores its environment (``-E``,
``-I``) says nothing.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lab.advice.contents import Contents, EntryKind
from lab.engine.api import ContainerSpec, Engine
from lab.images.layers.packages import Package
from lab.start.serving import Served, serving

VARIABLE: Final = "PYTHONPROFILEIMPORTTIME"
NO_FILE: Final[Package] = ("", "modules without a file")
"""Whose a module is that no file of the image stands for."""
_LINES: Final = 200_000
_LINE: Final = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)")
_ROOT: Final = re.compile(r"(?P<site>.*/(?:site|dist)-packages)|.*/lib/python3(?:\.\d+)?t?")
_DYNLOAD: Final = "/lib-dynload"
_MODULE: Final = re.compile(r"(?P<stem>.+?)(?:\.(?:cpython-|abi3)[^/]*)?\.(?:py|pyc|so)")
_MICRO: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ModuleTime:
    """A module's import, in microseconds; of several processes the slowest's."""

    name: str
    self_us: int
    cumulative_us: int
    """With all that it brought with it."""


@dataclass(frozen=True, kw_only=True)
class ImportTime:
    """Of a package's modules."""

    self_s: float
    """Of them alone: over all packages these add up."""
    cumulative_s: float
    """Of the one of them that took longest, with all that it brought; ``self_s`` where that is
    more. What is saved without the package lies between the two, unless others bring the same."""
    modules: int


def parse(log: str) -> Mapping[str, ModuleTime]:
    """By module, in the order in which their imports ended.

    Workers import the same side by side: of a module that occurs more than once the longest counts.
    """
    found: dict[str, ModuleTime] = {}
    for own, cumulative, name in _LINE.findall(log):
        before = found.get(name)
        found[name] = ModuleTime(
            name=name,
            self_us=max(int(own), before.self_us if before else 0),
            cumulative_us=max(int(cumulative), before.cumulative_us if before else 0),
        )
    return found


def by_package(modules: Iterable[ModuleTime], contents: Contents) -> Mapping[Package, ImportTime]:
    """The same by package, the slowest first."""
    owners = _ModuleOwners(contents)
    found: defaultdict[Package, list[ModuleTime]] = defaultdict(list)
    for one in modules:
        found[owners.of(one.name)].append(one)
    times = {
        package: ImportTime(
            self_s=_together(those) / _MICRO,
            cumulative_s=max(_together(those), *(one.cumulative_us for one in those)) / _MICRO,
            modules=len(those),
        )
        for package, those in found.items()
    }
    return dict(sorted(times.items(), key=lambda item: (-item[1].self_s, item[0])))


def _together(modules: Iterable[ModuleTime]) -> int:
    return sum(one.self_us for one in modules)


def import_times(
    engine: Engine,
    spec: ContainerSpec,
    contents: Contents,
    *,
    within_s: float,
    first_request: tuple[bytes, str] | None = None,
) -> Mapping[Package, ImportTime] | None:
    """Start a container and see what it imports until it is ready, and for its first request (body
    and content type); None where no Python told of any.

    ``spec``'s labels must be this container's alone. Raises ``ContainerFailedError``.
    """
    watched = replace(spec, env={**spec.env, VARIABLE: "1"})
    with serving(engine, watched, within_s=within_s) as served:
        if first_request is not None:
            _ask(served, *first_request, within_s)
        modules = parse(served.container.logs(tail=_LINES))
    return by_package(modules.values(), contents) if modules else None


def _ask(served: Served, body: bytes, content_type: str, within_s: float) -> None:
    served.invoke(body, content_type, accept="*/*", name="the first request", timeout_s=within_s)


@dataclass
class _ModuleOwners:
    """Whose a module is, by the file that an import of it finds."""

    contents: Contents
    _found: dict[str, tuple[int, Package]] = field(default_factory=dict)
    """By module: how late its folder is searched, and whose it is."""

    def __post_init__(self) -> None:
        first = list(_first_searched(self.contents.config))
        for path, entry in self.contents.entries.items():
            if entry.kind in {EntryKind.FILE, EntryKind.LINK}:
                found = _module(path, first)
                if found is not None:
                    name, rank = found
                    if name not in self._found or rank < self._found[name][0]:
                        self._found[name] = rank, entry.package

    def of(self, module: str) -> Package:
        """One that was made at run time is its parent's; a built-in one the standard library's."""
        built_in = module.partition(".")[0] in sys.stdlib_module_names
        while module not in self._found and "." in module:
            module = module.rpartition(".")[0]
        rank_owner = self._found.get(module) or (self._found.get("os") if built_in else None)
        return rank_owner[1] if rank_owner else NO_FILE


def _first_searched(config: Mapping[str, object]) -> Iterator[str]:
    """Folders that are searched before Python's own: the program's, PYTHONPATH, the working one."""
    said = config.get("config")
    said = said if isinstance(said, dict) else {}
    for argument in [*(said.get("Entrypoint") or ()), *(said.get("Cmd") or ())]:
        if str(argument).startswith("/") and "/bin/" not in str(argument):
            yield str(argument).rpartition("/")[0]
    for pair in said.get("Env") or ():
        name, _, value = str(pair).partition("=")
        if name == "PYTHONPATH":
            yield from (one.rstrip("/") for one in value.split(":") if one.startswith("/"))
    if said.get("WorkingDir"):
        yield str(said["WorkingDir"]).rstrip("/")


def _module(path: str, first: list[str]) -> tuple[str, int] | None:
    """The module that a file stands for, and how late its folder is searched."""
    stem = _MODULE.fullmatch(path)
    if stem is None or "/__pycache__/" in path:
        return None
    folder = path
    while folder := folder.rpartition("/")[0]:
        if folder in first:
            rank = first.index(folder)
        elif root := _ROOT.fullmatch(folder):
            rank = len(first) + (1 if root["site"] else 0)
        else:
            continue
        parts = stem["stem"][len(folder) :].removeprefix(_DYNLOAD).strip("/").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts), rank
    return None
