"""What is in an image's layers, as tables on a terminal."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.images.layers.hidden import HiddenFile
from lab.images.layers.inside import Inside, InsideLayer
from lab.images.layers.leftovers import Leftover
from lab.units import format_bytes

_SHOWN: Final = 6
_NEGLIGIBLE: Final = 1_000_000
"""Layers and rows of fewer bytes are not looked into; JSON has all."""
_WIDTH: Final = 90
_HIDDEN: Final = (
    "pulled and hidden by later layers: remove or change files in the step that makes them, or "
    "copy only what is needed from a first stage."
)


def inside_tables(ref: str, found: Inside) -> RenderableType:
    """A line for every layer; then what is in those that weigh, and what could be spared."""
    parts: list[RenderableType] = [
        Text(f"{ref}, bottom layer first", "bold"),
        _layers(found),
    ]
    for layer in found.layers:
        if layer.size >= _NEGLIGIBLE:
            parts += ["", *_inside(layer)]
    parts += ["", *_spared(found)]
    return Group(*parts)


def _layers(found: Inside) -> Table:
    table = Table()
    known = any(layer.compressed_bytes is not None for layer in found.layers)
    for heading in ("layer", *(["compressed"] if known else []), "unpacked", "hidden", "left over"):
        table.add_column(heading, justify="right")
    table.add_column("made by", overflow="fold")
    for layer in found.layers:
        left = sum(one.size for one in layer.leftovers if not one.kind.wanted)
        table.add_row(
            str(layer.number),
            *([_bytes(layer.compressed_bytes or 0)] if known else []),
            format_bytes(layer.size),
            _bytes(layer.hidden_bytes),
            _bytes(left),
            Text(_short(layer.command)),
        )
    table.add_section()
    table.add_row(
        "all",
        *([_bytes(sum(layer.compressed_bytes or 0 for layer in found.layers))] if known else []),
        format_bytes(found.size),
        _bytes(found.hidden_bytes),
        _bytes(found.leftover_bytes),
        "",
    )
    return table


def _inside(layer: InsideLayer) -> Iterator[RenderableType]:
    title = Text(f"Layer {layer.number}", "bold").append(
        f"  {format_bytes(layer.size)} in {layer.file_count} files", "dim"
    )
    yield title
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    packages = [
        (size, f"{manager}: {name}" if manager else name)
        for (manager, name), size in layer.packages
    ]
    _rows(table, "packages and folders", packages)
    _rows(table, "largest files", [(one.size, one.path) for one in layer.largest])
    _rows(table, "hidden", [(one.size, _how(one)) for one in layer.hidden])
    _rows(table, "left over", [(one.size, _what(one)) for one in layer.leftovers])
    yield Padding(table, (0, 0, 0, 2))


def _rows(table: Table, title: str, rows: Sequence[tuple[int, str]]) -> None:
    for number, (size, text) in enumerate(rows[:_SHOWN]):
        table.add_row("" if number else title, format_bytes(size), Text(text))


def _spared(found: Inside) -> Iterator[RenderableType]:
    alike: dict[str, list[Leftover]] = {}
    for layer in found.layers:
        for one in layer.leftovers:
            if not one.kind.wanted:
                alike.setdefault(one.change, []).append(one)
    changes = [(sum(one.size for one in of), change, of) for change, of in alike.items()]
    lines = [
        (size, f"{' and '.join(one.folder for one in of)}: {change[0].upper()}{change[1:]}.")
        for size, change, of in sorted(changes, key=lambda each: -each[0])[:_SHOWN]
    ]
    lines.append((found.hidden_bytes, _HIDDEN))
    large = [(size, text) for size, text in lines if size >= _NEGLIGIBLE]
    if not large:
        yield Text("Nothing to speak of is hidden by a later layer or left over from the build.")
        return
    yield Text("What could be spared", "bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for size, text in large:
        table.add_row(format_bytes(size), Text(text))
    yield Padding(table, (0, 0, 0, 2))


def _how(one: HiddenFile) -> str:
    return f"/{one.path} ({'removed' if one.removed else 'replaced'} by layer {one.layer})"


def _what(one: Leftover) -> str:
    gone = "" if one.gone_in is None else f", removed by layer {one.gone_in}"
    return f"{one.folder} ({one.kind.name}{gone})"


def _short(command: str) -> str:
    return command if len(command) <= _WIDTH else f"{command[: _WIDTH - 1]}…"


def _bytes(count: int) -> str:
    return format_bytes(count) if count else "-"
