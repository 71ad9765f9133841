"""``lab report RUN`` and the verbs beside it: ``compare``, ``join``, ``predict``, ``published``."""

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from lab.aws.measure.folder import MeasureFolder
from lab.cli.console import out, print_line
from lab.coldstart.folder import RunFolder
from lab.report.compare import against_aws_out, measured_out
from lab.report.compare.against_aws import compare_with_aws, is_aws_run
from lab.report.compare.runs import compare_runs
from lab.report.compare.runs_out import document, write_comparison
from lab.report.formats.terminal import summary_table
from lab.report.formats.write import write_report
from lab.report.join.collect import collect
from lab.report.join.words_out import to_terminal as joined_table
from lab.report.join.write import write_join
from lab.report.predict import out as predict_out
from lab.report.predict.predict import predict as predict_run
from lab.report.study import published_out
from lab.report.summary import summarise


class _RunOrVerb(TyperGroup):
    """Takes what is no verb for the name of a run: ``lab report latest``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb ``show`` before a run, or before nothing at all."""
        verb = next((word for word in args if not word.startswith("-")), None)
        wants_help = any(word in ctx.help_option_names for word in args)
        if verb not in self.commands and not (wants_help and verb is None):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunOrVerb,
    help="Reports of runs, and of several side by side. A run is its id, its folder or latest.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def show(
    run: str = typer.Argument("latest", help="A run's id, its folder, or latest."),
) -> None:
    """Make the report of a run again and print its results (the verb may be left out)."""
    if is_aws_run(run):
        _measurement(MeasureFolder.find(run))
        return
    folder = RunFolder.find(run).path
    page = write_report(folder)
    out.print(summary_table(folder))
    print_line(f"\nReport: {page}")


def _measurement(folder: MeasureFolder) -> None:
    page = measured_out.write(folder)
    out.print(measured_out.document(folder).to_terminal())
    print_line(f"\nReport: {page}")


@app.command("published")
def print_published() -> None:
    """Print what a published study says of arm64 on AWS: nothing of it was measured here."""
    out.print(published_out.document().to_terminal())


@app.command()
def compare(
    first: str = typer.Argument(..., help="The run to compare with."),
    second: str = typer.Argument(..., help="The run that is compared."),
    folder: Path | None = typer.Option(
        None, "--out", help="Where compare.html and compare.md go; else the second run's folder."
    ),
) -> None:
    """Set two runs side by side, cell by cell, and say what else differs.

    Of a run and what `lab push measure` left, the first predicts and the second measured: each
    figure with the error of the prediction.
    """
    if is_aws_run(first) or is_aws_run(second):
        result = compare_with_aws(first, second)
        page = against_aws_out.write(result, folder or result.folder)
        out.print(against_aws_out.document(result).to_terminal())
        print_line(f"\nComparison: {page}")
        return
    before, after = RunFolder.find(first).path, RunFolder.find(second).path
    comparison = compare_runs(summarise(before), summarise(after))
    page = write_comparison(comparison, folder or after)
    out.print(document(comparison).to_terminal())
    print_line(f"\nComparison: {page}")


@app.command()
def predict(
    run: str = typer.Argument("latest", help="A run with fresh and on-demand starts."),
    fitted_by: str | None = typer.Option(
        None, "--fit", metavar="RUN", help="The run of study-quick here, if RUN is another."
    ),
    measured: list[str] = typer.Option(
        [], "--measured", metavar="RUN", help="What `lab push measure` left; repeatable."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Say what AWS will show for a run: a model fitted to published figures, and its errors.

    With --measured its constants are your own figures' as far as those tell, and not the study's.
    """
    results = summarise(RunFolder.find(run).path)
    prediction = predict_run(
        results,
        fitted_by=None if fitted_by is None else summarise(RunFolder.find(fitted_by).path),
        measured=[MeasureFolder.find(one) for one in measured],
    )
    page = predict_out.write(prediction, results.recorded.folder)
    if as_json:
        typer.echo(prediction.to_json(), nl=False)
        return
    out.print(predict_out.document(prediction).to_terminal())
    print_line(f"\nPrediction: {page}")


@app.command()
def join(
    runs: list[str] = typer.Argument(
        ..., metavar="RUN RUN...", help="Runs, also folders copied from other machines."
    ),
    folder: Path | None = typer.Option(
        None, "--out", help="Where the report goes; else a new folder beside the runs."
    ),
) -> None:
    """Set runs side by side, each with its own host's facts: nothing is pooled."""
    joined, page = write_join(collect(runs), folder)
    out.print(joined_table(joined))
    print_line(f"\nReport: {page}")
