"""Plan files: found by name or path, and refused with the file, the line and the key."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lab import paths
from lab.coldstart.plan import OwnImage, Plan, unknown
from lab.errors import PlanError, UsageError

Location = tuple[int | str, ...]
_FIELDS = {(): tuple(Plan.model_fields), ("own",): tuple(OwnImage.model_fields)}


def built_in() -> tuple[Path, ...]:
    """The plans that come with the lab."""
    return tuple(sorted(paths.PLANS.glob("*.yaml")))


def find(name_or_path: str) -> Path:
    """A plan's file: a built-in by name, or any file by path. Raises ``UsageError``."""
    given = Path(name_or_path)
    if given.suffix in {".yaml", ".yml"} or len(given.parts) > 1:
        if given.is_file():
            return given
        raise UsageError(f"There is no plan file {given}.", remedy="See `lab coldstart plans`.")
    for path in built_in():
        if path.stem == name_or_path:
            return path
    text = unknown("plan", name_or_path, [path.stem for path in built_in()])
    raise UsageError(f"{text[0].upper()}{text[1:]}", remedy="See `lab coldstart plans`.")


def load(
    path: Path,
    *,
    variants: Collection[str] | None = None,
    models: Collection[str] | None = None,
    over: Mapping[str, Any] | None = None,
) -> Plan:
    """Read and check a plan; ``over`` replaces keys of the file (flags of the command line).

    ``variants`` and ``models`` are the names to be accepted; None accepts any. Raises
    ``PlanError`` that names file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} cannot be read: {error}.") from error
    data, lines = _parse(path, text)
    data.setdefault("name", path.stem)
    _unknown_keys(path, data, lines)
    _anchor_files(path, data)
    flags = over or {}
    try:
        return Plan.model_validate(
            {**data, **flags}, context={"variants": variants, "models": models}
        )
    except ValidationError as error:
        detail = error.errors()[0]
        if detail["loc"] and detail["loc"][0] in flags:
            raise _flag_error(detail) from error
        raise _plan_error(path, detail, lines) from error


def from_flags(
    data: Mapping[str, Any],
    *,
    variants: Collection[str] | None = None,
    models: Collection[str] | None = None,
) -> Plan:
    """A plan without a file. Raises ``UsageError`` that names the key."""
    try:
        return Plan.model_validate(data, context={"variants": variants, "models": models})
    except ValidationError as error:
        raise _flag_error(error.errors()[0]) from error


def _parse(path: Path, text: str) -> tuple[dict[str, Any], dict[Location, int]]:
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
            f"{path}:1: a plan is a mapping of keys to values.",
            remedy=f"Known keys are {', '.join(sorted(Plan.model_fields))}.",
        )
    return data, lines


def _walk(path: Path, node: yaml.Node, at: Location) -> Iterator[tuple[Location, int]]:
    """The line (from 1) of every key and list item."""
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


def _unknown_keys(path: Path, data: Mapping[str, Any], lines: Mapping[Location, int]) -> None:
    """Before anything else, since a misspelt key makes other keys look missing."""
    for at, fields in _FIELDS.items():
        part = data if not at else data.get(str(at[0]))
        for key in part if isinstance(part, Mapping) else ():
            if key not in fields:
                text = _sentence(unknown("key", str(key), fields))
                raise PlanError(f"{path}:{lines.get((*at, key), 1)}: {text}")


def _anchor_files(path: Path, data: Mapping[str, Any]) -> None:
    """Files that a plan names lie beside it, whatever folder the command is typed in."""
    own = data.get("own")
    if not isinstance(own, dict):
        return
    for key in ("payload", "model_data"):
        if isinstance(own.get(key), str):
            own[key] = str((path.parent / own[key]).resolve())


def _plan_error(path: Path, detail: ErrorDetails, lines: Mapping[Location, int]) -> PlanError:
    location = tuple(detail["loc"])
    key = ".".join(str(part) for part in location if not isinstance(part, int) and part != "[key]")
    nearest = (location[:size] for size in range(len(location), 0, -1))
    line = next((lines[at] for at in nearest if at in lines), 1)
    return PlanError(f"{path}:{line}: {key + ': ' if key else ''}{_message(detail)}")


def _flag_error(detail: ErrorDetails) -> UsageError:
    key = ".".join(str(part) for part in detail["loc"] if not isinstance(part, int))
    return UsageError(f"{key + ': ' if key else ''}{_message(detail)}")


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _message(detail: ErrorDetails) -> str:
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
