"""``lab models show``: a model's card as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from lab.artifacts import store
from lab.cli.console import out
from lab.cli.models_quantised import quantised_table
from lab.units import format_bytes

_CHOSEN = "→"


def show(
    model: str = typer.Argument(..., help="Which model: see `lab models list`."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as it is."),
) -> None:
    """Show a model's card: what it is and takes, how good it is, and how it starts quickest."""
    card = store.card(model)
    if as_json:
        out.print_json(json.dumps(card))
        return
    for table in tables(card):
        out.print(table)
    if beside := quantised_table(card):
        out.print(beside)
    if why := card.get("starts", {}).get("why"):
        out.print(f"{_CHOSEN} what the archive holds: {why}", markup=False, highlight=False)


def tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """One for each part of the card that there is."""
    yield _rows(card["name"], list(_facts(card)))
    if metrics := list(_figures(card.get("metrics", {}))):
        yield _rows("Metrics", metrics)
    if files := _files(card):
        yield _rows("Files", files)
    if starts := card.get("starts"):
        yield _starts(starts)


def _facts(card: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    training = card.get("training", {})
    yield "task", card.get("task", "")
    if "origin" in training:
        yield "learnt from", f"{training['origin']} ({training.get('weights', '')} weights)"
    if "statement" in training:
        yield "", training["statement"]
    if card.get("parameters"):
        yield "parameters", f"{card['parameters']:,}"
    for kind in ("inputs", "outputs"):
        for one in card.get(kind, []):
            yield kind[:-1], f"{one['name']}: {one.get('dtype', '')} {_shape(one.get('shape', []))}"
    if card.get("labels"):
        yield "labels", ", ".join(card["labels"])
    if "memory" in card:
        yield "memory", f"{format_bytes(card['memory']['peak_bytes'])}, beyond the service's own"
    if "max_abs_difference" in card.get("parity", {}):
        parity = card["parity"]
        yield (
            "runtimes differ",
            f"by {parity['max_abs_difference']:.1g} at most, of {parity['n']} inputs",
        )


def _shape(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _figures(metrics: Mapping[str, Any], of: str = "") -> Iterator[Sequence[str]]:
    """Numbers, and those of groups by the group's name; tables are the card's alone."""
    for name, value in metrics.items():
        said = f"{of}, {name}" if of else name
        if isinstance(value, Mapping):
            if "value" in value and "interval" in value:
                low, high = value["interval"]
                yield said, f"{value['value']:.3g} ({low:.3g} to {high:.3g})"
            else:
                yield from _figures(value, said)
        elif isinstance(value, (int, float)):
            yield said, f"{value:.3g}" if isinstance(value, float) else f"{value:,}"


def _files(card: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    sums = card.get("sha256", {})
    return [
        (name, format_bytes(size), sums.get(name, "")[:12])
        for name, size in card.get("bytes", {}).items()
    ]


def _starts(starts: Mapping[str, Any]) -> Table:
    table = Table(
        title=f"Ways to start on {starts['processor'] or 'this processor'} ({starts['family']}), "
        f"one thread, least of {starts['rounds']} rounds: ms of processor time (of wall clock)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in ("", "way", "file", "load", "first", "warm", "peak memory", ""):
        table.add_column(name, justify="right" if name not in {"", "way"} else "left")
    for row in starts["rows"]:
        table.add_row(
            _CHOSEN if row["name"] == starts["chosen"] else "",
            row["name"],
            format_bytes(row["bytes"]),
            *(_time(row, what) for what in ("load", "first", "warm")),
            format_bytes(row["peak_bytes"]),
            _barred(row),
        )
    return table


def _time(row: Mapping[str, Any], what: str) -> str:
    return f"{row[f'{what}_cpu_ms']:.1f} ({row[f'{what}_ms']:.1f})"


def _barred(row: Mapping[str, Any]) -> str:
    """Why it cannot be chosen, whatever its figures."""
    if not row["same"]:
        return "other answers"
    return "" if row["portable"] else "this family only"


def _rows(title: str, rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*map(Text, row))  # names may hold brackets
    return table
