"""A trace's table: lines of cells between commas, chosen by application and function."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lab.errors import UsageError
from lab.load.arrivals.options import Options
from lab.runfiles import read_bytes

_NAMED: Final = 3
"""As many names as a refusal lists."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file whose first line that is no comment is the header."""

    path: Path
    header: Sequence[str]
    top: int
    """The header's line, from 1; 0 where there is none."""
    lines: Sequence[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ``UsageError`` when it may not be read."""
        data = read_bytes(path, remedy="Name a schedule's file.")
        lines = data.decode("utf-8-sig", "replace").splitlines()
        at, header = next(
            ((n, one) for n, one in enumerate(lines, start=1) if one[:1] not in {"", "#"}), (0, "")
        )
        return cls(path=path, header=tuple(header.strip().split(",")), top=at, lines=lines)

    def chosen(self, options: Options, *, app: int, func: int) -> Iterator[tuple[str, list[str]]]:
        """The rows that ``app=`` and ``func=`` name, each with where it stands.

        ``app`` and ``func`` are the columns. Raises ``UsageError`` for a name that is not there or
        fits several.
        """
        wanted = {key: options.values[key] for key in ("app", "func") if key in options.values}
        names = self._names(wanted, app, func) if wanted else {}
        only = [
            (place, names[key]) for key, place in (("app", app), ("func", func)) if key in names
        ]
        for where, cells in self.rows():
            if all(cells[place] == name for place, name in only):
                yield where, cells

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """All, each with where it stands. Raises ``UsageError`` for one of another length."""
        for number, line in enumerate(self.lines[self.top :], start=self.top + 1):
            if not line.strip():
                continue
            cells = line.strip().split(",")
            if len(cells) != len(self.header):
                raise UsageError(
                    f"{self.path}, line {number}: {len(cells)} cells where {len(self.header)} "
                    "belong.",
                    remedy="Correct that line.",
                )
            yield f"{self.path}, line {number}", cells

    def _names(self, wanted: dict[str, str], app: int, func: int) -> dict[str, str]:
        """The whole names of what was given by its beginning."""
        pairs = {(cells[app], cells[func]) for _, cells in self.rows()}
        names = {}
        if "app" in wanted:
            names["app"] = self._one("app", wanted["app"], {one for one, _ in pairs})
            pairs = {pair for pair in pairs if pair[0] == names["app"]}
        if "func" in wanted:
            names["func"] = self._one("func", wanted["func"], {one for _, one in pairs})
            apps = {one for one, function in pairs if function == names["func"]}
            if len(apps) > 1:
                raise UsageError(
                    f"{self.path}: func {names['func']} is of {len(apps)} applications.",
                    remedy=f"Add app=, such as {_some(apps)}.",
                )
        return names

    def _one(self, key: str, wanted: str, names: set[str]) -> str:
        if wanted in names:
            return wanted
        fitting = {one for one in names if one.startswith(wanted)}
        if len(fitting) != 1:
            raise UsageError(
                f"{self.path}: {len(fitting) or 'no'} names of {key} begin with {wanted!r}.",
                remedy=f"There are {_some(fitting or names)}.",
            )
        return fitting.pop()


def _some(names: set[str]) -> str:
    more = "" if len(names) <= _NAMED else f" and {len(names) - _NAMED} more"
    return f"{', '.join(sorted(names)[:_NAMED])}{more}"
