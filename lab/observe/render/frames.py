"""Prometheus's answers as Grafana's data frames: columns with names, labels and settings."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

from lab.observe.render.board import PanelQuery
from lab.observe.render.prometheus import Series

Value = float | str | None
_LABEL: Final = re.compile(r"\{\{\s*(.+?)\s*\}\}")


@unique
class FieldKind(StrEnum):
    """What a column holds."""

    TIME = "time"
    NUMBER = "number"
    STRING = "string"


@dataclass(frozen=True, kw_only=True)
class Field:
    """A column. Times are seconds since 1970."""

    name: str
    kind: FieldKind
    values: Sequence[Value]
    given: str = ""
    """The name that the query's legend gives it, if any."""

    @property
    def display(self) -> str:
        """What it is called unless a setting says otherwise."""
        return self.given or self.name

    def numbers(self) -> Sequence[float | None]:
        """Its values where they are numbers."""
        return [_number(value) for value in self.values]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Columns of equal length."""

    fields: Sequence[Field]
    step: float = 0.0
    """Seconds between values, if it came from a range."""

    @property
    def rows(self) -> int:
        """How many values a column has."""
        return len(self.fields[0].values) if self.fields else 0

    def of(self, kind: FieldKind) -> Sequence[Field]:
        """Columns that hold this."""
        return [one for one in self.fields if one.kind is kind]

    def named(self, name: str) -> Field | None:
        """The column of this name, the query's or its own."""
        return next((one for one in self.fields if name in (one.display, one.name)), None)

    def keep(self, fields: Sequence[Field]) -> "Frame":
        """The same with other columns."""
        return replace(self, fields=fields)

    @property
    def empty(self) -> bool:
        """Nothing in it is a value."""
        numbers = self.of(FieldKind.NUMBER)
        if not numbers:
            return self.rows == 0
        return all(value is None for one in numbers for value in one.numbers())


def _number(value: Value) -> float | None:
    return value if isinstance(value, float) and not math.isnan(value) else None


def from_answer(target: PanelQuery, series: Sequence[Series], *, step: float) -> Sequence[Frame]:
    """The frames that Grafana makes of the answer to one query."""
    match target.format:
        case "table":
            return [_table(target, series)] if series else []
        case "heatmap":
            return _buckets(series, step=step)
        case _:
            return [_curve(target, one, series, step=step) for one in series]


def _curve(target: PanelQuery, series: Series, others: Sequence[Series], *, step: float) -> Frame:
    name = _name(target, series.labels, others)
    times, values = _even(series, step=0.0 if target.instant else step)
    columns = [
        Field(name="Time", kind=FieldKind.TIME, values=times),
        Field(name="Value", kind=FieldKind.NUMBER, values=values, given=name),
    ]
    return Frame(fields=columns, step=0.0 if target.instant else step)


def _even(series: Series, *, step: float) -> tuple[Sequence[float], Sequence[float | None]]:
    """With an empty value where a step is missing, so that a curve breaks there."""
    times: list[float] = []
    values: list[float | None] = []
    for at, value in series.points:
        if step and times and at - times[-1] > step * 1.5:
            times.append(times[-1] + step)
            values.append(None)
        times.append(at)
        values.append(None if math.isnan(value) else value)
    return times, values


def _name(target: PanelQuery, labels: Mapping[str, str], others: Sequence[Series]) -> str:
    if target.legend not in ("", "__auto"):
        return _LABEL.sub(lambda found: labels.get(found[1], ""), target.legend)
    bare = {key: value for key, value in labels.items() if key != "__name__"}
    if not bare:
        return labels.get("__name__", target.expr)
    keys = {key for one in others for key in one.labels if key != "__name__"}
    if len(keys) == 1:
        return next(iter(bare.values()))
    inner = ", ".join(f'{key}="{value}"' for key, value in bare.items())
    return f"{labels.get('__name__', '')}{{{inner}}}"


def _table(target: PanelQuery, series: Sequence[Series]) -> Frame:
    names = sorted({name for one in series for name in one.labels})
    rows = [(one.labels, at, value) for one in series for at, value in one.points]
    columns = [Field(name="Time", kind=FieldKind.TIME, values=[at for _, at, _ in rows])]
    columns += [
        Field(name=n, kind=FieldKind.STRING, values=[labels.get(n, "") for labels, _, _ in rows])
        for n in names
    ]
    found = [None if math.isnan(value) else value for _, _, value in rows]
    # Named after its query when there are several: the panel renames a single one.
    value = Field(name=f"Value #{target.ref}", kind=FieldKind.NUMBER, values=found)
    return Frame(fields=[*columns, value])


def single_value(frames: Sequence[Frame]) -> Sequence[Frame]:
    """With one table, its column is called ``Value``; with more, ``Value #A`` and so on."""
    tables = [one for one in frames if any(f.name.startswith("Value #") for f in one.fields)]
    if len(tables) != 1:
        return frames
    return [
        frame.keep(
            [replace(f, name="Value") if f.name.startswith("Value #") else f for f in frame.fields]
        )
        for frame in frames
    ]


def _buckets(series: Sequence[Series], *, step: float) -> Sequence[Frame]:
    """Cumulative buckets as one frame of counts per bucket, from the lowest ``le`` up."""
    known = [one for one in series if "le" in one.labels]
    ordered = sorted(known, key=lambda one: float(one.labels["le"]))
    times = sorted({at for one in ordered for at, _ in one.points})
    if not ordered:
        return []
    below: list[float] = [0.0] * len(times)
    columns = [Field(name="Time", kind=FieldKind.TIME, values=times)]
    for one in ordered:
        points: Mapping[float, float] = dict(one.points)
        upto = [points.get(at, before) for at, before in zip(times, below, strict=True)]
        counts = [max(now - before, 0.0) for now, before in zip(upto, below, strict=True)]
        columns.append(Field(name=one.labels["le"], kind=FieldKind.NUMBER, values=counts))
        below = upto
    return [Frame(fields=columns, step=step)]


def text_of(value: Value) -> str:
    """A value in a cell of text."""
    return "" if value is None else str(value)
