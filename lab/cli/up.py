"""``lab up``: the stack, seeded, and how to use it."""

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing

import typer
from rich.markup import escape
from rich.table import Table

from lab.artifacts import store
from lab.cli.console import ConsoleProgress, fail, out, print_line, program
from lab.endpoint.records import Status
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.locate import candidates
from lab.engine.select import open_engine
from lab.images.variants import DEFAULT
from lab.paths import IN_CHECKOUT, ROOT
from lab.services import Started
from lab.stack import sdk
from lab.stack.seed import SeededEndpoint
from lab.stack.session import Stack
from lab.stack.session import up as start
from lab.stack.settings import MODEL, StackSettings

app = typer.Typer()

_FAILED = 1


@app.command()
def up(
    variant: str = typer.Option(DEFAULT, help="Which variant the endpoints serve."),
    model: list[str] = typer.Option([MODEL], help="Have endpoints of this model; repeatable."),
) -> None:
    """Start the SageMaker look-alike and leave two endpoints of a model, ready to be called.

    Builds what is missing and changes nothing that is there: a second time takes seconds, and
    endpoints of other models stay as they were.
    """
    models = tuple(dict.fromkeys(model))
    for name in models:
        store.folder(name)
    settings = StackSettings(variant=variant, models=models)
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        stack = start(settings, engine, progress)
        watching = to_watch(engine)
    out.print(services_table(stack.services))
    out.print()
    out.print(endpoint_lines(stack), highlight=False, soft_wrap=True)
    out.print()
    print_line(how_to(stack, with_keys=not settings.env.get("AWS_ACCESS_KEY_ID")))
    if watching:
        print_line(f"\n{watching}")
    _complain([one for one in stack.endpoints if one.model in models])


def services_table(services: Sequence[Started]) -> Table:
    """Where each service answers and what it was made from."""
    table = Table(box=None, pad_edge=False, title="Services", title_justify="left")
    for heading in ("service", "URL", "what it is", "where it comes from"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"service", "URL"})
    for one in services:
        table.add_row(
            one.service.name,
            one.url or "[yellow]not started[/yellow]",
            one.service.what,
            escape(one.origin),
        )
    return table


def endpoint_lines(stack: Stack) -> str:
    """Each endpoint and where curl finds it, in Rich's markup.

    No table of Rich's: on a narrow terminal it would break a URL in pieces.
    """
    rows = [(one.name, one.kind, one.status, _url(stack, one.name)) for one in stack.endpoints]
    heads = ("endpoint", "kind", "status", "URL")
    name, kind, status = (max(len(row[at]) for row in (heads, *rows)) for at in range(3))
    lines = [
        "[italic]Endpoints[/italic]",
        f"[bold]{heads[0]:<{name}}  {heads[1]:<{kind}}  {heads[2]:<{status}}  {heads[3]}[/bold]",
    ]
    for one in stack.endpoints:
        style = "green" if one.status == Status.IN_SERVICE else "red"
        said = f"[{style}]{one.status:<{status}}[/{style}]"
        lines.append(f"{one.name:<{name}}  {one.kind:<{kind}}  {said}  {_url(stack, one.name)}")
        if one.note:
            lines.append(f"  {escape(one.note)}")
    return "\n".join(lines)


def how_to(stack: Stack, *, with_keys: bool) -> str:
    """Commands to paste: for this shell, then the three ways to invoke the first endpoint."""
    where, name = stack.addresses, stack.endpoints[0].name
    keys = (
        "export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test   # any will do\n"
        if with_keys
        else ""
    )
    return f"""\
For programs in this shell:
export AWS_ENDPOINT_URL_SAGEMAKER={where.sagemaker}
export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={where.sagemaker}
export AWS_ENDPOINT_URL_STS={where.sagemaker}
export AWS_ENDPOINT_URL_IAM={where.sagemaker}
export AWS_ENDPOINT_URL_S3={where.s3}
export AWS_DEFAULT_REGION={where.region}
{keys}export {sdk.VARIABLE}={shlex.quote(str(stack.sdk_settings))}   # SageMaker's SDKs: a bucket

AWS CLI (before version 2.13 it does not know the variables above, hence the first flag):
aws --endpoint-url {where.sagemaker} sagemaker-runtime invoke-endpoint --endpoint-name {name} \\
    --content-type {stack.content_type} --body fileb://{stack.payload} answer.json

boto3:
boto3.client("sagemaker-runtime").invoke_endpoint(EndpointName="{name}",
    ContentType="{stack.content_type}", Body=open("{stack.payload}", "rb"))["Body"].read()

curl (no signature needed):
curl -H 'Content-Type: {stack.content_type}' --data-binary @{stack.payload} \\
    {_url(stack, name)}

Without any of them: {program()} endpoint invoke {name} --payload {stack.payload}"""


def to_watch(engine: Engine, env: Mapping[str, str] = os.environ) -> str | None:
    """What `docker compose` has to be told before it finds the services; None without it."""
    if not IN_CHECKOUT or not isinstance(engine, DockerEngine):
        return None
    asked = next(candidates(env)).address
    first = "" if asked == engine.address else f"export DOCKER_HOST={shlex.quote(engine.address)}; "
    return f"What runs, and its logs, in {ROOT}:\n{first}docker compose ps; docker compose logs"


def _url(stack: Stack, name: str) -> str:
    return f"{stack.addresses.sagemaker}/endpoints/{name}/invocations"


def _complain(endpoints: Sequence[SeededEndpoint]) -> None:
    bad = [one for one in endpoints if one.reason or one.status != Status.IN_SERVICE]
    for one in bad:
        fail(
            f"{one.name} is {one.status}: {one.reason or 'no reason is known'}",
            f"See `lab endpoint logs {one.name}`; `lab up` makes what failed anew.",
        )
    if any(one.status != Status.IN_SERVICE or not one.answers for one in bad):
        raise typer.Exit(_FAILED)
