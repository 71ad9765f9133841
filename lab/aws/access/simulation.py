"""Permissions asked for before they are used: IAM's simulator, where it may be asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.aws.access.errors import CallError, ErrorKind
from lab.aws.access.permissions import POLICY_FILE, STATEMENTS, Statement
from lab.aws.access.session import AwsIdentity, AwsSession
from lab.aws.model import PREFIX, DeploymentNames, PreflightCheck, PreflightState

NAME: Final = "permissions"
_NOT_TOLD: Final = (
    ErrorKind.DENIED,
    ErrorKind.ABSENT,
    ErrorKind.INVALID,
    ErrorKind.SERVICE,
    ErrorKind.OTHER,
)
_SHOWN: Final = 6
_ALLOWED: Final = "allowed"


def permission_check(aws: AwsSession, names: DeploymentNames, *, dry_run: bool) -> PreflightCheck:
    """Whether every listed action is allowed on what would be made; nothing is tried.

    What is denied fails, but only warns a dry run, which needs none of it. Unknown where the
    simulator may not be asked: the first refusal will tell, and name the action.
    """
    who = aws.identity()
    if who.is_root:
        return PreflightCheck(
            name=NAME,
            state=PreflightState.WARN,
            detail="the account's root user, who may do everything",
            remedy=f"Use a user or role with {POLICY_FILE} instead.",
        )
    try:
        denied = _denied(aws, who, names)
    except CallError as error:
        if error.kind not in _NOT_TOLD:
            raise
        return PreflightCheck(
            name=NAME,
            state=PreflightState.UNKNOWN,
            detail=f"not known until tried: iam:SimulatePrincipalPolicy: {error.kind}",
            remedy=f"Nothing, if {POLICY_FILE} or more is attached.",
        )
    if not denied:
        return PreflightCheck(
            name=NAME, state=PreflightState.OK, detail="every action is allowed (simulated)"
        )
    more = f" and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
    return PreflightCheck(
        name=NAME,
        state=PreflightState.WARN if dry_run else PreflightState.FAIL,
        detail=f"denied (simulated): {', '.join(denied[:_SHOWN])}{more}",
        remedy=f"Attach {POLICY_FILE} to who asks (`lab push policy` prints it).",
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
    # An action of several kinds of thing is needed on one of them only.
    parts = row.get("ResourceSpecificResults") or ()
    return row["EvalDecision"] == _ALLOWED or any(
        part["EvalResourceDecision"] == _ALLOWED for part in parts
    )


def _resources(statement: Statement, who: AwsIdentity, names: DeploymentNames) -> list[str]:
    """The statement's patterns with this deployment's names in their place."""
    last = names.stack.removeprefix(f"{PREFIX}-")
    made = []
    for pattern in statement.resources:
        if pattern == "*":
            made.append(pattern)
            continue
        service, region, account, thing = pattern.split(":", 3)
        concrete = [
            service,
            who.region if region else "",
            who.account if account else "",
            thing.replace("*", last, 1).replace("*", "x"),
        ]
        made.append(f"arn:{who.partition}:{':'.join(concrete)}")
    return made


def _context(statement: Statement) -> list[dict[str, Any]]:
    return [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for keys in statement.condition.values()
        for key, value in keys.items()
    ]
