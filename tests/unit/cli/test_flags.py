"""A dataclass of flags, as a command takes them."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from lab.cli.flags import flags


@dataclass(frozen=True, kw_only=True)
class Options:
    name: Annotated[str, typer.Argument(help="Whose.")]
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 2
    tag: Annotated[list[str] | None, typer.Option(help="Again for more.")] = None


def test_flags_arrive_as_the_fields_of_one_object() -> None:
    seen: list[Options] = []
    app = typer.Typer()

    @app.command()
    @flags
    def command(options: Options) -> None:
        """Say it."""
        seen.append(options)

    run = CliRunner().invoke
    assert run(app, ["eye"]).exit_code == 0
    assert run(app, ["eye", "--count", "3", "--tag", "a", "--tag", "b"]).exit_code == 0
    assert seen == [Options(name="eye"), Options(name="eye", count=3, tag=["a", "b"])]
    assert run(app, ["eye", "--count", "0"]).exit_code == 2
    assert run(app, []).exit_code == 2
    shown = run(app, ["--help"]).output
    assert "Say it." in shown
    assert "Again for more." in shown
