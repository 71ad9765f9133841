"""What is tried before anything is made: who asks, whether it fits, may be, and is still free."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.aws.access.errors import CallError, redacted
from lab.aws.access.quotas import quota_check
from lab.aws.access.session import AwsSession
from lab.aws.access.simulation import permission_check
from lab.aws.model import (
    AwsError,
    DeploymentNames,
    Order,
    PreflightCheck,
    PreflightState,
    ServingKind,
)
from lab.aws.stack.inventory import described, unmanaged
from lab.awserrors import ErrorKind
from lab.endpoint.instances import table
from lab.progress import Progress
from lab.spec import Platform

_MARKS: Final = {
    PreflightState.OK: ("✓", "green"),
    PreflightState.WARN: ("!", "yellow"),
    PreflightState.FAIL: ("✗", "red"),
    PreflightState.UNKNOWN: ("?", "dim"),
}
_names: Final = partial(PreflightCheck, "names")
_hosting: Final = partial(PreflightCheck, "hosting")
_ARCHITECTURES: Final = {Platform.AMD64: "x86_64", Platform.ARM64: "arm64"}


def preflight(
    aws: AwsSession,
    order: Order,
    names: DeploymentNames,
    *,
    contract: Callable[[], Sequence[PreflightCheck]],
    dry_run: bool,
    progress: Progress,
) -> Sequence[PreflightCheck]:
    """Every check, in order; only reads. ``contract`` says what the image itself is fit for.

    Raises ``CallError`` for what makes further checks pointless: no credentials, no network.
    """
    with progress.step("Looking before leaping") as step:
        step.detail("who asks")
        checks = [identity_check(aws), hosting_check(aws, order)]
        step.detail("which names are free")
        there, names_said = names_check(aws, names)
        checks.append(names_said)
        step.detail("what is allowed")
        checks.append(permission_check(aws, names, dry_run=dry_run))
        step.detail("how much is allowed")
        checks.append(quota_check(aws, order, update=there))
        step.detail("whether the image keeps the contract")
        checks.extend(contract())
    return tuple(checks)


def identity_check(aws: AwsSession) -> PreflightCheck:
    """Who and where: the one line in which the account's id is shown."""
    who = aws.identity()
    profile = f", profile {who.profile}" if who.profile else ""
    name = who.arn.rpartition(":")[2]
    detail = f"{name} of account {who.account} in {who.region}{profile}"
    return PreflightCheck("identity", PreflightState.OK, detail)


def hosting_check(aws: AwsSession, order: Order) -> PreflightCheck:
    """Whether that kind of hosting runs that kind of image."""
    arch = order.platform.arch
    if order.kind is ServingKind.SERVERLESS:
        if order.platform is Platform.AMD64:
            return _hosting(PreflightState.OK, f"serverless, {order.memory_mb} MB, {arch}")
        return _hosting(
            PreflightState.FAIL,
            f"serverless with {arch}: AWS documents no such thing",
            "Build for linux/amd64, or choose a Graviton --instance-type with --kind real-time.",
        )
    shape = aws.client("sagemaker").meta.service_model.shape_for("ProductionVariantInstanceType")
    if order.instance_type not in shape.enum:
        return _hosting(
            PreflightState.FAIL,
            f"{order.instance_type} hosts no endpoints",
            "Choose another --instance-type, e.g. ml.m5.xlarge, or ml.m6g.xlarge for arm64.",
        )
    known = table().get(order.instance_type or "")
    if known is None:
        return _hosting(
            PreflightState.UNKNOWN, f"{order.instance_type}: the lab does not know what it is"
        )
    if known.architecture != _ARCHITECTURES[order.platform]:
        return _hosting(
            PreflightState.FAIL,
            f"{known.name} is {known.architecture}, the image is {arch}: it would not start",
            "Choose an instance type of the image's architecture, or build for the other.",
        )
    return _hosting(PreflightState.OK, f"{order.instances} x {known.name}, {arch}")


def names_check(aws: AwsSession, names: DeploymentNames) -> tuple[bool, PreflightCheck]:
    """Whether an endpoint of ours is there, and whether the names are free or ours."""
    try:
        others = unmanaged(aws, names)
        ours = described(aws, names)
    except CallError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        return False, _names(PreflightState.FAIL, error.what, error.remedy)
    except AwsError as error:
        return False, _names(PreflightState.FAIL, error.what, error.remedy)
    if others:
        listed = ", ".join(sorted(f"{one.kind} {one.name}" for one in others))
        remedy = "Choose another --endpoint; nothing of theirs was touched."
        return False, _names(PreflightState.FAIL, f"somebody else's: {listed}", remedy)
    if ours is None:
        return False, _names(PreflightState.OK, "all are free")
    return ours.serves, _names(PreflightState.OK, f"the lab's own: {ours.says}")


def refuse_failed(checks: Sequence[PreflightCheck]) -> None:
    """Raise ``AwsError`` if any check failed: with the first remedy, and the others counted."""
    failed = [check for check in checks if check.state is PreflightState.FAIL]
    if failed:
        listed = "; ".join(f"{check.name}: {check.detail.rstrip('.')}" for check in failed)
        remedy = next((check.remedy for check in failed if check.remedy), "")
        # The checks were shown in full; what is raised may end up in a log.
        raise AwsError(redacted(f"Nothing was made. {listed}."), remedy=redacted(remedy))


def show_checks(checks: Sequence[PreflightCheck]) -> RenderableType:
    """For a terminal: a line per check, and what to do below those that are not well."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column()
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for check in checks:
        lines.add_row(Text(*_MARKS[check.state]), Text(check.name), Text(check.detail))
        if check.remedy and check.state is not PreflightState.OK:
            lines.add_row("", "", Text(f"→ {check.remedy}", style="dim"))
    return Group(Text("Preflight", style="bold"), lines)
