"""``$name``, ``${name}``, ``${name:format}`` and ``[[name]]``, filled in as Grafana does."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

from lab.observe.render.timespan import QueryStep, Span, duration_text

ALL: Final = "$__all"
_REFERENCE: Final = re.compile(
    r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.[^:^}]+)?(?::([^}]+))?\}"
)
_SPECIAL: Final = re.compile(r"[$^*{}\[\]'+?.()|]")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a variable stands for now."""

    values: Sequence[str]
    several: bool = False
    """It may stand for more than one, so it is used in regular expressions."""
    everything: bool = False
    all_value: str = ""
    """Used as it is instead of all values, such as ``.*``."""
    label: str = ""
    hidden: bool = False

    @property
    def text(self) -> str:
        return "All" if self.everything else " + ".join(self.values)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """All that can be filled in at one place of a board."""

    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    builtin: Mapping[str, str] = field(default_factory=dict)

    def at(self, span: Span, pace: QueryStep) -> "Scope":
        """With the variables of time."""
        return replace(self, builtin={**self.builtin, **_times(span, pace)})

    def only(self, name: str, value: str) -> "Scope":
        """Inside a repeated panel: its variable has one value."""
        one = replace(self.chosen[name], values=[value], everything=False, several=False)
        return replace(self, chosen={**self.chosen, name: one})

    def query(self, text: str) -> str:
        """Into PromQL: several values become a regular expression, quotes are escaped."""
        return self._fill(text, _promql)

    def words(self, text: str) -> str:
        """Into a title or a text."""
        return self._fill(text, lambda chosen: chosen.text)

    def _fill(self, text: str, default: Callable[[Chosen], str]) -> str:
        def one(found: re.Match[str]) -> str:
            name = found[1] or found[2] or found[4]
            form = found[3] or found[5]
            if name in self.builtin:
                return self.builtin[name]
            chosen = self.chosen.get(name)
            if chosen is None:
                return found[0]
            if chosen.everything and chosen.all_value and form != "text":
                return chosen.all_value
            return _FORMS[form](chosen) if form in _FORMS else default(chosen)

        return _REFERENCE.sub(one, text)

    def unknown(self, text: str) -> Sequence[str]:
        """Names that are referred to and that nothing defines."""
        names = (found[1] or found[2] or found[4] for found in _REFERENCE.finditer(text))
        # $1 and the like belong to label_replace.
        return [n for n in names if not n.isdigit() and n not in {*self.builtin, *self.chosen}]


def _times(span: Span, pace: QueryStep) -> Mapping[str, str]:
    whole = max(round(span.seconds), 1)
    return {
        "__interval": duration_text(pace.step),
        "__interval_ms": str(round(pace.step * 1000)),
        "__rate_interval": duration_text(pace.rate),
        "__rate_interval_ms": str(round(pace.rate * 1000)),
        "__range": f"{whole}s",
        "__range_s": str(whole),
        "__range_ms": str(round(span.seconds * 1000)),
        "__from": str(round(span.start * 1000)),
        "__to": str(round(span.end * 1000)),
    }


def _promql(chosen: Chosen) -> str:
    if not chosen.several:
        value = "".join(chosen.values)
        return value.replace("\\", "\\\\").replace('"', '\\"')
    escaped = [escape(value) for value in chosen.values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def escape(value: str) -> str:
    """A value inside a regular expression inside a PromQL string: each backslash is doubled."""
    return _SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")).replace('"', '\\"')


def _regex(chosen: Chosen) -> str:
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in chosen.values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


_FORMS: Final[Mapping[str, Callable[[Chosen], str]]] = {
    "raw": lambda chosen: ",".join(chosen.values),
    "csv": lambda chosen: ",".join(chosen.values),
    "pipe": lambda chosen: "|".join(chosen.values),
    "regex": _regex,
    "text": lambda chosen: chosen.text,
    "json": lambda chosen: json.dumps(list(chosen.values)),
    "doublequote": lambda chosen: ",".join(f'"{value}"' for value in chosen.values),
    "singlequote": lambda chosen: ",".join(f"'{value}'" for value in chosen.values),
    "percentencode": lambda chosen: quote(",".join(chosen.values), safe=""),
    "glob": lambda chosen: (
        chosen.values[0] if len(chosen.values) == 1 else f"{{{','.join(chosen.values)}}}"
    ),
}
