"""``lab models``: build, list, verify, import and remove."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from lab.artifacts import store
from lab.cli import models_import, models_show
from lab.cli.console import ConsoleProgress, fail, out
from lab.errors import UsageError
from lab.spec import Runtime
from lab.units import format_bytes

app = typer.Typer(no_args_is_help=True)
app.command("show")(models_show.show)


@app.command()
def build(
    models: list[str] | None = typer.Argument(None, help="Which models; all if none is named."),
    data: Path | None = typer.Option(
        None,
        "--data",
        help="A folder with a data set: APTOS 2019 (train.csv and the images) for classifiers; "
        "Yoochoose, Diginetica or RetailRocket for the recommender.",
    ),
    retrain: bool = typer.Option(
        False, "--retrain", help="Train anew instead of taking the weights in the repository."
    ),
    force: bool = typer.Option(False, "--force", help="Build again though nothing has changed."),
) -> None:
    """Build the models that are missing or made from something else by now.

    Their weights are in the repository, so that this takes half a minute; --retrain and --data
    train anew, which takes minutes. Without --data models learn from pictures that the project
    draws, and sessions that it generates. Their cards say which it was.
    """
    from lab.artifacts.build import ensure
    from lab.artifacts.datasets import learns_from
    from lab.engine.select import open_engine

    wanted = models or list(store.buildable())
    for model in wanted:
        store.folder(model)
    if data is not None and not models:
        wanted = [model for model in wanted if learns_from(model, data)] or wanted
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        ensure(wanted, engine=engine, progress=progress, data=data, retrain=retrain, force=force)
    out.print(_table())


@app.command("list")
def list_models() -> None:
    """Show every model: how good it is, and what its archives weigh (sha256: the ONNX one)."""
    out.print(_table())


@app.command()
def verify(
    models: list[str] | None = typer.Argument(
        None, help="Which models; all that are built if none."
    ),
) -> None:
    """Compare built models with their cards: sums, archives, descriptions."""
    from lab.artifacts.verify import problems

    wanted = models or [model for model in store.models() if _built(model)]
    if not wanted:
        raise UsageError("No model is built.", remedy="Build them: `lab models build`.")
    wrong = 0
    for model in wanted:
        found = problems(model)
        wrong += len(found)
        if not found:
            out.print(f"[green]✓[/green] {model}")
        for problem in found:
            fail(f"{model}: {problem}", "")
    if wrong:
        fail("", "Build again what is wrong: `lab models build --force`.")
        raise typer.Exit(1)


app.command("import")(models_import.import_model)
app.command()(models_import.remove)


def _built(model: str) -> bool:
    return (store.folder(model) / store.CARD).is_file()


def _table() -> Table:
    table = Table(
        title="Models", title_justify="left", box=None, pad_edge=False, collapse_padding=True
    )
    for name in (
        "model",
        "data",
        "parameters",
        "quality",
        *(one.value for one in Runtime),
        "sha256",
    ):
        left = name in {"model", "data", "quality", "sha256"}
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for model in store.models():
        if not _built(model):
            table.add_row(model, "not built")
            continue
        card = store.card(model)
        sums = card["sha256"]
        names = [store.archive_name(one) for one in Runtime]
        table.add_row(
            model,
            card.get("training", {}).get("origin", ""),
            f"{card.get('parameters', 0):,}",
            _quality(card.get("metrics", {})),
            *(format_bytes(card["bytes"][name]) if name in sums else "-" for name in names),
            next(sums[name][:8] for name in reversed(names) if name in sums),
        )
    return table


def _quality(metrics: Mapping[str, Any]) -> str:
    """The first figure: by what the model is judged."""
    figures = ((name, value) for name, value in metrics.items() if isinstance(value, float))
    return next((f"{name} {value:.3g}" for name, value in figures), "")
