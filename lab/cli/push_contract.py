"""The contract check as a part of the preflight: what would keep this image from this endpoint."""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from lab.aws.model import Order, PreflightCheck, PreflightState, ServingKind
from lab.aws.push.workflow import Contract, LocalArtifacts
from lab.contract import fitness
from lab.contract.check import entries, run
from lab.contract.model import RuleFinding, Verdict
from lab.contract.running.session import Session
from lab.contract.subject import CheckRequest, prepared
from lab.endpoint.instances import table
from lab.engine.docker.engine import DockerEngine
from lab.progress import Progress

_KINDS: Final = {
    ServingKind.SERVERLESS: fitness.SERVERLESS,
    ServingKind.REAL_TIME: fitness.REAL_TIME,
}
_TIERS: Final = "memory-tiers"
_NAME: Final = "contract"


def contract_of(
    order: Order, local: LocalArtifacts, engine: DockerEngine, progress: Progress
) -> Contract:
    """Tries the rules that decide about this kind of endpoint on the running image: 15 s."""

    def check() -> Sequence[PreflightCheck]:
        ids = {*fitness.decisive(_KINDS[order.kind])}
        if order.kind is ServingKind.SERVERLESS:
            ids.add(_TIERS)
        wanted = [entry for entry in entries() if entry.rule.id in ids]
        with (
            prepared(check_request(order, local.image), engine, progress) as (subject, where),
            closing(Session(subject, where, quick=True)) as session,
        ):
            found = run(session, wanted, progress).findings
        return judged(order, found)

    return check


def check_request(order: Order, image: str) -> CheckRequest:
    """What is checked: the image with the model, held against the instance type if there is one."""
    # Of a type that the lab does not know, the preflight tells.
    known = order.instance_type if order.instance_type in table() else None
    return CheckRequest(
        image=image, platform=order.platform, model_data=order.model, instance_type=known
    )


def skipped() -> Sequence[PreflightCheck]:
    """It was tried before, as the user says, or there is no container engine to try it on."""
    return (PreflightCheck(_NAME, PreflightState.UNKNOWN, "not tried"),)


def judged(order: Order, findings: Sequence[RuleFinding]) -> Sequence[PreflightCheck]:
    """A line for each rule that is broken or doubtful, and one for all that are kept."""
    kept = sum(one.verdict is Verdict.PASS for one in findings)
    untried = [one for one in findings if one.verdict is Verdict.SKIP]
    bad = [check for one in findings if (check := _check(order, one)) is not None]
    words = f"fit for {_KINDS[order.kind]}: {kept} rules kept"
    if untried:
        words += f", {len(untried)} could not be tried ({untried[0].rule.id}: {untried[0].seen})"
    if any(check.state is PreflightState.FAIL for check in bad):
        return bad
    state = PreflightState.UNKNOWN if untried else PreflightState.OK
    return (PreflightCheck(_NAME, state, words), *bad)


def _check(order: Order, finding: RuleFinding) -> PreflightCheck | None:
    rule = finding.rule
    if rule.id == _TIERS:
        return _memory(order, finding)
    if finding.verdict not in {Verdict.FAIL, Verdict.WARN}:
        return None
    state = PreflightState.FAIL if finding.verdict is Verdict.FAIL else PreflightState.WARN
    return PreflightCheck(f"{_NAME}: {rule.id}", state, finding.seen, rule.change)


def _memory(order: Order, finding: RuleFinding) -> PreflightCheck | None:
    if finding.verdict is Verdict.SKIP:
        return None
    least = (finding.data or {}).get("runs_from_mb")
    if least is not None and order.memory_mb is not None and least <= order.memory_mb:
        return None
    remedy = finding.rule.change if least is None else f"Give it --memory {least}."
    return PreflightCheck(f"{_NAME}: memory", PreflightState.FAIL, finding.seen, remedy)
