"""Answers of Service Quotas and of IAM's simulator, which moto has not."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from tests.cloud.faults import Call


def quotas(*names: str, value: float = 4.0) -> Callable[[Call], Mapping[str, Any]]:
    """ListServiceQuotas, one quota a page."""

    def answer(call: Call) -> Mapping[str, Any]:
        page = int(json.loads(call.body).get("NextToken", 0))
        more = {"NextToken": str(page + 1)} if page + 1 < len(names) else {}
        rows = [{"QuotaName": name, "Value": value} for name in names[page : page + 1]]
        return {"Quotas": rows, **more}

    return answer


def simulator(*, denied: Sequence[str] = ()) -> Callable[[Call], Mapping[str, Any]]:
    """SimulatePrincipalPolicy: everything is allowed but this."""

    def answer(call: Call) -> Mapping[str, Any]:
        asked = parse_qs(call.body.decode())
        actions = [value[0] for key, value in asked.items() if key.startswith("ActionNames.")]
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalResourceName": "*",
                    "EvalDecision": "implicitDeny" if action in denied else "allowed",
                }
                for action in actions
            ],
            "IsTruncated": False,
        }

    return answer
