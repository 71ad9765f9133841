"""What stands behind a schedule's colon: ``rate=20,for=60s``."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from lab.errors import UsageError

T = TypeVar("T")
_DIGITS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keys with values, each known."""

    of: str
    """Whose they are, for messages."""
    values: Mapping[str, str]

    @classmethod
    def read(
        cls, of: str, words: Sequence[str], *, known: Sequence[str], needed: Sequence[str] = ()
    ) -> Self:
        """From ``key=value`` words. Raises ``UsageError`` that names the known keys."""
        values: dict[str, str] = {}
        known_are = f"Known keys are {', '.join(known)}." if known else "It has no keys."
        for word in words:
            key, _, value = (part.strip() for part in word.partition("="))
            if key not in known:
                raise UsageError(f"{of}: unknown key {key!r}.", remedy=known_are)
            if not value or key in values:
                why = "given twice" if value else "without a value"
                raise UsageError(f"{of}: {key} is {why}.", remedy=f"Write {key}=… once.")
            values[key] = value
        if missing := [key for key in needed if key not in values]:
            raise UsageError(f"{of}: {' and '.join(missing)} missing.", remedy=known_are)
        return cls(of=of, values=values)

    def get(self, key: str, read: Callable[[str], T]) -> T | None:
        """None where it was not given. Raises ``UsageError`` with the key."""
        return self.need(key, read) if key in self.values else None

    def need(self, key: str, read: Callable[[str], T]) -> T:
        """Of a key that must be given. Raises ``UsageError`` with the key."""
        try:
            return read(self.values[key])
        except UsageError as error:
            raise UsageError(f"{self.of}: {key}: {error.what}", remedy=error.remedy) from error

    def one_of(self, key: str, choices: Sequence[str]) -> str:
        """The first of them where it was not given. Raises ``UsageError``."""
        value = self.values.get(key, choices[0])
        if value not in choices:
            raise UsageError(
                f"{self.of}: {key} is not {value!r}.", remedy=f"Choose {' or '.join(choices)}."
            )
        return value

    def seed(self, otherwise: int | None) -> int:
        """The text's own, else what the command was given, else 0. Raises ``UsageError``."""
        found = self.get("seed", _whole)
        seed = found if found is not None else otherwise or 0
        if seed < 0:
            raise UsageError(f"{self.of}: seed {seed} is negative.", remedy="Give 0 or more.")
        return seed


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Reads a number from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            most = "" if high == math.inf else f" to {high:g}"
            raise UsageError(
                f"{text!r} is not a number from {low:g}{most or ' up'}.", remedy="Correct it."
            )
        return value

    return read


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        raise UsageError(f"{text!r} is not a whole number.", remedy="Give one like seed=3.")
    return int(text)
