"""JUnit's XML, which every CI shows."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as ET

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold: a container's log may."""


@unique
class Outcome(StrEnum):
    """How a case went."""

    PASSED = "passed"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case."""

    classname: str
    name: str
    outcome: Outcome
    said: str
    """The message of a failure or of what was skipped, the output of what passed."""
    more: str = ""
    """Of a failure: the text under its message."""
    seconds: float = 0.0


def suite(
    name: str,
    cases: Sequence[Case],
    *,
    seconds: float,
    properties: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A document of one suite."""
    counts = Counter(one.outcome for one in cases)
    totals = {
        "name": name,
        "tests": str(len(cases)),
        "failures": str(counts[Outcome.BROKEN]),
        "errors": "0",
        "skipped": str(counts[Outcome.SKIPPED]),
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", totals)
    made = ET.SubElement(root, "testsuite", totals)
    if properties:
        under = ET.SubElement(made, "properties")
        for key, value in properties.items():
            ET.SubElement(under, "property", {"name": key, "value": value})
    for one in cases:
        _add(made, one)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(made: ET.Element, one: Case) -> None:
    named = {"classname": one.classname, "name": one.name, "time": f"{one.seconds:.3f}"}
    case = ET.SubElement(made, "testcase", named)
    said = _NOT_XML.sub("\ufffd", one.said)
    if one.outcome is Outcome.BROKEN:
        failure = ET.SubElement(case, "failure", {"message": said, "type": one.outcome})
        failure.text = _NOT_XML.sub("\ufffd", one.more)
    elif one.outcome is Outcome.SKIPPED:
        ET.SubElement(case, "skipped", {"message": said})
    else:
        ET.SubElement(case, "system-out").text = said
