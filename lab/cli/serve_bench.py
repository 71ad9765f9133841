"""``lab serve-bench``: what the HTTP layer costs over the model itself."""

import json
from contextlib import closing
from dataclasses import asdict

import typer
from rich.table import Table

from lab.bench import peers as peers_bench
from lab.bench.peers import PEERS, PeersResult, Target, Way
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
from lab.errors import UsageError

app = typer.Typer()


@app.command()
def serve_bench(  # noqa: PLR0913, PLR0917 - each is a flag
    variant: str = typer.Option("onnx", help="Which variant to serve."),
    model: str = typer.Option("retinopathy-mobilenet", help="Which model to serve."),
    rounds: int = typer.Option(12, min=1, help="Rounds of four interleaved blocks."),
    requests: int = typer.Option(120, min=8, help="Requests per block."),
    clients: int = typer.Option(8, min=1, help="Clients, and threads in-process, at once."),
    seed: int = typer.Option(2023, help="Decides the order of blocks."),
    platform: str | None = typer.Option(
        None, help="linux/amd64 or linux/arm64; emulated if it is not the engine's own."
    ),
    peers: bool = typer.Option(
        False, "--peers", help="onnx and onnx-slim beside plain FastAPI and NGINX with Flask."
    ),
    way: Way = typer.Option(Way.CONTAINERS, "--as", help="How the servers of --peers run."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Measure a warm container against the same decode and model run in-process.

    Serial blocks give what HTTP adds to a request, concurrent ones how much of the in-process
    ceiling the server reaches. Blocks are interleaved; a first round is thrown away.
    """
    progress = ConsoleProgress()
    options = ServeBenchOptions(rounds=rounds, requests=requests, clients=clients, seed=seed)
    if peers:
        _peers(model, options, way, progress, as_json=as_json, platform=platform)
        return
    with closing(open_engine(progress)) as engine:
        job = ServingJob(
            variant=variant,
            model=model,
            options=options,
            platform=None if platform is None else parse_platform(platform),
        )
        result, path = run(job, engine, progress)
    if as_json:
        typer.echo(json.dumps({**asdict(result), "file": str(path)}, indent=2))
        return
    out.print(_table(result, variant, clients, rounds))
    out.print(f"All rounds are in {path}", highlight=False, soft_wrap=True)


def _peers(
    model: str,
    options: ServeBenchOptions,
    way: Way,
    progress: ConsoleProgress,
    *,
    as_json: bool,
    platform: str | None,
) -> None:
    if platform is not None:
        raise UsageError(
            "--peers compares what the engine runs itself.", remedy="Leave out --platform."
        )
    if options.clients == 1:
        raise UsageError("--peers compares several clients with one.", remedy="Raise --clients.")
    result, path = peers_bench.run(model, options, way, progress)
    if as_json:
        typer.echo(json.dumps({**asdict(result), "file": str(path)}, indent=2))
        return
    out.print(_servers(result, options))
    out.print(_targets(result))
    out.print(f"All rounds are in {path}", highlight=False, soft_wrap=True)


def _servers(result: PeersResult, options: ServeBenchOptions) -> Table:
    title = f"As {result.way}: medians of {options.rounds} rounds"
    table = Table(title=title, title_justify="left")
    for name in ("", "p50, 1 client", "/ FastAPI's", f"req/s, {options.clients}", "/ FastAPI's"):
        table.add_column(name, justify="right" if name else "left")
    for row in result.rows:
        table.add_row(
            PEERS.get(row.server, row.server if row.http else f"{row.server}, in-process"),
            f"{row.p50_s * 1e3:.2f} ms",
            f"{row.p50_of_fastapi.value:.3f}",
            f"{row.rps:.1f}",
            f"{row.rps_of_fastapi.value:.3f}",
        )
    return table


def _targets(result: PeersResult) -> Table:
    table = Table(title="To reach, with 95 % intervals", title_justify="left")
    for name in ("server", "what", "figure", "target", ""):
        table.add_column(name, justify="right" if name in ("figure", "target") else "left")
    for one in result.targets:
        table.add_row(
            one.server,
            one.what,
            one.figure.words(one.scale, 3),
            _limit(one),
            _verdict(one.reached),
        )
    return table


def _limit(one: Target) -> str:
    return f"{'≥' if one.at_least else '≤'} {one.limit * one.scale:g}"


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
