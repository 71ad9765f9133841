"""Grafana's transformations, those that our boards use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lab.observe.render.frames import Field, Frame, Value, text_of

_Frames = Sequence[Frame]
_Options = Mapping[str, Any]


def transformed(frames: _Frames, transformations: Sequence[Mapping[str, Any]]) -> _Frames:
    """All of them, one after the other."""
    for one in transformations:
        frames = TRANSFORMATIONS[one["id"]](frames, one.get("options") or {})
    return frames


def sorted_by(frame: Frame, name: str, *, down: bool) -> Frame:
    """Its rows in the order of a column, without a value last; as they are without the column."""
    by = frame.named(name)
    if by is None:
        return frame

    def key(place: int) -> tuple[bool, float, str]:
        value = by.values[place]
        number = value if isinstance(value, float) else 0.0
        return (value is None) != down, number, text_of(value).lower() * isinstance(value, str)

    order = sorted(range(frame.rows), key=key, reverse=down)
    return frame.keep([replace(f, values=[f.values[n] for n in order]) for f in frame.fields])


def _organize(frames: _Frames, options: _Options) -> _Frames:
    dropped: Mapping[str, bool] = options.get("excludeByName") or {}
    order: Mapping[str, int] = options.get("indexByName") or {}
    names: Mapping[str, str] = options.get("renameByName") or {}

    def one(frame: Frame) -> Frame:
        fields = [f for f in frame.fields if not dropped.get(f.display)]
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
            alike = rows.setdefault(tuple(row.get(key) for key in keys), [])
            for known in alike:
                if all(known.get(name) in (None, value) for name, value in row.items()):
                    known.update(row)
                    break
            else:
                alike.append(row)
    flat = [row for group in rows.values() for row in group]
    merged = [replace(f, values=[row.get(name) for row in flat]) for name, f in fields.items()]
    return [Frame(fields=merged)]


def _rows(frame: Frame) -> Sequence[dict[str, Value]]:
    return [{one.display: one.values[n] for one in frame.fields} for n in range(frame.rows)]


def _matrix(frames: _Frames, options: _Options) -> _Frames:
    """A row for each value of one column, a column for each of another, a third in the cells."""
    names = [str(options.get(key) or "") for key in ("rowField", "columnField", "valueField")]
    made = []
    for frame in frames:
        row, column, value = (frame.named(name) for name in names)
        if row is None or column is None or value is None:
            continue
        rows = list(dict.fromkeys(row.values))
        cells = {(r, c): v for r, c, v in zip(row.values, column.values, value.values, strict=True)}
        head = replace(row, name=f"{names[0]}\\{names[1]}", given="", values=rows)
        body = [
            Field(name=text_of(c), kind=value.kind, values=[cells.get((r, c)) for r in rows])
            for c in dict.fromkeys(column.values)
        ]
        made.append(Frame(fields=[head, *body]))
    return made


def _sort_by(frames: _Frames, options: _Options) -> _Frames:
    for rule in options.get("sort") or []:
        frames = [
            sorted_by(frame, str(rule.get("field")), down=bool(rule.get("desc")))
            for frame in frames
        ]
    return frames


TRANSFORMATIONS: Final[Mapping[str, Callable[[_Frames, _Options], _Frames]]] = {
    "organize": _organize,
    "merge": _merge,
    "groupingToMatrix": _matrix,
    "sortBy": _sort_by,
}
"""By Grafana's ids."""
