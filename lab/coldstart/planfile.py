"""Plan files: found by name or path, and refused with the file, the line and the key."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lab import paths
from lab.coldstart import yamlfile
from lab.coldstart.plan import OwnImage, Plan, unknown
from lab.errors import UsageError

_FIELDS: Final[Mapping[yamlfile.Location, Collection[str]]] = {
    (): tuple(Plan.model_fields),
    ("own",): tuple(OwnImage.model_fields),
}


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
    file = yamlfile.read(path, what="a plan", fields=_FIELDS)
    file.data.setdefault("name", path.stem)
    file.anchor("own", "payload")
    file.anchor("own", "model_data")
    flags = over or {}
    try:
        return Plan.model_validate(
            {**file.data, **flags}, context={"variants": variants, "models": models}
        )
    except ValidationError as error:
        detail = error.errors()[0]
        if detail["loc"] and detail["loc"][0] in flags:
            raise _flag_error(detail) from error
        raise file.error(detail) from error


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


def _flag_error(detail: ErrorDetails) -> UsageError:
    key = ".".join(str(part) for part in detail["loc"] if not isinstance(part, int))
    return UsageError(f"{key + ': ' if key else ''}{yamlfile.message(detail)}")
