"""Grafana's transformations, those that boards of ours and everyday boards use."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lab.errors import UsageError
from lab.observe.render import calcs
from lab.observe.render.frames import Field, FieldKind, Frame, Value, text_of

_Frames = Sequence[Frame]
_Options = Mapping[str, Any]


def transformed(frames: _Frames, transformations: Sequence[Mapping[str, Any]]) -> _Frames:
    """All of them, one after the other. Raises ``UsageError`` for one that is not known here."""
    for one in transformations:
        name = str(one.get("id"))
        if name not in _KNOWN:
            raise UsageError(
                f"The transformation {name} is not drawn here.",
                remedy=f"Known are: {', '.join(_KNOWN)}.",
            )
        frames = _KNOWN[name](frames, one.get("options") or {})
    return frames


def _organize(frames: _Frames, options: _Options) -> _Frames:
    dropped: Mapping[str, bool] = options.get("excludeByName") or {}
    kept: Mapping[str, bool] = options.get("includeByName") or {}
    order: Mapping[str, int] = options.get("indexByName") or {}
    names: Mapping[str, str] = options.get("renameByName") or {}

    def one(frame: Frame) -> Frame:
        fields = [f for f in frame.fields if not dropped.get(f.display)]
        if kept:
            fields = [f for f in fields if kept.get(f.display)]
        fields = sorted(fields, key=lambda f: order.get(f.display, len(order) + 1000))
        return frame.keep(
            [replace(f, given=names[f.display]) if names.get(f.display) else f for f in fields]
        )

    return [one(frame) for frame in frames]


def _merge(frames: _Frames, options: _Options) -> _Frames:
    """Rows whose common columns agree become one; a column of only one table is filled in."""
    del options
    frames = [frame for frame in frames if frame.rows]
    if not frames:
        return []
    fields: dict[str, Field] = {}
    for frame in frames:
        for one in frame.fields:
            fields.setdefault(one.display, one)
    counted = [{one.display for one in frame.fields} for frame in frames]
    keys = [name for name in fields if all(name in names for names in counted)]
    rows: dict[tuple[Value, ...], list[dict[str, Value]]] = {}
    for frame in frames:
        for row in _rows(frame):
            for known in rows.setdefault(tuple(row.get(key) for key in keys), []):
                if all(known.get(name) in (None, value) for name, value in row.items()):
                    known.update(row)
                    break
            else:
                rows[tuple(row.get(key) for key in keys)].append(row)
    flat = [row for group in rows.values() for row in group]
    merged = [replace(f, values=[row.get(name) for row in flat]) for name, f in fields.items()]
    return [Frame(fields=merged, ref=frames[0].ref)]


def _rows(frame: Frame) -> Sequence[dict[str, Value]]:
    columns = [(one.display, one.values) for one in frame.fields]
    return [{name: values[n] for name, values in columns} for n in range(frame.rows)]


def _labels_to_fields(frames: _Frames, options: _Options) -> _Frames:
    """Labels become columns; ``valueLabel`` names the column of the value."""
    made = []
    for frame in frames:
        numbers, times = frame.of(FieldKind.NUMBER), frame.of(FieldKind.TIME)
        for one in numbers:
            named = one.labels.get(str(options.get("valueLabel") or ""))
            wanted = options.get("keepLabels")
            labels = {
                key: value
                for key, value in one.labels.items()
                if key != options.get("valueLabel") and (not wanted or key in wanted)
            }
            columns = [
                Field(name=key, kind=FieldKind.STRING, values=[value] * frame.rows)
                for key, value in labels.items()
                if key != "__name__"
            ]
            value = replace(one, labels={}, given=named or "" if named else one.given)
            made.append(frame.keep([*times, *columns, value]))
    return _merge(made, {})


def _join(frames: _Frames, options: _Options) -> _Frames:
    """Side by side on a common column, by default the time; ``inner`` drops what one lacks."""
    frames = [frame for frame in frames if frame.rows]
    if len(frames) < 2:
        return frames
    name = options.get("byField")

    def key_of(frame: Frame) -> Field | None:
        return frame.named(str(name)) if name else next(iter(frame.of(FieldKind.TIME)), None)

    with_key = [(frame, key) for frame in frames if (key := key_of(frame)) is not None]
    if not with_key:
        return []
    found = [set(key.values) for _, key in with_key]
    everything = list(dict.fromkeys(value for _, key in with_key for value in key.values))
    if options.get("mode") == "inner":
        everything = [value for value in everything if all(value in keys for keys in found)]
    first = with_key[0][1]
    if first.kind is FieldKind.TIME:
        everything.sort(key=lambda value: value if isinstance(value, float) else 0.0)
    columns = [replace(first, values=everything)]
    for frame, key in with_key:
        place = {value: n for n, value in enumerate(key.values)}
        columns += [
            replace(one, values=[one.values[place[v]] if v in place else None for v in everything])
            for one in frame.fields
            if one is not key
        ]
    return [Frame(fields=columns, step=frames[0].step)]


def _matrix(frames: _Frames, options: _Options) -> _Frames:
    """A row for each value of one column, a column for each of another."""
    rows_of = str(options.get("rowField") or "Time")
    columns_of = str(options.get("columnField") or "Time")
    values_of = str(options.get("valueField") or "Value")
    made = []
    for frame in frames:
        row, column, value = (frame.named(name) for name in (rows_of, columns_of, values_of))
        if row is None or column is None or value is None:
            continue
        rows = list(dict.fromkeys(row.values))
        columns = list(dict.fromkeys(column.values))
        cells = {(r, c): v for r, c, v in zip(row.values, column.values, value.values, strict=True)}
        empty = {"null": None, "zero": 0.0, "empty": ""}.get(str(options.get("emptyValue")), "")
        head = replace(row, name=f"{rows_of}\\{columns_of}", given="", values=rows)
        body = [
            Field(
                name=text_of(c),
                kind=value.kind,
                values=[cells.get((r, c), empty) for r in rows],
            )
            for c in columns
        ]
        made.append(Frame(fields=[head, *body], ref=frame.ref))
    return made


def _reduce(frames: _Frames, options: _Options) -> _Frames:
    """Each series as one row: its name, its labels if asked for, and a column a calculation."""
    how = options.get("reducers") or ["max"]
    series = [one for frame in frames for one in frame.of(FieldKind.NUMBER)]
    if options.get("mode") == "reduceFields":
        columns = [replace(s, values=[calcs.reduced(s.numbers(), how[0])]) for s in series]
        return [Frame(fields=columns)]
    labels = sorted({key for one in series for key in one.labels if key != "__name__"})
    columns = [Field(name="Field", kind=FieldKind.STRING, values=[one.display for one in series])]
    if options.get("labelsToFields"):
        columns += [
            Field(name=key, kind=FieldKind.STRING, values=[one.labels.get(key) for one in series])
            for key in labels
        ]
    columns += [
        Field(
            name=calcs.title(calc),
            kind=FieldKind.NUMBER,
            values=[calcs.reduced(one.numbers(), calc) for one in series],
        )
        for calc in how
    ]
    return [Frame(fields=columns)] if series else []


def _sort_by(frames: _Frames, options: _Options) -> _Frames:
    for rule in options.get("sort") or []:
        frames = [
            _sorted(frame, str(rule.get("field")), bool(rule.get("desc"))) for frame in frames
        ]
    return frames


def _sorted(frame: Frame, name: str, down: bool) -> Frame:  # noqa: FBT001
    by = frame.named(name)
    if by is None:
        return frame

    def key(place: int) -> tuple[bool, float, str]:
        value = by.values[place]
        number = value if isinstance(value, float) else 0.0
        return (value is None) != down, number, text_of(value).lower() * isinstance(value, str)

    order = sorted(range(frame.rows), key=key, reverse=down)
    return frame.keep([replace(f, values=[f.values[n] for n in order]) for f in frame.fields])


def _limit(frames: _Frames, options: _Options) -> _Frames:
    most = int(options.get("limitField") or 10)
    return [
        frame.keep([replace(f, values=f.values[:most]) for f in frame.fields]) for frame in frames
    ]


def _filter_names(frames: _Frames, options: _Options) -> _Frames:
    include, exclude = options.get("include") or {}, options.get("exclude") or {}

    def hit(rule: Mapping[str, Any], name: str) -> bool:
        bare = re.sub(r"^/(.*)/\w*$", r"\1", str(rule.get("pattern") or ""))
        return name in (rule.get("names") or []) or bool(bare and re.search(bare, name))

    kept = [
        frame.keep(
            [
                f
                for f in frame.fields
                if (not include or hit(include, f.display)) and not hit(exclude, f.display)
            ]
        )
        for frame in frames
    ]
    return [frame for frame in kept if frame.fields]


def _filter_ref(frames: _Frames, options: _Options) -> _Frames:
    wanted = str(options.get("include") or "")
    return [frame for frame in frames if re.fullmatch(wanted or ".*", frame.ref)]


def _rename_by_regex(frames: _Frames, options: _Options) -> _Frames:
    pattern = re.compile(re.sub(r"^/(.*)/\w*$", r"\1", str(options.get("regex") or "$^")))
    into = re.sub(r"\$(\d)", r"\\\1", str(options.get("renamePattern") or ""))
    return [
        frame.keep(
            [
                f if f.kind is FieldKind.TIME else replace(f, given=pattern.sub(into, f.display))
                for f in frame.fields
            ]
        )
        for frame in frames
    ]


_KNOWN: Final[Mapping[str, Callable[[_Frames, _Options], _Frames]]] = {
    "organize": _organize,
    "merge": _merge,
    "labelsToFields": _labels_to_fields,
    "seriesToColumns": _join,
    "joinByField": _join,
    "groupingToMatrix": _matrix,
    "reduce": _reduce,
    "sortBy": _sort_by,
    "limit": _limit,
    "filterFieldsByName": _filter_names,
    "filterByRefId": _filter_ref,
    "renameByRegex": _rename_by_regex,
}
