"""Requests held against botocore's own service models, refused in AWS's words.

First types, as AWS's parser does (``SerializationException`` at the first mismatch), then every
constraint of every member (one ``ValidationException`` that lists all that fail). Members that
the model does not know are dropped.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel

from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.protocol.javaregex import matcher

CONTROL: Final = "sagemaker"
RUNTIME: Final = "sagemaker-runtime"

_INT_BITS: Final = {"integer": 31, "long": 63}
_LARGEST_FLOAT: Final = 3.4028234663852886e38
_TARGETS: Final = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "timestamp": "a Date",
    "blob": "a ByteBuffer",
}

Problems = list[str]


def knows(operation: str) -> bool:
    """Whether SageMaker has such an operation, be it emulated or not."""
    return operation in _model(CONTROL).operation_names


def validate(operation: str, params: object) -> dict[str, Any]:
    """The members of a request of the control plane that its model knows, checked.

    Raises ``ApiError``.
    """
    if not isinstance(params, Mapping):
        raise ApiError("SerializationException", _start(params))
    shape = _model(CONTROL).operation_model(operation).input_shape
    problems: Problems = []
    parsed: dict[str, Any] = _parse(shape, params)
    _check(shape, parsed, "", problems)
    if problems:
        raise validation_exception(detected(problems))
    return parsed


def runtime_members(operation: str) -> Mapping[str, Any]:
    """The shapes of all members of an operation of the runtime, by name."""
    members: Mapping[str, Any] = _model(RUNTIME).operation_model(operation).input_shape.members
    return members


def detected(problems: Problems) -> str:
    """All that fails, in one message."""
    errors = "error" if len(problems) == 1 else "errors"
    return f"{len(problems)} validation {errors} detected: {'; '.join(problems)}"


@functools.cache
def _model(service: str) -> Any:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


# --- types


def _parse(shape: Any, value: object) -> Any:
    """The value as the shape's type; null members and entries are as good as absent."""
    kind: str = shape.type_name
    if kind == "structure":
        return _structure(shape, value)
    if kind == "list":
        if not isinstance(value, list | tuple):
            raise _mismatch(value, kind)
        return [None if each is None else _parse(shape.member, each) for each in value]
    if kind == "map":
        if not isinstance(value, Mapping):
            raise _mismatch(value, kind)
        return {
            _parse(shape.key, key): _parse(shape.value, each)
            for key, each in value.items()
            if each is not None
        }
    return _PARSERS[kind](shape, value)


def _structure(shape: Any, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(value, "structure")
    found = {}
    for name, member in shape.members.items():
        if value.get(name) is not None:
            found[name] = _parse(member, value[name])
    return found


def _string(shape: Any, value: object) -> str:
    if not isinstance(value, str):
        raise _mismatch(value, shape.type_name)
    return value


def _boolean(shape: Any, value: object) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value, shape.type_name)
    return value


def _integer(shape: Any, value: object) -> int:
    number = _number(shape, value)
    whole = int(number.to_integral_value(ROUND_DOWN)) if number.adjusted() < 20 else None
    bits = _INT_BITS[shape.type_name]
    if whole is None or not -(1 << bits) <= whole < 1 << bits:
        raise _mismatch(value, shape.type_name)
    return whole


def _float(shape: Any, value: object) -> float:
    number = float(_number(shape, value))
    if abs(number) > _LARGEST_FLOAT:
        raise _mismatch(value, shape.type_name)
    return number


def _timestamp(shape: Any, value: object) -> float:
    seconds = float(_number(shape, value))
    try:
        datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        raise _mismatch(value, shape.type_name) from None
    return seconds


def _number(shape: Any, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, shape.type_name)
    if isinstance(value, float) and not math.isfinite(value):
        raise _mismatch(value, shape.type_name)
    return Decimal(value)


def _blob(shape: Any, value: object) -> Any:
    if not isinstance(value, str | bytes | bytearray | memoryview):
        raise _mismatch(value, shape.type_name)
    return value


_PARSERS: Final[Mapping[str, Callable[[Any, object], Any]]] = {
    "string": _string,
    "character": _string,
    "boolean": _boolean,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _mismatch(value: object, kind: str) -> ApiError:
    if isinstance(value, Mapping | list | tuple):
        return ApiError("SerializationException", _start(value))
    if isinstance(value, bool):
        found = "TRUE_VALUE" if value else "FALSE_VALUE"
    elif isinstance(value, int):
        found = "NUMBER_VALUE"
    elif isinstance(value, float):
        found = "DECIMAL_VALUE"
    else:
        found = "STRING_VALUE"
    if kind not in _TARGETS:
        return ApiError("SerializationException", "Unexpected field type")
    return ApiError("SerializationException", f"{found} can not be converted to {_TARGETS[kind]}")


def _start(value: object) -> str:
    if isinstance(value, Mapping):
        return "Start of structure or map found where not expected."
    if isinstance(value, list | tuple):
        return "Start of list found where not expected"
    return "Unexpected field type"


# --- constraints


def _check(shape: Any, value: Any, path: str, problems: Problems) -> None:
    kind: str = shape.type_name
    complain(shape, value, path, problems)
    if kind == "structure":
        for name, member in shape.members.items():
            place = f"{path}.{_lower(name)}" if path else _lower(name)
            if name in value:
                _check(member, value[name], place, problems)
            elif name in shape.required_members:
                problems.append(failure("null", place, "Member must not be null"))
    elif kind == "list":
        _check_list(shape.member, value, path, problems)
    elif kind == "map":
        _check_map(shape, value, path, problems)


def _check_list(member: Any, values: Sequence[Any], path: str, problems: Problems) -> None:
    # AWS numbers the members that have members, and speaks of the whole list otherwise.
    for at, each in enumerate(values, start=1):
        if each is None:
            place = f"{path}.{at}.member"
            problems.append(failure("null", place, "Member must not be null"))
        elif member.type_name in {"structure", "list", "map"}:
            _check(member, each, f"{path}.{at}.member", problems)
    if any(_failing(member, each) for each in values if each is not None):
        what = f"Member must satisfy constraint: {_all_of(member)}"
        problems.append(failure(_quoted(values), path, what))


def _check_map(shape: Any, values: Mapping[str, Any], path: str, problems: Problems) -> None:
    if any(_failing(shape.key, key) for key in values):
        what = f"Map keys must satisfy constraint: {_all_of(shape.key)}"
        problems.append(failure(_quoted(values), path, what))
    if any(_failing(shape.value, each) for each in values.values()):
        what = f"Map value must satisfy constraint: {_all_of(shape.value)}"
        problems.append(failure(_quoted(values), path, what))


def complain(shape: Any, value: Any, path: str, problems: Problems) -> None:
    """Add what a value breaks; the members of lists and maps are spoken of together: see above."""
    hidden = shape.metadata.get("sensitive", False)
    for what in _failing(shape, value, whole=True):
        problems.append(failure("" if hidden else _quoted(value), path, what))


def failure(value: str, path: str, what: str) -> str:
    """What fails, in AWS's words; ``value`` is quoted already, or empty for a secret."""
    return f"Value {value}{' ' if value else ''}at '{path}' failed to satisfy constraint: {what}"


def _failing(shape: Any, value: Any, *, whole: bool = False) -> list[str]:
    """The constraints on the value itself that it does not satisfy, in AWS's order.

    Collections are judged only as a ``whole``: as members they have places of their own.
    """
    if shape.type_name in {"structure", "list", "map"} and not whole:
        return []
    return [what for what, holds in constraints(shape) if not holds(value)]


def _all_of(shape: Any) -> str:
    return f"[{', '.join(what for what, _ in constraints(shape))}]"


Constraint = tuple[str, Callable[[Any], bool]]


def constraints(shape: Any) -> Sequence[Constraint]:
    """Those on the value itself, in AWS's order and words; read off the model once."""
    known: list[Constraint] | None = shape.__dict__.get("_lab_constraints")
    if known is None:
        known = shape.__dict__["_lab_constraints"] = list(_compiled(shape))
    return known


def _compiled(shape: Any) -> list[Constraint]:
    limits = shape.metadata
    kind: str = shape.type_name
    found: list[Constraint] = []
    if kind in {"structure", "blob", "boolean", "timestamp"}:
        return found
    most, least = limits.get("max"), limits.get("min")
    if kind in {"integer", "long", "float", "double"}:
        bounds = (("less", most, lambda v: v <= most), ("greater", least, lambda v: v >= least))
        noun = "value"
    else:
        bounds = (
            ("less", most, lambda v: len(v) <= most),
            ("greater", least, lambda v: len(v) >= least),
        )
        noun = "length"
    for than, bound, holds in bounds:
        if bound is not None:
            found.append((f"Member must have {noun} {than} than or equal to {bound}", holds))
    if (pattern := limits.get("pattern")) is not None and (matches := matcher(pattern)):
        what = f"Member must satisfy regular expression pattern: {pattern}"
        found.append((what, matches))
    if values := limits.get("enum"):
        allowed = frozenset(values)
        what = f"Member must satisfy enum value set: [{', '.join(values)}]"
        found.append((what, lambda v: v in allowed))
    return found


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _quoted(value: object) -> str:
    return f"'{_java(value)}'"


def _java(value: object) -> str:
    """As Java's ``toString`` has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_java(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_java, value)) + "]"
    return str(value)
