"""Frames as single numbers: what stat, gauge and bar gauge show."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.observe.render import calcs
from lab.observe.render.frames import Field, FieldKind, Frame, Value, text_of
from lab.observe.render.panels.views import Sheet
from lab.observe.render.settings import Look, look_of


@dataclass(frozen=True, kw_only=True)
class PanelReading:
    """A number with its name, its settings and where it came from."""

    name: str
    value: Value
    look: Look
    colour: str
    low: float
    high: float
    series: Sequence[float | None]

    @property
    def text(self) -> str:
        return self.look.text(self.value)

    @property
    def share(self) -> float:
        """Per cent of the way from ``low`` to ``high``."""
        if not isinstance(self.value, float) or self.high <= self.low:
            return 0.0
        return min(max((self.value - self.low) / (self.high - self.low), 0.0), 1.0) * 100


def readings(sheet: Sheet) -> Sequence[PanelReading]:
    """One for each series, or for each row if the panel says so."""
    how = sheet.panel.options.get("reduceOptions") or {}
    calc = (how.get("calcs") or ["lastNotNull"])[0]
    found: list[tuple[str, Value, Look, Sequence[float | None]]] = []
    for frame in sheet.answer.frames:
        for one in _chosen(frame, str(how.get("fields") or "")):
            look = look_of(sheet.panel, one, frame)
            if how.get("values"):
                rows = zip(_row_names(frame, look.name), one.values, strict=True)
                found += [(name, value, look, ()) for name, value in rows]
            elif one.kind is FieldKind.NUMBER:
                numbers = one.numbers()
                found.append((look.name, calcs.reduced(numbers, calc), look, numbers))
            else:
                last = next((v for v in reversed(one.values) if v is not None), None)
                found.append((look.name, last, look, ()))
    present = [value for _, value, _, _ in found if isinstance(value, float)]
    low, high = min([0.0, *present]), max(present, default=100.0)
    made = []
    for place, (name, value, look, series) in enumerate(found[: int(how.get("limit") or 60)]):
        least = low if look.low is None else float(look.low)
        most = high if look.high is None else float(look.high)
        colour = look.of_value(value, low=least, high=most, place=place)
        made.append(
            PanelReading(
                name=name,
                value=value,
                look=look,
                colour=colour,
                low=least,
                high=most,
                series=series,
            )
        )
    return made


def _chosen(frame: Frame, pattern: str) -> Sequence[Field]:
    if not pattern:
        return frame.of(FieldKind.NUMBER)
    bare = re.sub(r"^/(.*)/\w*$", r"\1", pattern)
    return [one for one in frame.fields if re.search(bare, one.display)]


def _row_names(frame: Frame, otherwise: str) -> Sequence[str]:
    words = frame.of(FieldKind.STRING)
    if not words:
        return [otherwise] * frame.rows
    return [" ".join(text_of(one.values[n]) for one in words) for n in range(frame.rows)]
