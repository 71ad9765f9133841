"""Permissions asked for before they are used: IAM's simulator, where it may be asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.aws.access.errors import REFUSED, CallError
from lab.aws.access.permissions import POLICY_FILE, STATEMENTS, Statement
from lab.aws.access.session import AwsIdentity, AwsSession
from lab.aws.model import PREFIX, DeploymentNames, PreflightCheck, PreflightState
from lab.awserrors import ErrorKind

NAME: Final = "permissions"
_SHOWN: Final = 6


def permission_check(aws: AwsSession, names: DeploymentNames, *, dry_run: bool) -> PreflightCheck:
    """Whether every listed action is allowed on what would be made; nothing is tried.

    What is denied fails, but only warns a dry run, which needs none of it. Unknown where the
    simulator may not be asked: the first refusal will tell, and name the action.
    """
    who = aws.identity()
    if who.is_root:
        return PreflightCheck(
            NAME,
            PreflightState.WARN,
            "the account's root user, who may do everything",
            f"Use a user or role with {POLICY_FILE} instead.",
        )
    try:
        denied = _denied(aws, who, names)
    except CallError as error:
        if error.kind not in REFUSED:
            raise
        return PreflightCheck(
            NAME,
            PreflightState.UNKNOWN,
            f"not known until tried: iam:SimulatePrincipalPolicy: {error.kind}",
            f"Nothing, if {POLICY_FILE} or more is attached.",
        )
    if not denied:
        return PreflightCheck(NAME, PreflightState.OK, "every action is allowed (simulated)")
    more = f" and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
    return PreflightCheck(
        NAME,
        PreflightState.WARN if dry_run else PreflightState.FAIL,
        f"denied (simulated): {', '.join(denied[:_SHOWN])}{more}",
        f"Attach {POLICY_FILE} to who asks (`lab push policy` prints it).",
    )


def principal(aws: AwsSession, who: AwsIdentity) -> str:
    """The ARN whose policies count: of a session of a role, the role's."""
    _, _, service, _, _, path = who.arn.split(":", 5)
    if service != "sts" or not path.startswith("assumed-role/"):
        return who.arn
    role = path.split("/")[1]
    try:
        found = aws.find("iam", "get_role", RoleName=role)
    except CallError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        found = None
    if found:
        return str(found["Role"]["Arn"])
    # A session's ARN lacks the role's path; most roles have none.
    return f"arn:{who.partition}:iam::{who.account}:role/{role}"


def _denied(aws: AwsSession, who: AwsIdentity, names: DeploymentNames) -> Sequence[str]:
    asked = principal(aws, who)
    denied: set[str] = set()
    for statement in STATEMENTS:
        results = aws.every(
            "iam",
            "simulate_principal_policy",
            "EvaluationResults",
            PolicySourceArn=asked,
            ActionNames=list(statement.actions),
            ResourceArns=_resources(statement, who, names),
            ContextEntries=_context(statement),
        )
        allowed = {row["EvalActionName"] for row in results if _is_allowed(row)}
        # A simulator that leaves an action out has not denied it.
        denied |= {str(row["EvalActionName"]) for row in results} - allowed
    return sorted(denied)


def _is_allowed(row: Mapping[str, Any]) -> bool:
    # An action of several kinds of resource is needed on one of them only.
    parts = row.get("ResourceSpecificResults") or ()
    decisions = [row["EvalDecision"], *(part["EvalResourceDecision"] for part in parts)]
    return "allowed" in decisions


def _resources(statement: Statement, who: AwsIdentity, names: DeploymentNames) -> list[str]:
    """The statement's patterns with this deployment's names in their place."""
    last = names.stack.removeprefix(f"{PREFIX}-")
    made = []
    for pattern in statement.resources:
        if pattern == "*":
            made.append(pattern)
            continue
        service, region, account, resource = pattern.split(":", 3)
        region, account = region and who.region, account and who.account
        resource = resource.replace("*", last, 1).replace("*", "x")
        made.append(f"arn:{who.partition}:{service}:{region}:{account}:{resource}")
    return made


def _context(statement: Statement) -> list[dict[str, Any]]:
    return [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for keys in statement.condition.values()
        for key, value in keys.items()
    ]
