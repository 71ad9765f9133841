"""``lab push``: an endpoint on AWS, or on the emulator; measured there; and taken away again."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final

import typer
from rich.text import Text

from lab import paths
from lab.artifacts import fits, store
from lab.aws.access.permissions import POLICY_TEXT
from lab.aws.access.session import AwsSession, open_session
from lab.aws.answers import payload_of
from lab.aws.emulator.target import LocalStack
from lab.aws.model import PREFIX, Deployer, Deployment, DeploymentNames, Order, PushTarget, Removal
from lab.aws.push.planning import estimate_of, latest_work, refuse_over_budget, show_plan
from lab.aws.push.preflight import refuse_failed, show_checks
from lab.aws.push.proof import Verified
from lab.aws.push.workflow import (
    Contract,
    Destination,
    LocalArtifacts,
    ToAws,
    ToEmulator,
    apply,
    plan,
    prove,
    undo,
)
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.cli.console import ConsoleProgress, out, print_line
from lab.cli.flags import flags
from lab.cli.opened import containers_of, emulator
from lab.cli.push_contract import contract_of, skipped
from lab.cli.push_measure import measure, names_on, which
from lab.cli.push_order import (
    EndpointFlag,
    ProfileFlag,
    PushOptions,
    RegionFlag,
    TargetFlag,
    YesFlag,
    agreed,
    complete,
    on_terminal,
)
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.errors import LabError
from lab.images.build import ensure
from lab.images.variants import image_ref, runtime_of
from lab.progress import Progress

app = typer.Typer(
    no_args_is_help=True,
    help="An endpoint on AWS: planned, made, measured, taken away.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("measure")(measure)

_NO_CONTAINERS: Final = "An image is pushed from a container engine, and there is none here."


@app.command("aws")
@flags
def push_aws(options: PushOptions) -> None:
    """Put an image and a model on SageMaker: looked at first, planned, agreed on, made, asked.

    The same command again changes nothing if nothing has changed, brings up to date what has, and
    goes on where an earlier one was interrupted. `lab push destroy` takes it all away.
    """
    target, profile, region = options.target, options.profile, options.region
    order = complete(options, may_ask=on_terminal())
    if order.memory_mb is not None:
        fits.refuse_misfit(order.model, order.variant, order.memory_mb)
    asked = payload_of(order.model, options.payload, content_type=options.content_type)
    progress = ConsoleProgress()
    with closing(open_engine(progress)) as engine:
        local = _local_artifacts(order, engine, progress)
        if order.memory_mb is not None and not options.contract:
            _tell_if_unknown(order, progress)
        with _destination(target, local, order, engine, profile, region) as (to, aws):
            tried = _contract(order, local, engine, progress) if options.contract else skipped
            checks = to.checks(order, contract=tried, dry_run=options.dry_run, progress=progress)
            out.print(show_checks(checks))
            refuse_failed(checks)
            planned = plan(order, local, to)
            estimate = estimate_of(
                order,
                region="" if aws is None else aws.region,
                work=latest_work(order, runs=paths.runs(), request_bytes=len(asked.body)),
                image_bytes=planned.image_bytes,
                archive_bytes=local.archive.bytes,
            )
            back = undo(target, order.endpoint, region=region, profile=profile)
            out.print(show_plan(planned.items, estimate, target=target, undo=back))
            if target is PushTarget.AWS:
                refuse_over_budget(estimate, max_hourly_usd=options.max_hourly_usd)
            if options.dry_run:
                return
            if planned.changes:
                if not agreed("Do this?", yes=options.yes, may_ask=on_terminal()):
                    out.print("Nothing was done.")
                    return
                _allow_writing(aws)
            done = apply(order, to, progress)
            _allow_writing(aws)
            answer = None
            if options.verify:
                with _deployed(done, back, progress):
                    answer = prove(engine, local, to, payload=asked, progress=progress)
    _say(done, answer, back, wrote=planned.changes or done.changed)


@app.command()
def destroy(
    endpoint: EndpointFlag = None,
    target: TargetFlag = PushTarget.AWS,
    profile: ProfileFlag = None,
    region: RegionFlag = None,
    yes: YesFlag = False,
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


def _local_artifacts(order: Order, engine: Engine, progress: Progress) -> LocalArtifacts:
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


def _tell_if_unknown(order: Order, progress: Progress) -> None:
    """The contract check would have tried it."""
    if fits.need(order.model, order.variant) is None:
        progress.note(
            f"How much memory {order.model} needs in {order.variant} is not known: its card does "
            f"not say, or the server was not measured. {order.memory_mb} MB may be too little."
        )


def _contract(order: Order, local: LocalArtifacts, engine: Engine, progress: Progress) -> Contract:
    if isinstance(engine, DockerEngine):
        return contract_of(order, local, engine, progress)
    return skipped


@contextmanager
def _destination(
    target: PushTarget,
    local: LocalArtifacts,
    order: Order,
    engine: Engine,
    profile: str | None,
    region: str | None,
) -> Iterator[tuple[Destination, AwsSession | None]]:
    if target is PushTarget.LOCAL:
        with emulator() as client:
            yield ToEmulator(client, local, names_on(client, order.endpoint)), None
        return
    with open_session(profile=profile, region=region, read_only=True) as aws:
        names = DeploymentNames.of(order.endpoint, account=aws.account, region=aws.region)
        docker = containers_of(engine, _NO_CONTAINERS)
        stack = CloudFormationStack(aws, names)
        yield ToAws(aws=aws, engine=docker, local=local, deployer=stack), aws


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
        print_line(f"There is nothing of the lab's {where}.")
        raise typer.Exit
    return which(endpoint, there)


def _stacks(aws: AwsSession) -> list[str]:
    """Not endpoints: a push that was cut short may have left a stack without one."""
    rows = aws.every("cloudformation", "list_stacks", "StackSummaries")
    return [str(row["StackName"]) for row in rows if row["StackStatus"] != "DELETE_COMPLETE"]


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
    print_line(f"{name} in {done.region} {what}.")
    if answer is not None:
        said = f"at most {answer.difference:.1g} apart" if answer.difference else "the same"
        if answer.best is not None:
            best = "; ".join(answer.best)
            said = f"best is {best} in both, at most {answer.difference:.1g} apart"
        print_line(f"Asked about {answer.payload}, it answers as the container does here: {said}.")
    print_line(f"Take it away: {back}")


def _say_removed(removal: Removal, names: DeploymentNames) -> None:
    if removal.nothing:
        print_line(f"There was nothing of {names.endpoint}.")
        return
    for resource in removal.removed:
        print_line(f"removed  {resource.kind} {resource.name}")
    for kept in removal.kept:
        what = f"{kept.resource.kind} {kept.resource.name}: {kept.why}"
        out.print(Text(f"kept     {what}", style="yellow"))
    if not removal.kept:
        print_line("Listed again: nothing is left.")
