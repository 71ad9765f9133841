"""``lab endpoint record`` and ``replay``: what AWS answers, and what the emulator would."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from botocore.credentials import Credentials
from rich.markup import escape
from rich.table import Table

from lab.aws.recorder.proxy import Recorder
from lab.aws.recorder.replay import Replacements, Replayed, replay, summary
from lab.aws.recorder.session import AWS, new_file, read, upstream
from lab.cli.console import out, print_line
from lab.endpoint.addresses import Addresses, checked
from lab.errors import PortTakenError, UsageError
from lab.runfiles import read_bytes

DIFFERENT = 9
"""Exit code when an answer differs, as of a contract that is broken."""


def record(
    to: str = typer.Option(AWS, help="aws, local (the emulator), or a URL."),
    port: int = typer.Option(8801, min=0, max=65535, help="Where to listen, on 127.0.0.1."),
    profile: str | None = typer.Option(None, help="AWS's profile."),
    region: str | None = typer.Option(None, help="AWS's region."),
    payloads: bool = typer.Option(
        False, "--payloads", help="Keep what goes to models and comes from them, too."
    ),
    file: Path | None = typer.Option(None, "--out", help="The file; else a folder in runs/."),
) -> None:
    """Pass a program's calls on to AWS, and keep what was asked and answered.

    Kept are status, headers, AWS's own words and the parameters of the control plane; of payloads
    the size and sha256; no credentials, no account number, no value of Environment.
    """
    where = upstream(to, profile=profile, region=region)
    kept = new_file(file)
    try:
        recorder = Recorder(where, kept.append, port=port, payloads=payloads)
    except OSError as error:
        raise PortTakenError(
            f"Port {port} cannot be listened on: {error.strerror}.", remedy="Choose another --port."
        ) from error
    url = f"http://127.0.0.1:{recorder.port}"
    print_line(f"Recording to {kept.path}. Run your program with")
    print_line(f"export AWS_ENDPOINT_URL_SAGEMAKER={url} AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={url}")
    print_line(f"Its calls go on to {where.control}. Ctrl-C ends it.")
    try:
        recorder.serve()
    except KeyboardInterrupt:
        pass
    finally:
        recorder.close()
    print_line(f"\nCalls in {kept.path}: {recorder.kept}")
    if recorder.broken_off:
        print_line(f"Calls that were under way and are not in it: {recorder.broken_off}")
    if recorder.kept:
        print_line(f"lab endpoint replay {kept.path}    asks the emulator the same")


def replay_recording(
    recording: Path = typer.Argument(..., help="The file that was recorded, or its folder."),
    at: str = typer.Option("", help="Whom to ask; else the emulator of `lab up`."),
    text: list[str] = typer.Option(
        [], "--map", help="RECORDED=INSTEAD, for an image or a bucket; again for more."
    ),
    env: list[str] = typer.Option([], help="NAME=VALUE of Environment, which is not recorded."),
    payload: Path | None = typer.Option(
        None, help="What to send to models where no payload was kept; else zeros of its size."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Ask the emulator what was recorded, and show in what its answers differ.

    Status, code, form of the message, headers, members and order; the exit code is 9 if any does.
    """
    found = Addresses.find()
    key, secret = (os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    replacements = Replacements(
        texts=_pairs(text, "--map"),
        environment=_pairs(env, "--env"),
        payload=None if payload is None else read_bytes(payload, remedy="Correct --payload."),
        credentials=Credentials(key or "test", secret or "test"),
        region=found.region if found else "us-east-1",
    )
    url = at or (found.sagemaker if found else "")
    if not url:
        raise UsageError(
            "No emulator is known here.", remedy="Start it with `lab up`, or use --at."
        )
    checked(url, "--at")
    asked = []
    for one in replay(read(recording), url=url, replacements=replacements):
        asked.append(one)
        if not as_json:
            _show(one)
    different = [one for one in asked if one.differences]
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in asked], indent=2))
    else:
        print_line(f"\n{len(asked)} calls asked again, {len(different)} answered otherwise.")
    if different:
        raise typer.Exit(DIFFERENT)


def _show(one: Replayed) -> None:
    mark = "[red]✗[/red]" if one.differences else "[green]✓[/green]"
    said = escape(summary(one))
    out.print(f"{mark} {one.pair.asked.operation}  [dim]{said}[/dim]", highlight=False)
    if not one.differences:
        return
    table = Table(box=None, padding=(0, 2, 0, 4))
    for heading in ("", "recorded", "here"):
        table.add_column(heading, overflow="fold")
    for each in one.differences:
        table.add_row(each.what, escape(each.recorded), escape(each.replayed))
    out.print(table)


def _plain(one: Replayed) -> Mapping[str, object]:
    return {
        "number": one.pair.number,
        "operation": one.pair.asked.operation,
        "status": one.answered.status,
        "differences": [asdict(each) for each in one.differences],
    }


def _pairs(given: Sequence[str], flag: str) -> Mapping[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"{text!r} is not NAME=VALUE.", remedy=f"Write {flag} NAME=VALUE.")
        found[name] = value
    return found
