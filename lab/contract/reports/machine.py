"""A check's findings for programs: JSON, and JUnit's XML, which every CI shows."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from lab.contract.fitness import fitness
from lab.contract.model import RuleFinding, Verdict, Verdicts
from lab.start.emulated import NOT_JUDGED

_VERSION = 1
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold: a container's log may."""


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
    counts = Counter(one.verdict for one in verdicts.findings)
    aside = f" ({NOT_JUDGED})" if verdicts.emulated else ""
    aside += " (cut short)" if verdicts.cut_short else ""
    totals = {
        "name": f"contract of {verdicts.image}{aside}",
        "tests": str(len(verdicts.findings) + len(verdicts.untried)),
        "failures": str(counts[Verdict.FAIL]),
        "errors": "0",
        "skipped": str(counts[Verdict.SKIP] + len(verdicts.untried)),
        "time": f"{verdicts.seconds:.3f}",
    }
    root = ET.Element("testsuites", totals)
    suite = ET.SubElement(root, "testsuite", totals)
    if verdicts.cut_short:
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", {"name": "cut_short", "value": "true"})
    for one in verdicts.findings:
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": f"contract.{one.section.lower()}" if one.section else "contract",
                "name": one.rule.id,
                "time": f"{one.seconds:.3f}",
            },
        )
        _outcome(case, one)
    why = "the check was cut short before it" if verdicts.cut_short else "nothing was started"
    for rule in verdicts.untried:
        case = ET.SubElement(suite, "testcase", {"classname": "contract", "name": rule.id})
        ET.SubElement(case, "skipped", {"message": why})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _outcome(case: ET.Element, one: RuleFinding) -> None:
    rule = one.rule
    seen = _NOT_XML.sub("�", one.seen)
    if one.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", {"message": seen, "type": "broken"})
        failure.text = _advice(one)
    elif one.verdict is Verdict.SKIP:
        ET.SubElement(case, "skipped", {"message": seen})
    elif one.verdict is Verdict.WARN:
        ET.SubElement(case, "system-out").text = f"warning: {seen}\n{_advice(one)}"
    else:
        ET.SubElement(case, "system-out").text = f"{rule.title}: {seen}"


def _advice(one: RuleFinding) -> str:
    rule = one.rule
    lines = [
        f"rule: {rule.title}",
        f"why: {rule.why}",
        f"change: {one.change}",
        f"source: {rule.source}",
    ]
    return _NOT_XML.sub("�", "\n".join([*lines, f"log:\n{one.log}"] if one.log else lines))


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
