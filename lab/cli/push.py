"""``lab push``: an endpoint on AWS, or on the emulator; measured there; and taken away again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from rich.text import Text

from lab import paths
from lab.artifacts import store
from lab.aws.access.permissions import POLICY_TEXT
from lab.aws.access.session import AwsSession, open_session
from lab.aws.answers import AnswerPayload, payload_of
from lab.aws.deployer import Deployer, Removal
from lab.aws.emulator.target import LocalStack
from lab.aws.measured import latest_work
from lab.aws.model import PREFIX, Deployment, DeploymentNames, Order, PushTarget, ServingKind
from lab.aws.push.planning import estimate_of, refuse_over_budget, show_plan
from lab.aws.push.preflight import refuse_failed, show_checks
from lab.aws.push.verify import Verified
from lab.aws.push.workflow import (
    Contract,
    Destination,
    LocalArtifacts,
    PushPlan,
    ToAws,
    ToEmulator,
    apply,
    plan,
    prove,
    undo,
)
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.cli.console import ConsoleProgress, out
from lab.cli.push_contract import contract_of, skipped
from lab.cli.push_measure import emulator, measure, names_on, which
from lab.cli.push_order import Given, agreed, complete, on_terminal
from lab.cost.estimate import Estimate
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.errors import EngineError, LabError
from lab.images.build import ensure
from lab.images.variants import image_ref, runtime_of
from lab.progress import Progress
from lab.spec import Platform

app = typer.Typer(
    no_args_is_help=True,
    help="An endpoint on AWS: planned, made, measured, taken away.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("measure")(measure)

_TARGET: Final = typer.Option(PushTarget.AWS, help="AWS, or the lab's own emulator.")
_PROFILE: Final = typer.Option(None, help="A profile of AWS's own configuration.")
_REGION: Final = typer.Option(None, help="Where, if the profile does not say or says another.")
_ENDPOINT: Final = typer.Option(
    None, help="Its name, behind `inference-lab-`; else made from model and variant."
)


@app.command("aws")
def push_aws(  # noqa: PLR0913, PLR0917 - each is a flag
    variant: str | None = typer.Option(None, help="Which variant's image."),
    model: str | None = typer.Option(None, help="Which model."),
    kind: ServingKind | None = typer.Option(None, help="How it is hosted."),
    memory: int | None = typer.Option(None, help="Serverless: MB, 1024 to 6144."),
    max_concurrency: int = typer.Option(5, min=1, help="Serverless: requests at a time."),
    instance_type: str | None = typer.Option(None, help="Real time, e.g. ml.m5.xlarge."),
    instances: int = typer.Option(1, min=1, help="Real time: how many."),
    max_instances: int | None = typer.Option(
        None, min=1, help="Real time: as many as autoscaling may make of them; none by default."
    ),
    endpoint: str | None = _ENDPOINT,
    platform: Platform | None = typer.Option(
        None, help="The image's; by default what the instance type runs."
    ),
    target: PushTarget = _TARGET,
    profile: str | None = _PROFILE,
    region: str | None = _REGION,
    max_hourly_usd: float | None = typer.Option(
        None, min=0, help="Refuse what could cost more than that an hour.  [default: 1.00]"
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only look and plan; write nothing."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    payload: Path | None = typer.Option(None, help="What to ask it at the end; else a picture."),
    content_type: str | None = typer.Option(None, help="The payload's type."),
    contract: bool = typer.Option(True, help="Try the image against the contract before."),
    verify: bool = typer.Option(True, help="Ask the endpoint at the end, and compare."),
) -> None:
    """Put an image and a model on SageMaker: looked at first, planned, agreed on, made, asked.

    The same command again changes nothing if nothing has changed, brings up to date what has, and
    goes on where an earlier one was interrupted. `lab push destroy` takes it all away.
    """
    order = complete(
        Given(
            variant=variant,
            model=model,
            kind=kind,
            memory_mb=memory,
            instance_type=instance_type,
            endpoint=endpoint,
            platform=platform,
            max_concurrency=max_concurrency,
            instances=instances,
            max_instances=max_instances,
        ),
        may_ask=on_terminal(),
    )
    asked = payload_of(order.model, payload, content_type=content_type)
    progress = ConsoleProgress()
    with _engine(progress) as engine:
        goods = _goods(order, engine, progress)
        with _destination(target, goods, order, engine, profile, region) as (to, aws):
            tried = _contract(order, goods, engine, progress) if contract else skipped
            checks = to.checks(order, contract=tried, dry_run=dry_run, progress=progress)
            out.print(show_checks(checks))
            refuse_failed(checks)
            planned = plan(order, goods, to)
            estimate = _estimate(order, goods, planned, asked, aws)
            back = undo(target, order.endpoint, region=region, profile=profile)
            out.print(show_plan(planned.items, estimate, target=target, undo=back))
            if target is PushTarget.AWS:
                refuse_over_budget(estimate, max_hourly_usd=max_hourly_usd)
            if dry_run:
                return
            if planned.changes:
                if not agreed("Do this?", yes=yes, may_ask=on_terminal()):
                    out.print("Nothing was done.")
                    return
                _allow_writing(aws)
            done = apply(order, to, progress)
            _allow_writing(aws)
            answer = None
            if verify:
                with _deployed(done, back, progress):
                    answer = prove(engine, goods, to, payload=asked, progress=progress)
    _say(done, answer, back, wrote=planned.changes or done.changed)


@app.command()
def destroy(
    endpoint: str | None = typer.Option(None, help="Its name, as it was given to the push."),
    target: PushTarget = _TARGET,
    profile: str | None = _PROFILE,
    region: str | None = _REGION,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Take away all that a push made, and list what is left: nothing, or what is not the lab's."""
    progress = ConsoleProgress()
    with _removable(target, endpoint, profile, region) as (deployer, aws):
        question = f"Remove {deployer.names.endpoint} and all that belongs to it?"
        if not agreed(question, yes=yes, may_ask=on_terminal()):
            out.print("Nothing was done.")
            return
        _allow_writing(aws)
        removal = deployer.destroy(progress)
    _say_removed(removal, deployer.names)


@app.command()
def policy() -> None:
    """Print the IAM policy that a push needs: the least, as in docs/aws-policy.json."""
    typer.echo(POLICY_TEXT, nl=False)


@contextmanager
def _engine(progress: Progress) -> Iterator[Engine]:
    engine = open_engine(progress)
    try:
        yield engine
    finally:
        engine.close()


def _docker(engine: Engine) -> DockerEngine:
    if isinstance(engine, DockerEngine):
        return engine
    raise EngineError(
        "An image is pushed from a container engine, and there is none here.",
        remedy="Run `lab doctor`: it says what a container engine needs on this machine.",
    )


def _goods(order: Order, engine: Engine, progress: Progress) -> LocalArtifacts:
    """The image, built if need be, and the archive that goes with it."""
    archive = store.find(order.model, runtime_of(order.variant))
    ensure([order.variant], platform=order.platform, engine=engine, progress=progress)
    ref = image_ref(order.variant, order.platform)
    facts = engine.image(ref)
    return LocalArtifacts(
        image=ref,
        image_id=facts.image_id,
        platform=facts.platform,
        unpacked_bytes=facts.unpacked_bytes,
        archive=archive,
    )


def _contract(order: Order, goods: LocalArtifacts, engine: Engine, progress: Progress) -> Contract:
    if isinstance(engine, DockerEngine):
        return contract_of(order, goods, engine, progress)
    return skipped


@contextmanager
def _destination(
    target: PushTarget,
    goods: LocalArtifacts,
    order: Order,
    engine: Engine,
    profile: str | None,
    region: str | None,
) -> Iterator[tuple[Destination, AwsSession | None]]:
    if target is PushTarget.LOCAL:
        with emulator() as client:
            yield ToEmulator(client, goods, names_on(client, order.endpoint)), None
        return
    with open_session(profile=profile, region=region, read_only=True) as aws:
        names = DeploymentNames.of(order.endpoint, account=aws.account, region=aws.region)
        yield ToAws(aws, _docker(engine), goods, CloudFormationStack(aws, names)), aws


@contextmanager
def _removable(
    target: PushTarget, endpoint: str | None, profile: str | None, region: str | None
) -> Iterator[tuple[Deployer, AwsSession | None]]:
    if target is PushTarget.LOCAL:
        with emulator() as client:
            there = [str(one["EndpointName"]) for one in client.endpoints()]
            names = names_on(client, _removed(endpoint, there, "on the emulator"))
            yield LocalStack(client, names), None
        return
    with open_session(profile=profile, region=region, read_only=True) as aws:
        there = [] if endpoint else _stacks(aws)
        name = _removed(endpoint, there, f"in {aws.region}")
        yield (
            CloudFormationStack(
                aws, DeploymentNames.of(name, account=aws.account, region=aws.region)
            ),
            aws,
        )


def _removed(endpoint: str | None, there: Sequence[str], where: str) -> str:
    if endpoint is None and not any(name.startswith(f"{PREFIX}-") for name in there):
        _line(f"There is nothing of the lab's {where}.")
        raise typer.Exit
    return which(endpoint, there)


def _stacks(aws: AwsSession) -> list[str]:
    """Not endpoints: a push that was cut short may have left a stack without one."""
    rows = aws.every("cloudformation", "list_stacks", "StackSummaries")
    return [str(row["StackName"]) for row in rows if row["StackStatus"] != "DELETE_COMPLETE"]


def _estimate(
    order: Order,
    goods: LocalArtifacts,
    planned: PushPlan,
    payload: AnswerPayload,
    aws: AwsSession | None,
) -> Estimate:
    work = latest_work(
        variant=order.variant,
        model=order.model,
        platform=order.platform,
        memory_mb=order.memory_mb,
        runs=paths.runs(),
        request_bytes=len(payload.body),
    )
    return estimate_of(
        order,
        region="" if aws is None else aws.region,
        work=work,
        image_bytes=planned.image_bytes,
        archive_bytes=goods.archive.bytes,
    )


def _allow_writing(aws: AwsSession | None) -> None:
    if aws is not None:
        aws.allow_writing()


@contextmanager
def _deployed(done: Deployment, back: str, progress: Progress) -> Iterator[None]:
    """Whoever is told that the proof failed is told, too, that the endpoint is there."""
    try:
        yield
    except (KeyboardInterrupt, LabError):
        progress.note(f"{done.names.endpoint} is deployed and stays so. Take it away: {back}")
        raise


def _say(done: Deployment, answer: Verified | None, back: str, *, wrote: bool) -> None:
    name = done.names.endpoint
    what = "serves" if wrote else "serves as before; nothing was written"
    _line(f"{name} in {done.region} {what}.")
    if answer is not None:
        said = "the same bytes"
        if answer.grades is not None:
            grades = ", ".join(str(grade) for grade in answer.grades)
            said = f"grade {grades}, at most {answer.difference:.1g} apart"
        _line(f"Asked about {answer.payload}, it answers as the container does here: {said}.")
    _line(f"Take it away: {back}")


def _say_removed(removal: Removal, names: DeploymentNames) -> None:
    if removal.nothing:
        _line(f"There was nothing of {names.endpoint}.")
        return
    for thing in removal.removed:
        _line(f"removed  {thing.kind} {thing.name}")
    for one in removal.kept:
        out.print(Text(f"kept     {one.thing.kind} {one.thing.name}: {one.why}", style="yellow"))
    if not removal.kept:
        _line("Listed again: nothing is left.")


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
