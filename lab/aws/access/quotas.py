"""What the account may have: quotas read before anything is made that they would refuse."""

from typing import Final

from lab.aws.access.errors import REFUSED, CallError
from lab.aws.access.session import AwsSession
from lab.aws.model import Order, PreflightCheck, PreflightState, ServingKind

NAME: Final = "quotas"
_SERVICE: Final = "sagemaker"
_CONCURRENCY_CODE: Final = "L-96300102"
"""Maximum total concurrency that can be allocated across all serverless endpoints."""
_ASK: Final = "Ask for more in the Service Quotas console (Amazon SageMaker), or order less."


def quota_check(aws: AwsSession, order: Order, *, update: bool) -> PreflightCheck:
    """Whether the quota for this kind of endpoint leaves room; unknown where it is not told.

    ``update``: the endpoint is there, and its new instances will run beside the old ones. What
    other endpoints use of the quota is not counted. Raises ``CallError`` only for what stops
    everything else, too: credentials, the network.
    """
    if order.kind is ServingKind.SERVERLESS:
        what, needed = "concurrency of all serverless endpoints", order.max_concurrency
    else:
        what = f"{order.instance_type} for endpoint usage"
        needed = max(order.instances * (2 if update else 1), order.max_instances)
    try:
        allowed = (
            _serverless(aws) if order.kind is ServingKind.SERVERLESS else _instances(aws, what)
        )
    except CallError as error:
        if error.kind not in REFUSED:
            raise
        return _unknown(f"{what}: {error.kind} ({error.code})")
    if allowed is None:
        return _unknown(f"{what}: Service Quotas has no such quota")
    said = f"{what}: {allowed:g} allowed, {needed} needed"
    if update and order.kind is ServingKind.REAL_TIME:
        said += " (an update runs old and new side by side)"
    if allowed < needed:
        return PreflightCheck(NAME, PreflightState.FAIL, said, _ASK)
    return PreflightCheck(NAME, PreflightState.OK, f"{said}; other endpoints' use is not counted")


def _unknown(detail: str) -> PreflightCheck:
    remedy = "Look it up in the Service Quotas console if the endpoint is refused."
    return PreflightCheck(NAME, PreflightState.UNKNOWN, detail, remedy)


def _serverless(aws: AwsSession) -> float | None:
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        found = aws.find(
            "service-quotas", operation, ServiceCode=_SERVICE, QuotaCode=_CONCURRENCY_CODE
        )
        if found:
            return float(found["Quota"]["Value"])
    return None


def _instances(aws: AwsSession, name: str) -> float | None:
    # Only names say which instance type a quota is for, and a quota that was never raised may be
    # in the list of defaults alone.
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        with aws.translating(f"service-quotas {operation}", service="service-quotas"):
            pages = aws.client("service-quotas").get_paginator(operation)
            for page in pages.paginate(ServiceCode=_SERVICE):
                for row in page["Quotas"]:
                    if row["QuotaName"] == name:
                        return float(row["Value"])
    return None
