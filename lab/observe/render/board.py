"""Dashboard files as Grafana 11 writes them, read into what drawing needs."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from lab.errors import UsageError

_GRAFANAS_OWN: Final = frozenset({"grafana", "datasource"})
_COLUMNS: Final = 24
_GAP: Final = 8
_PAGE: Final = 1280
_MARGIN: Final = 32
"""Pixels, but for the columns."""


class _Part(BaseModel):
    """Of a dashboard's JSON what is drawn; what is null or empty there is as if it were absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        return {key: value for key, value in raw.items() if value not in (None, "")}


class PanelQuery(_Part):
    """One query of a panel."""

    ref: str = Field(alias="refId")
    expr: str
    legend: str = Field(default="__auto", alias="legendFormat")
    instant: bool = False
    format: str = "time_series"
    """``time_series``, ``table`` or ``heatmap``."""


class GridPosition(_Part):
    """Where a panel stands, in cells of a grid of 24 columns."""

    x: int = 0
    y: int = 0
    w: int = 12
    h: int = 8


class Panel(_Part):
    """A panel as its file has it; foreign parts stay as JSON."""

    title: str = ""
    kind: str = Field(alias="type")
    place: GridPosition = Field(default_factory=GridPosition, alias="gridPos")
    description: str = ""
    targets: Sequence[PanelQuery] = ()
    since: str = Field(default="", alias="timeFrom")
    """A range of its own instead of the board's, such as ``24h``."""
    source: Mapping[str, Any]
    """All of it, but for what is switched off."""

    @model_validator(mode="before")
    @classmethod
    def _switched_on(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        targets = [one for one in raw.get("targets") or [] if not one.get("hide")]
        changes = [one for one in raw.get("transformations") or [] if not one.get("disabled")]
        queries = [
            # With both, Grafana draws the range; the instant one is for tables in Explore.
            {"refId": letter, **one, "instant": bool(one.get("instant")) and not one.get("range")}
            for letter, one in zip(ascii_uppercase, targets, strict=False)
            if "expr" in one
        ]
        own = {**raw, "targets": targets, "transformations": changes}
        return {**raw, "targets": queries, "source": own}

    @property
    def options(self) -> Mapping[str, Any]:
        """What its kind alone has."""
        return self.source.get("options") or {}

    @property
    def defaults(self) -> Mapping[str, Any]:
        """How its columns are shown, unless an override says otherwise."""
        return (self.source.get("fieldConfig") or {}).get("defaults") or {}

    @property
    def width(self) -> int:
        """Pixels on a page of 1280."""
        column = (_PAGE - _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
        return round(self.place.w * (column + _GAP) - _GAP)


class Variable(_Part):
    """A choice at the top of a board."""

    name: str
    kind: str = Field(alias="type")
    label: str = ""
    query: str = ""
    regex: str = ""
    multi: bool = False
    include_all: bool = Field(default=False, alias="includeAll")
    all_value: str = Field(default="", alias="allValue")
    sort: int = 0
    current: Sequence[str] = ()

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        query, value = raw.get("query"), (raw.get("current") or {}).get("value")
        values = value if isinstance(value, list) else [value]
        return {
            **raw,
            "query": query.get("query") if isinstance(query, Mapping) else query,
            "current": [str(one) for one in values if one not in (None, "")],
        }


class Annotation(_Part):
    """Moments that Prometheus knows, drawn over every curve."""

    name: str = ""
    expr: str = Field(
        default="", validation_alias=AliasChoices("expr", AliasPath("target", "expr"))
    )
    colour: str = Field(default="blue", alias="iconColor")
    title: str = Field(default="", alias="titleFormat")
    text: str = Field(default="", alias="textFormat")
    step: str = "60s"
    value_is_time: bool = Field(default=False, alias="useValueForTime")


class BoardLink(_Part):
    """A link at the top of a board."""

    title: str = ""
    url: str = ""


class GrafanaBoard(_Part):
    """A dashboard."""

    uid: str
    title: str
    panels: Sequence[Panel] = ()
    description: str = ""
    variables: Sequence[Variable] = Field(
        default=(), validation_alias=AliasPath("templating", "list")
    )
    annotations: Sequence[Annotation] = ()
    elsewhere: Sequence[str] = ()
    """Annotations that only Grafana keeps, by name: they cannot be drawn from Prometheus."""
    links: Sequence[BoardLink] = ()
    since: str = Field(default="now-1h", validation_alias=AliasPath("time", "from"))
    until: str = Field(default="now", validation_alias=AliasPath("time", "to"))

    @model_validator(mode="before")
    @classmethod
    def _annotated(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        marks = (raw.get("annotations") or {}).get("list") or []
        marks = [mark for mark in marks if mark.get("enable", True) and not mark.get("builtIn")]
        return {
            **raw,
            "annotations": [mark for mark in marks if not _of_grafana(mark)],
            "elsewhere": [str(mark.get("name", "")) for mark in marks if _of_grafana(mark)],
        }


def find(folder: Path, chosen: Sequence[str] = ()) -> Sequence[GrafanaBoard]:
    """The boards of a folder in the order of their links, or those chosen by uid, title or file.

    Raises ``UsageError`` for a folder without boards, a name that none has, or a broken file.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UsageError(
            f"There is no dashboard in {folder}.", remedy="Make them: lab observe boards."
        )
    known = {file: read(file) for file in files}
    if not chosen:
        return _as_linked(list(known.values()))
    found = []
    for name in chosen:
        fits = [b for f, b in known.items() if name in (b.uid, b.title, f.name, f.stem)]
        fits += [b for b in known.values() if b.uid == f"lab-{name}" and b not in fits]
        if not fits:
            there = ", ".join(board.uid for board in known.values())
            raise UsageError(f"No board is called {name!r}.", remedy=f"There are: {there}.")
        found.append(fits[0])
    return found


def _as_linked(boards: Sequence[GrafanaBoard]) -> Sequence[GrafanaBoard]:
    """As the boards' own links have them; a board does not link to itself, two do for all."""
    after: dict[str, set[str]] = {board.uid: set() for board in boards}
    for board in boards:
        order = [link.url.rsplit("/", 1)[-1] for link in board.links]
        for place, uid in enumerate(order):
            if uid in after:
                after[uid] |= set(order[:place])
    return sorted(boards, key=lambda board: (len(after[board.uid]), board.title))


def read(file: Path) -> GrafanaBoard:
    """A dashboard's file. Raises ``UsageError`` that names it when it is none."""
    try:
        return GrafanaBoard.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        why = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UsageError(
            f"{file} is not a Grafana dashboard: {why}.",
            remedy="Make it again: lab observe boards.",
        ) from error


def _of_grafana(mark: Mapping[str, Any]) -> bool:
    source = mark.get("datasource")
    return isinstance(source, Mapping) and source.get("type") in _GRAFANAS_OWN


def link_to(url: str, uids: Sequence[str]) -> str:
    """A link to a board on the same page; empty for one to anywhere else of Grafana."""
    found = re.match(r"^(?:https?://[^/]+)?/?d/([^/?#]+)", url)
    if found:
        return f"#{found[1]}" if found[1] in uids else ""
    return url if url.startswith(("https://", "http://")) else ""
