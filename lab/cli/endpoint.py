"""``lab endpoint``: the emulator's endpoints, for people without boto3 at hand."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from lab.artifacts import store
from lab.bench.emulator import EmulatorBenchOptions
from lab.bench.emulator_result import EmulatorResult, rows
from lab.bench.emulator_session import run
from lab.bench.emulator_stage import BenchSubject
from lab.cli.arguments import save
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.endpoint_record import record, replay_recording
from lab.cli.opened import emulator
from lab.contenttype import content_type_of
from lab.endpoint.client import EmulatorClient
from lab.endpoint.records import Status
from lab.engine.select import open_engine
from lab.images.build import ensure
from lab.images.variants import DEFAULT, image_ref
from lab.runfiles import read_bytes
from lab.spec import FLOOR
from lab.stack import seed
from lab.stack.settings import StackSettings

app = typer.Typer(no_args_is_help=True, help="The endpoints that `lab up` and boto3 make.")

_POLL_S = 0.1
_NAME = typer.Argument(..., help="The endpoint's name.")


@app.command("list")
def list_endpoints(
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show every endpoint and its status."""
    with emulator() as client:
        found = client.endpoints()
        changes = client.changes()
        coming = () if as_json else found
        troubles = {row["EndpointName"]: _troubles(row, client) for row in coming}
    if as_json:
        typer.echo(_json({"Endpoints": found, "Changes": changes}))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("endpoint", "status", "changed"):
        table.add_column(heading, no_wrap=True)
    for row in found:
        changed = row["LastModifiedTime"].astimezone(UTC)
        table.add_row(row["EndpointName"], row["EndpointStatus"], f"{changed:%Y-%m-%d %H:%M:%S}Z")
    out.print(table)
    for name, lines in (*troubles.items(), *changes.items()):
        for line in lines:
            print_line(f"{name}: {line}")


def _is_coming(name: str, client: EmulatorClient) -> bool:
    seen = client.call("describe_endpoint", EndpointName=name)
    status = Status(seen["EndpointStatus"])
    return status.under_way and status is not Status.DELETING


def _troubles(row: Mapping[str, Any], client: EmulatorClient) -> Sequence[str]:
    if not Status(row["EndpointStatus"]).under_way:
        return ()
    described = client.find("describe_endpoint", EndpointName=row["EndpointName"])
    return () if described is None else client.troubles(described)


@app.command()
def describe(name: str = _NAME) -> None:
    """Print what SageMaker would describe, its configuration, and its running containers."""
    with emulator() as client:
        endpoint = client.call("describe_endpoint", EndpointName=name)
        config = client.find(
            "describe_endpoint_config", EndpointConfigName=endpoint["EndpointConfigName"]
        )
        servers = client.servers(name)
        changes = client.changes().get(name, ())
    parts: Mapping[str, Any] = {
        "Endpoint": _bare(endpoint),
        "EndpointConfig": None if config is None else _bare(config),
        "Containers": servers,
        "Changes": changes,
    }
    typer.echo(_json(parts))


@app.command()
def invoke(
    name: str = _NAME,
    payload: Path = typer.Option(..., help="The file to send; - for standard input."),
    content_type: str | None = typer.Option(None, help="Its type; guessed from its name."),
    target_variant: str | None = typer.Option(None, help="Ask this production variant."),
    output: Path | None = typer.Option(None, "--out", help="Write the answer to a file."),
) -> None:
    """Send a request and print the answer."""
    kind = content_type_of(payload, content_type)
    body = (
        sys.stdin.buffer.read()
        if str(payload) == "-"
        else read_bytes(payload, remedy="Correct --payload.")
    )
    more = {"TargetVariant": target_variant} if target_variant else {}
    with emulator() as client:
        reply = client.invoke(name, body, kind, **more)
    if output is not None:
        save(output, reply.body)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(reply.body)
    if sys.stdout.isatty() and not reply.body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


@app.command()
def logs(
    name: str = _NAME,
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with what comes."),
    lines: int = typer.Option(100, min=0, help="How many of the last lines."),
) -> None:
    """Print what its containers wrote, those that are gone too."""
    with emulator() as client:
        for line in client.logs(name, lines=lines, follow=follow):
            typer.echo(line)


@app.command()
def delete(name: str = _NAME) -> None:
    """Delete an endpoint; its configuration and its model stay, as on AWS.

    AWS refuses that while it is being made or changed: here that is given up first.
    """
    with emulator() as client:
        while _is_coming(name, client):
            client.give_up(name)
            time.sleep(_POLL_S)
        client.call("delete_endpoint", EndpointName=name)
    out.print(f"{name} is being deleted.", highlight=False)


@app.command()
def cool(name: str = _NAME) -> None:
    """Drop idle serverless containers, so that the next request is a cold start."""
    with emulator() as client:
        client.scale_to_zero(name)
    out.print(f"The next request to {name} is a cold start.", highlight=False)


@app.command()
def bench(
    variant: str = typer.Option(DEFAULT, help="Which variant is compared with the floor."),
    model: str = typer.Option("retinopathy-mobilenet", help="Which model it serves."),
    rounds: int = typer.Option(12, min=2, help="Rounds of interleaved blocks."),
    order: int = typer.Option(2023, "--seed", help="Decides the order of blocks."),
) -> None:
    """Measure what the emulator adds to a request, what it carries, and whom it throttles.

    The emulator of `lab up` is measured, with endpoints that the bench makes and removes.
    """
    result, path = _measured(variant, model, EmulatorBenchOptions(rounds=rounds, seed=order))
    table = Table(title="The emulator", title_justify="left")
    for heading in ("", "found", "figure", "promised", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows(result):
        verdict = "[green]reached[/green]" if row.reached else "[yellow]not reached[/yellow]"
        table.add_row(row.what, row.found, row.figure, row.promised, verdict)
    out.print(table)
    print_line("Each endpoint had one instance, or none: no routing strategy was measured.")
    print_line(f"All rounds are in {path}")


app.command()(record)
app.command("replay")(replay_recording)


def _measured(
    variant: str, model: str, options: EmulatorBenchOptions
) -> tuple[EmulatorResult, Path]:
    settings = StackSettings(variant=variant, models=(model,))
    store.check(model, settings.runtime)
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        platform = engine.facts().platform
        ensure([variant, FLOOR], platform=platform, engine=engine, progress=progress)
        payload = store.payload(model)
        archive = store.find(model, settings.runtime)
        with emulator() as client:
            key = seed.key_of(archive)
            client.ensure_bucket(settings.bucket)
            client.upload(archive.path, settings.bucket, key)
            subject = BenchSubject(
                image=image_ref(variant, platform),
                model_data=f"s3://{settings.bucket}/{key}",
                archive=archive.path,
                payload=payload.path.read_bytes(),
                content_type=payload.content_type,
            )
            return run(
                subject,
                options,
                floor=image_ref(FLOOR, platform),
                client=client,
                engine=engine,
                progress=progress,
            )


def _bare(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _json(value: Any) -> str:
    def plain(item: Any) -> str:
        return item.isoformat() if isinstance(item, datetime) else str(item)

    return json.dumps(value, indent=2, default=plain)
