"""``lab clean``."""

import typer

app = typer.Typer()
