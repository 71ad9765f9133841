"""Which removed files a smaller image lacks for something that it does worse."""

import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from lab.advice.contents import Entry, EntryKind
from lab.advice.slim.bisect import Budget, TriesUsedUp, needed
from lab.advice.slim.prove import Trouble
from lab.advice.slim.select import Selection
from lab.progress import Step

_PATH: Final = re.compile(r"/[^\s'\"()<>:,;]+")
_MODULE: Final = re.compile(r"No module named '?([\w.]+)")
_LIBRARY: Final = re.compile(r"([\w.+-]+\.so[\w.]*): cannot open shared object")

WithFiles = Callable[[str, Collection[str]], AbstractContextManager[str]]
"""An image like the first that has these removed files too."""


@dataclass(frozen=True, kw_only=True)
class Cure:
    """Files that a smaller image needs after all."""

    paths: Sequence[str]
    traced: bool
    """Down to the file; else to the package, for no tries were left."""


@dataclass(frozen=True, kw_only=True)
class Tracer:
    """Traces troubles of one candidate."""

    image: str
    selection: Selection
    with_files: WithFiles
    budget: Budget

    def trace(self, trouble: Trouble, step: Step) -> Cure | None:
        """The files that end the trouble, be it that they are there again or that they are whole
        again; None where all of them together do not.

        What the container's log names is tried first. Raises ``TriesUsedUp``.
        """

        def enough(paths: Collection[str]) -> bool:
            step.detail(f"with {len(paths)} of the removed files, try {self.budget.used}")
            with self.with_files(self.image, paths) as tried:
                return not trouble.persists(tried)

        files = [one for one in self.selection.removed if one.kind is not EntryKind.FOLDER]
        stripped = list(self.selection.stripped)
        files += [self.selection.contents.entries[path] for path in stripped]
        named = hints(files, f"{trouble.words}\n{trouble.log}")
        found = needed(named, enough, self.budget) if named else None
        if found is not None:
            return Cure(paths=found, traced=True)
        by_package = self.selection.removed_by_package
        groups = [[one.path for one in its] for its in reversed(list(by_package.values()))]
        groups += [stripped] if stripped else []
        chosen = needed(
            range(len(groups)),
            lambda some: enough([path for one in some for path in groups[one]]),
            self.budget,
        )
        if chosen is None:
            return None
        left = [path for one in chosen for path in groups[one]]
        try:
            return Cure(paths=needed(left, enough, self.budget) or left, traced=True)
        except TriesUsedUp:
            return Cure(paths=left, traced=False)


def hints(removed: Sequence[Entry], said: str) -> Sequence[str]:
    """The removed files that an error names: by their path, as a module, as a library."""
    known: Mapping[str, Entry] = {one.path: one for one in removed}
    found = [path for path in dict.fromkeys(_PATH.findall(said)) if path in known]
    endings = []
    for module in _MODULE.findall(said):
        place = "/" + module.replace(".", "/")
        endings += [f"{place}.py", f"{place}/__init__.py", f"{place}.pyc"]
    libraries = set(_LIBRARY.findall(said))
    ends = tuple(endings)
    found += [
        path for path in known if path.endswith(ends) or posixpath.basename(path) in libraries
    ]
    return list(dict.fromkeys(found))
