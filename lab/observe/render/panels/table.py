"""Tables."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lab.observe.render import calcs, colours
from lab.observe.render.frames import Field, FieldKind, Frame, Value
from lab.observe.render.panels.views import Column, Sheet, Table, TableCell
from lab.observe.render.settings import Look, look_of
from lab.observe.render.transform import transformed


def table(sheet: Sheet) -> Table:
    """The frame that the panel chooses; series of time as one row of names and newest values."""
    frame = _frame(sheet)
    if frame is None:
        return Table(columns=[], rows=[])
    options = sheet.panel.options
    for rule in reversed(options.get("sortBy") or []):
        names = {look_of(sheet.panel, one, frame).name: one.display for one in frame.fields}
        by = {"field": names.get(rule.get("displayName"), ""), "desc": rule.get("desc")}
        frame = transformed([frame], [{"id": "sortBy", "options": {"sort": [by]}}])[0]
    looks = [(one, look_of(sheet.panel, one, frame)) for one in frame.fields]
    shown = [(one, look) for one, look in looks if not look.custom.get("hidden")]
    cells = [_cells(one, look) for one, look in shown]
    return Table(
        columns=[
            Column(name=look.name, numeric=one.kind is FieldKind.NUMBER) for one, look in shown
        ],
        rows=[[column[n] for column in cells] for n in range(frame.rows)],
        headed=bool(options.get("showHeader", True)),
        footer=_footer(shown, options.get("footer") or {}),
    )


def _frame(sheet: Sheet) -> Frame | None:
    frames = [frame for frame in sheet.answer.frames if frame.rows]
    if not frames:
        return None
    if len(frames) > 1 and all(frame.step for frame in frames):
        made = transformed(frames, [{"id": "reduce", "options": {"reducers": ["lastNotNull"]}}])
        return made[0]
    place = int(sheet.panel.options.get("frameIndex") or 0)
    return frames[min(place, len(frames) - 1)]


def _cells(field: Field, look: Look) -> Sequence[TableCell]:
    numbers = [value for value in field.values if isinstance(value, float)]
    low = min([0.0, *numbers]) if look.low is None else float(look.low)
    high = max(numbers, default=1.0) if look.high is None else float(look.high)
    how = look.custom.get("cellOptions") or {}
    return [_cell(value, field, look, how=how, low=low, high=high) for value in field.values]


def _cell(
    value: Value, field: Field, look: Look, *, how: Mapping[str, Any], low: float, high: float
) -> TableCell:
    text = _text(value, field, look)
    said = look.mapped(value)
    kind = str(how.get("type", "auto"))
    if kind == "auto" and not (said and said.get("color")):
        return TableCell(text=text)
    colour = look.of_value(value, low=low, high=high)
    if kind == "color-background":
        return TableCell(text=text, ink=colours.ink_on(colour), ground=colour)
    if kind == "gauge" and isinstance(value, float):
        share = (value - low) / ((high - low) or 1.0) * 100
        return TableCell(text=text, share=min(max(share, 0.0), 100.0), bar=colour)
    return TableCell(text=text, ink=colour if value is not None else "")


def _text(value: Value, field: Field, look: Look) -> str:
    if field.kind is FieldKind.TIME and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if value is None:
        return look.no_value
    return look.text(value)


def _footer(shown: Sequence[tuple[Field, Look]], options: Mapping[str, Any]) -> Sequence[str]:
    how = options.get("reducer") or []
    if not options.get("show") or not how:
        return []
    wanted = options.get("fields") or []
    cells = []
    for place, (field, look) in enumerate(shown):
        use = field.kind is FieldKind.NUMBER and (not wanted or look.name in wanted)
        total = calcs.reduced(field.numbers(), how[0]) if use else None
        head = calcs.title(how[0]) if place == 0 else ""
        cells.append(head if total is None else look.text(total))
    return cells
