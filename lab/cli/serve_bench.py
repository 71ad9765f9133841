"""``lab serve-bench``: what the HTTP layer costs over the model itself."""

from contextlib import closing

import typer
from rich.table import Table

from lab.bench.serving import (
    OVERHEAD_TARGET_S,
    THROUGHPUT_TARGET,
    ServeBenchOptions,
    ServingJob,
    ServingResult,
    run,
)
from lab.cli.arguments import parse_platform
from lab.cli.console import ConsoleProgress, out
from lab.engine.select import open_engine

app = typer.Typer()


@app.command()
def serve_bench(
    variant: str = typer.Option("onnx", help="Which variant to serve."),
    model: str = typer.Option("retinopathy-mobilenet", help="Which model to serve."),
    rounds: int = typer.Option(12, min=1, help="Rounds of four interleaved blocks."),
    requests: int = typer.Option(120, min=8, help="Requests per block."),
    clients: int = typer.Option(8, min=1, help="Clients, and threads in-process, at once."),
    seed: int = typer.Option(2023, help="Decides the order of blocks."),
    platform: str | None = typer.Option(
        None, help="linux/amd64 or linux/arm64; emulated if it is not the engine's own."
    ),
) -> None:
    """Measure a warm container against the same decode and model run in-process.

    Serial blocks give what HTTP adds to a request, concurrent ones how much of the in-process
    ceiling the server reaches. Blocks are interleaved; a first round is thrown away.
    """
    progress = ConsoleProgress()
    options = ServeBenchOptions(rounds=rounds, requests=requests, clients=clients, seed=seed)
    with closing(open_engine(progress)) as engine:
        job = ServingJob(
            variant=variant,
            model=model,
            options=options,
            platform=None if platform is None else parse_platform(platform),
        )
        result, path = run(job, engine, progress)
    out.print(_table(result, variant, clients, rounds))
    out.print(f"All rounds are in {path}", highlight=False, soft_wrap=True)


def _table(result: ServingResult, variant: str, clients: int, rounds: int) -> Table:
    title = f"Serving {variant}: medians of {rounds} rounds, 95 % intervals"
    if result.emulated:
        title += "; emulated, says nothing of real hardware"
    table = Table(title=title, title_justify="left")
    for name in ("", "over HTTP", "in-process", "figure", "promised", ""):
        table.add_column(name, justify="right" if name else "left")
    table.add_row(
        "one client, p50",
        f"{result.http_p50_s * 1e3:.2f} ms",
        f"{result.inprocess_p50_s * 1e3:.2f} ms",
        f"+{result.overhead_s.words(1e3, 2)} ms",
        f"≤ {OVERHEAD_TARGET_S * 1e3:.1f} ms",
        _verdict(result.overhead_reached),
    )
    table.add_row(
        f"{clients} clients, requests/s",
        f"{result.http_rps:.1f}",
        f"{result.inprocess_rps:.1f}",
        result.throughput_ratio.words(1, 3),
        f"≥ {THROUGHPUT_TARGET:.2f}",
        _verdict(result.throughput_reached),
    )
    return table


def _verdict(reached: bool | None) -> str:
    if reached is None:
        return "[dim]emulated: not judged[/dim]"
    return "[green]reached[/green]" if reached else "[yellow]not reached[/yellow]"
