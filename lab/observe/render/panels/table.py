"""Tables."""

from collections.abc import Sequence
from datetime import UTC, datetime

from lab.observe.render.frames import Field, FieldKind, Value
from lab.observe.render.panels.numbers import share
from lab.observe.render.panels.views import Column, Sheet, TableCell, TableView
from lab.observe.render.settings import Look, look_of
from lab.observe.render.transform import sorted_by


def table(sheet: Sheet) -> TableView:
    """The first frame that has rows."""
    frame = next((one for one in sheet.answer.frames if one.rows), None)
    if frame is None:
        return TableView(columns=[], rows=[])
    for rule in reversed(sheet.panel.options.get("sortBy") or []):
        frame = sorted_by(frame, str(rule.get("displayName")), down=bool(rule.get("desc")))
    shown = [(one, look_of(sheet.panel, one)) for one in frame.fields]
    cells = [_cells(one, look) for one, look in shown]
    return TableView(
        columns=[
            Column(name=look.name, numeric=one.kind is FieldKind.NUMBER) for one, look in shown
        ],
        rows=list(zip(*cells, strict=True)),
    )


def _cells(field: Field, look: Look) -> Sequence[TableCell]:
    texts = [_text(value, field, look) for value in field.values]
    if (look.custom.get("cellOptions") or {}).get("type") != "gauge":
        return [TableCell(text=text) for text in texts]
    numbers = [value for value in field.numbers() if value is not None]
    low = min([0.0, *numbers]) if look.low is None else float(look.low)
    high = max(numbers, default=1.0) if look.high is None else float(look.high)
    return [
        TableCell(text=text)
        if value is None
        else TableCell(text=text, share=share(value, low, high), fill=look.of_value(value))
        for text, value in zip(texts, field.numbers(), strict=True)
    ]


def _text(value: Value, field: Field, look: Look) -> str:
    if field.kind is FieldKind.TIME and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return look.no_value if value is None else look.text(value)
