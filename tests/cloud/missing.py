"""What AWS answers and moto does not: whether something is allowed, and how much of it."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from tests.cloud.faults import Answer, Call, success

_QUOTAS: Final = {
    "ml.m5.large for endpoint usage": 4.0,
    "ml.m5.xlarge for endpoint usage": 4.0,
    "ml.m6g.xlarge for endpoint usage": 4.0,
}


def _simulated(call: Call) -> Answer:
    """Everything is allowed."""
    asked = parse_qs(call.body.decode())
    actions = [values[0] for key, values in asked.items() if key.startswith("ActionNames.member.")]
    rows = [{"EvalActionName": action, "EvalDecision": "allowed"} for action in actions]
    return success(call, {"EvaluationResults": rows, "IsTruncated": False})


def _quota(call: Call) -> Answer:
    quota = {"ServiceCode": "sagemaker", "QuotaCode": "L-96300102", "Value": 10.0}
    return success(call, {"Quota": quota})


def _quotas(call: Call) -> Answer:
    rows: list[Mapping[str, Any]] = [
        {"ServiceCode": "sagemaker", "QuotaName": name, "Value": value}
        for name, value in _QUOTAS.items()
    ]
    return success(call, {"Quotas": rows})


MISSING: Final[Mapping[str, Callable[[Call], Answer]]] = {
    "iam:SimulatePrincipalPolicy": _simulated,
    "service-quotas:GetServiceQuota": _quota,
    "service-quotas:ListServiceQuotas": _quotas,
}
