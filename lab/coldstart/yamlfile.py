"""YAML files that people write: read strictly, and refused with the file, the line and the key."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic_core import ErrorDetails

from lab.coldstart.plan import unknown
from lab.errors import PlanError

Location: TypeAlias = tuple[int | str, ...]
"""Where something stands: the keys and places that lead to it."""


@dataclass(frozen=True, kw_only=True)
class YamlFile:
    """A mapping of keys to values, and the line of each."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Location, int]
    """From 1, of every key and list item."""

    def anchor(self, *at: str) -> None:
        """A file that is named there lies beside this one, whatever folder one types in."""
        *above, key = at
        part: Any = self.data
        for name in above:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict) and isinstance(part.get(key), str):
            part[key] = str((self.path.parent / part[key]).resolve())

    def line(self, *at: int | str) -> int:
        """Of the nearest that there is."""
        nearest = (at[:size] for size in range(len(at), 0, -1))
        return next((self.lines[one] for one in nearest if one in self.lines), 1)

    def error(self, detail: ErrorDetails) -> PlanError:
        """What pydantic says, as the user's mistake."""
        at = tuple(detail["loc"])
        key = ".".join(str(part) for part in at if not isinstance(part, int) and part != "[key]")
        said = f"{key + ': ' if key else ''}{message(detail)}"
        return PlanError(f"{self.path}:{self.line(*at)}: {said}")


def read(path: Path, *, what: str, fields: Mapping[Location, Collection[str]]) -> YamlFile:
    """Read it; ``what`` it is, and the keys that are known ``()`` and below some of them.

    Raises ``PlanError`` that names file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise PlanError(f"{path} cannot be read: {said}.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_walk(path, node, ())) if node is not None else {}
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlanError(f"{path}:{line}: not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise PlanError(f"{path}: not YAML: {error}.") from error
    if not isinstance(data, dict):
        raise PlanError(
            f"{path}:1: {what} is a mapping of keys to values.",
            remedy=f"Known keys are {', '.join(sorted(fields[()]))}.",
        )
    found = YamlFile(path=path, data=data, lines=lines)
    _refuse_unknown(found, fields)
    return found


def message(detail: ErrorDetails) -> str:
    """What pydantic says, in a sentence."""
    given = detail["input"]
    if detail["type"] == "value_error":
        return _sentence(str(detail["ctx"]["error"]).rstrip("."))
    if detail["type"] == "enum":
        expected = str(detail["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
        return _sentence(unknown("value", str(given), expected.split(", ")))
    if detail["type"] == "missing":
        return "is missing."
    text = detail["msg"]
    text = text[0].lower() + text[1:]
    return _sentence(text if isinstance(given, Mapping) else f"{text} (not {given!r})")


def _walk(path: Path, node: yaml.Node, at: Location) -> Iterator[tuple[Location, int]]:
    yield at, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise PlanError(
                    f"{path}:{line}: {key.value} is given twice (first on line {seen[key.value]})."
                )
            seen[key.value] = line
            yield from _walk(path, value, (*at, key.value))
            yield (*at, key.value), line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(path, item, (*at, index))


def _refuse_unknown(file: YamlFile, fields: Mapping[Location, Collection[str]]) -> None:
    """Before anything else, since a misspelt key makes other keys look missing."""
    for at, known in fields.items():
        part = file.data if not at else file.data.get(str(at[0]))
        for key in part if isinstance(part, Mapping) else ():
            if key not in known:
                said = _sentence(unknown("key", str(key), known))
                raise PlanError(f"{file.path}:{file.line(*at, key)}: {said}")


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."
