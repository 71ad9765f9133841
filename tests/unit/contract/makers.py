"""Findings and calls, made short."""

from typing import Any

from lab.contract.model import Rule, RuleFinding, Verdict, Verdicts
from lab.contract.running.calls import HttpCall
from lab.spec import Platform


def rule(name: str = "ping") -> Rule:
    return Rule(
        id=name, title=f"The rule {name}", why="It matters.", change="Change it.", source="a page"
    )


def found(name: str, verdict: Verdict, seen: str = "seen", section: str = "Start") -> RuleFinding:
    return RuleFinding(rule=rule(name), verdict=verdict, seen=seen, section=section, seconds=0.5)


def verdicts(*findings: RuleFinding) -> Verdicts:
    return Verdicts(image="me:1", platform=Platform.AMD64, findings=findings, seconds=2.0)


def answered(status: int | None = 200, seconds: float = 0.01, **fields: Any) -> HttpCall:
    given = {"connect_s": 0.001, **fields}
    if status is None:
        given = {"error": "connection refused", **given}
    return HttpCall(status=status, seconds=seconds, **given)
