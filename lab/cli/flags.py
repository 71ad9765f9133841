"""The flags of a command told once: as the fields of a frozen dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, TypeVar, get_type_hints

_Options = TypeVar("_Options")


def flags(command: Callable[[_Options], None]) -> Callable[..., None]:
    """The command, with a parameter for each field of the dataclass that it takes.

    Fields are declared as Typer's parameters are: ``x: Annotated[int, typer.Option(...)] = 1``.
    """
    ((_, options),) = ((k, v) for k, v in get_type_hints(command).items() if k != "return")
    hints = get_type_hints(options, include_extras=True)

    @wraps(command)
    def run(**given: Any) -> None:
        command(options(**given))

    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = hints
    return run
