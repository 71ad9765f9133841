"""A board's variables: what they stand for, and how that is filled into queries and titles.

Drawn are ``$name`` and ``${name}``, of variables that ask ``label_values``. Any other variable
stands for nothing unless a value is given by hand, and a panel that needs it is not drawn.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from lab.errors import UsageError
from lab.observe.render.board import GrafanaBoard, Variable
from lab.observe.render.prometheus import Prometheus, QueryRefusedError
from lab.observe.render.timespan import QueryStep, Span, duration_text

_ALL: Final = "$__all"
_REFERENCE: Final = re.compile(r"\$(\w+)|\$\{([^}]+)\}|\[\[([^\]]+)\]\]")
_SPECIAL: Final = re.compile(r"[$^*{}\[\]'+?.()|]")
_LABEL_VALUES: Final = re.compile(
    r"^label_values\((?:(.+),\s*)?([a-zA-Z_$][\w$]*)\s*\)\s*$", re.DOTALL
)
_NATURAL: Final = re.compile(r"(\d+)")
_AS_THEY_COME: Final = (0, 1)
"""Grafana's unsorted and alphabetical: Prometheus gives labels' values in that order."""
_BY_NUMBERS: Final = 7


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
        times = {
            "__interval": duration_text(pace.step),
            "__rate_interval": duration_text(pace.rate),
            "__range": f"{max(round(span.seconds), 1)}s",
        }
        return replace(self, builtin=times)

    def query(self, text: str) -> str:
        """Into PromQL: several values become a regular expression, quotes are escaped."""
        return self._fill(text, _promql)

    def words(self, text: str) -> str:
        """Into a title or a text."""
        return self._fill(text, lambda chosen: chosen.text)

    def unknown(self, text: str) -> Sequence[str]:
        """Names that are referred to and that nothing defines."""
        names = (found[1] or found[2] or found[3] for found in _REFERENCE.finditer(text))
        # $1 and the like belong to label_replace.
        return [n for n in names if not n.isdigit() and n not in {*self.builtin, *self.chosen}]

    def _fill(self, text: str, form: Callable[[Chosen], str]) -> str:
        def one(found: re.Match[str]) -> str:
            name = found[1] or found[2] or found[3]
            chosen = self.chosen.get(name)
            return self.builtin.get(name, found[0]) if chosen is None else form(chosen)

        return _REFERENCE.sub(one, text)


def _promql(chosen: Chosen) -> str:
    if chosen.everything and chosen.all_value:
        return chosen.all_value
    if not chosen.several:
        value = "".join(chosen.values)
        return value.replace("\\", "\\\\").replace('"', '\\"')
    escaped = [escape(value) for value in chosen.values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def escape(value: str) -> str:
    """A value inside a regular expression inside a PromQL string: each backslash is doubled."""
    return _SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")).replace('"', '\\"')


def resolve(
    board: GrafanaBoard, *, prometheus: Prometheus, span: Span, given: Mapping[str, Sequence[str]]
) -> Scope:
    """Fill all in, in their order: a variable's query may use those before it.

    ``given`` are values by hand; a choice saved in the file counts when it is still there, else
    the first value does, as in Grafana. Raises ``UsageError`` and ``QueryRefusedError``.
    """
    scope = Scope()
    for variable in board.variables:
        by_hand = given.get(variable.name, ())
        options = _options(variable, prometheus=prometheus, span=span, scope=scope, board=board)
        if options is not None or by_hand:
            chosen = _choose(variable, options or (), by_hand)
            scope = Scope(chosen={**scope.chosen, variable.name: chosen})
    return scope


def parse_given(flags: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """``name=value`` as often as there are values. Raises ``UsageError`` for anything else."""
    given: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals or not name:
            raise UsageError(f"--var {flag} has no value.", remedy="Write it like --var model=a.")
        given.setdefault(name.removeprefix("var-"), []).append(value)
    return given


def _options(
    variable: Variable, *, prometheus: Prometheus, span: Span, scope: Scope, board: GrafanaBoard
) -> Sequence[str] | None:
    """The values to choose from; None for a variable of a kind that is not read here."""
    query = scope.query(variable.query)
    asked = _LABEL_VALUES.match(query)
    if variable.kind != "query" or variable.regex or asked is None:
        return None
    if variable.sort not in (*_AS_THEY_COME, _BY_NUMBERS) or scope.unknown(variable.query):
        return None
    try:
        found = prometheus.label_values(asked[2], match=(asked[1] or "").strip(), span=span)
    except QueryRefusedError as error:
        raise QueryRefusedError(
            f"{board.title}, variable {variable.name}: Prometheus refuses {query}: {error.what}"
        ) from error
    return sorted(found, key=_natural) if variable.sort == _BY_NUMBERS else found


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in _NATURAL.split(text)]


def _choose(variable: Variable, options: Sequence[str], given: Sequence[str]) -> Chosen:
    several = variable.multi or variable.include_all
    label = variable.label or variable.name
    wanted = given or [value for value in variable.current if value in {*options, _ALL}]
    if variable.include_all and (not wanted or {_ALL, "All"} & set(wanted)):
        # No value at all matches nothing rather than everything, as "" would.
        all_value = variable.all_value or ("" if options else "__none__")
        return Chosen(
            values=options, several=several, everything=True, all_value=all_value, label=label
        )
    if len(wanted) > 1 and not several:
        raise UsageError(
            f"The variable {variable.name} has one value, not {len(wanted)}.",
            remedy=f"Say --var {variable.name}=VALUE once.",
        )
    return Chosen(values=wanted or options[:1], several=several, label=label)
