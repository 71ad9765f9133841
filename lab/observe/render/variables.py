"""What a board's variables stand for: asked of Prometheus, given by hand, or in the file."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lab.errors import UsageError
from lab.observe.render.board import Board, Variable
from lab.observe.render.prometheus import Prometheus, QueryRefusedError
from lab.observe.render.templating import ALL, Chosen, Scope
from lab.observe.render.timespan import Span

_LABEL_VALUES: Final = re.compile(
    r"^label_values\((?:(.+),\s*)?([a-zA-Z_$][\w$]*)\s*\)\s*$", re.DOTALL
)
_LABEL_NAMES: Final = re.compile(r"^label_names\((.*)\)\s*$")
_METRICS: Final = re.compile(r"^metrics\((.*)\)\s*$")
_QUERY_RESULT: Final = re.compile(r"^query_result\((.+)\)\s*$", re.DOTALL)
_NATURAL: Final = re.compile(r"(\d+)")


def resolve(
    board: Board,
    *,
    prometheus: Prometheus,
    span: Span,
    given: Mapping[str, Sequence[str]],
    scope: Scope,
) -> Scope:
    """Fill all in, in their order: a variable's query may use those before it.

    ``given`` are values by hand; a choice saved in the file counts when it is still there, else
    the first value does, as in Grafana. Raises ``UsageError`` and ``QueryRefusedError``.
    """
    for variable in board.variables:
        try:
            options = _options(variable, prometheus=prometheus, span=span, scope=scope)
        except QueryRefusedError as error:
            raise QueryRefusedError(
                f"{board.title}, variable {variable.name}: Prometheus refuses"
                f" {scope.query(variable.query)}: {error.what}"
            ) from error
        chosen = _choose(variable, options, given.get(variable.name, ()))
        scope = Scope(chosen={**scope.chosen, variable.name: chosen}, builtin=scope.builtin)
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
    variable: Variable, *, prometheus: Prometheus, span: Span, scope: Scope
) -> Sequence[str]:
    match variable.kind:
        case "query":
            found = _ask(scope.query(variable.query), prometheus, span)
            return _sorted(_kept(found, variable.regex), variable.sort)
        case "custom" | "interval":
            parts = re.split(r"(?<!\\),", variable.query)
            # "text : value" has a name for people; queries get the value.
            return [part.replace("\\,", ",").split(" : ")[-1].strip() for part in parts]
        case "constant" | "textbox":
            return [variable.query]
        case _:  # the data source: there is only one here
            return list(variable.current)


def _ask(query: str, prometheus: Prometheus, span: Span) -> Sequence[str]:
    if found := _LABEL_VALUES.match(query):
        return prometheus.label_values(found[2], match=(found[1] or "").strip(), span=span)
    if found := _LABEL_NAMES.match(query):
        return prometheus.label_names(match=found[1].strip(), span=span)
    if found := _METRICS.match(query):
        names = prometheus.label_values("__name__", match="", span=span)
        return [name for name in names if re.search(found[1], name)]
    if found := _QUERY_RESULT.match(query):
        return [
            f"{_selector(series.labels)} {value:g} {at * 1000:.0f}"
            for series in prometheus.instant(found[1], at=span.end)
            for at, value in series.points[-1:]
        ]
    raise UsageError(
        f"A variable asks {query!r}.",
        remedy="Use label_values(metric, label), label_names(), metrics() or query_result().",
    )


def _selector(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{k}="{v}"' for k, v in labels.items() if k != "__name__")
    return f"{labels.get('__name__', '')}{{{inner}}}"


def _kept(values: Sequence[str], regex: str) -> Sequence[str]:
    """Those that match Grafana's ``/pattern/``; of its groups ``value`` or the first is kept."""
    if not regex:
        return values
    bare = regex[1:].rsplit("/", 1)[0] if regex.startswith("/") else regex
    pattern = re.compile(re.sub(r"\(\?<(?=[a-zA-Z])", "(?P<", bare))
    group = "value" if "value" in pattern.groupindex else 1 if pattern.groups else None
    found = [(value, pattern.search(value)) for value in values]
    return list(dict.fromkeys(v if group is None else m[group] for v, m in found if m))


def _sorted(values: Sequence[str], how: int) -> Sequence[str]:
    """Grafana's numbers: 0 as they come, odd upwards, even downwards."""
    keys: Mapping[int, Callable[[str], object]] = {
        1: lambda text: text,
        2: _number,
        3: str.lower,
        4: lambda text: [(int(p) if p.isdigit() else 0, p) for p in _NATURAL.split(text)],
    }
    if how == 0:
        return values
    key = keys[(how + 1) // 2]
    return sorted(values, key=key, reverse=how % 2 == 0)  # type: ignore[arg-type]


def _number(text: str) -> float:
    found = re.search(r"-?\d+(?:\.\d+)?", text)
    return float(found[0]) if found else -1.0


def _choose(variable: Variable, options: Sequence[str], given: Sequence[str]) -> Chosen:
    several = variable.multi or variable.include_all
    look = {"label": variable.label or variable.name, "hidden": variable.hidden}
    wanted = [value for value in given or variable.current if given or value in {*options, ALL}]
    if any(value in (ALL, "All") for value in wanted) and variable.include_all:
        return Chosen(
            values=options,
            several=several,
            everything=True,
            # No value at all matches nothing rather than everything, as "" would.
            all_value=variable.all_value or ("" if options else "__none__"),
            **look,  # type: ignore[arg-type]
        )
    if not wanted and variable.include_all:
        return _choose(variable, options, [ALL])
    if len(wanted) > 1 and not several:
        raise UsageError(
            f"The variable {variable.name} has one value, not {len(wanted)}.",
            remedy=f"Say --var {variable.name}=VALUE once.",
        )
    return Chosen(values=wanted or options[:1], several=several, **look)  # type: ignore[arg-type]
