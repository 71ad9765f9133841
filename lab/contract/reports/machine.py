"""A check's findings for programs: JSON, and JUnit's XML, which every CI shows."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from lab.contract.fitness import fitness
from lab.contract.model import RuleFinding, Verdict, Verdicts
from lab.contract.reports import junit
from lab.contract.reports.junit import Case, Outcome
from lab.start.emulated import NOT_JUDGED

_VERSION = 1
_OUTCOMES: Final[Mapping[Verdict, Outcome]] = {
    Verdict.PASS: Outcome.PASSED,
    Verdict.WARN: Outcome.PASSED,
    Verdict.FAIL: Outcome.BROKEN,
    Verdict.SKIP: Outcome.SKIPPED,
}


def as_json(verdicts: Verdicts) -> str:
    """One object; ``version`` counts changes that break readers."""
    able = fitness(verdicts.findings)
    counts = Counter(one.verdict for one in verdicts.findings)
    return json.dumps(
        {
            "version": _VERSION,
            "image": verdicts.image,
            "platform": verdicts.platform,
            "emulated": verdicts.emulated,
            "failed": verdicts.failed,
            "cut_short": verdicts.cut_short,
            "untried": [rule.id for rule in verdicts.untried],
            # A rule that was not got to might have spoilt it.
            "fit": [] if verdicts.cut_short or verdicts.untried else list(able.fit),
            "unfit": list(able.unfit),
            "up_to_bytes": dict(able.up_to),
            "counts": {verdict.value: counts[verdict] for verdict in Verdict},
            "seconds": round(verdicts.seconds, 3),
            "findings": [_finding(one) for one in verdicts.findings],
        },
        indent=2,
        ensure_ascii=False,
        default=str,
    )


def as_junit(verdicts: Verdicts) -> str:
    """One suite with a case for every rule. A warning is a passed case with its words as output."""
    aside = f" ({NOT_JUDGED})" if verdicts.emulated else ""
    aside += " (cut short)" if verdicts.cut_short else ""
    why = "the check was cut short before it" if verdicts.cut_short else "nothing was started"
    untried = [
        Case(classname="contract", name=rule.id, outcome=Outcome.SKIPPED, said=why)
        for rule in verdicts.untried
    ]
    return junit.suite(
        f"contract of {verdicts.image}{aside}",
        [*map(_case, verdicts.findings), *untried],
        seconds=verdicts.seconds,
        properties={"cut_short": "true"} if verdicts.cut_short else {},
    )


def _case(one: RuleFinding) -> Case:
    outcome, said = _OUTCOMES[one.verdict], one.seen
    if one.verdict is Verdict.WARN:
        said = f"warning: {one.seen}\n{_advice(one)}"
    elif one.verdict is Verdict.PASS:
        said = f"{one.rule.title}: {one.seen}"
    return Case(
        classname=f"contract.{one.section.lower()}" if one.section else "contract",
        name=one.rule.id,
        outcome=outcome,
        said=said,
        more=_advice(one) if one.verdict is Verdict.FAIL else "",
        seconds=one.seconds,
    )


def _advice(one: RuleFinding) -> str:
    rule = one.rule
    lines = [
        f"rule: {rule.title}",
        f"why: {rule.why}",
        f"change: {one.change}",
        f"source: {rule.source}",
    ]
    return "\n".join([*lines, f"log:\n{one.log}"] if one.log else lines)


def _finding(one: RuleFinding) -> Mapping[str, Any]:
    rule = one.rule
    return {
        "rule": rule.id,
        "section": one.section,
        "title": rule.title,
        "verdict": one.verdict,
        "seen": one.seen,
        "why": rule.why,
        "change": one.change,
        "source": rule.source,
        "log": one.log,
        "seconds": round(one.seconds, 3),
        "data": one.data,
    }
