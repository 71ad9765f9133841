"""Findings in words: ``findings.yaml`` says why each matters and what to do."""

import functools
from collections.abc import Iterable, Mapping
from importlib import resources

import yaml

from lab.coldstart.record import Cell
from lab.coldstart.summary import Finding, FindingKind, Severity
from lab.schema import Frozen


class FindingText(Frozen):
    """What is the same each time a finding is told."""

    kind: FindingKind
    severity: Severity
    why: str
    remedy: str


@functools.cache
def texts() -> Mapping[str, FindingText]:
    """Every text, by the name that rules use."""
    file = resources.files("lab.report.findings").joinpath("findings.yaml")
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {name: FindingText.model_validate(text) for name, text in found.items()}


def finding(
    name: str,
    *,
    title: str,
    seen: str,
    stake_s: float | None = None,
    cells: Iterable[Cell] = (),
    severity: Severity | None = None,
    **values: object,
) -> Finding:
    """A finding, of what was seen. ``values`` are filled into its remedy."""
    text = texts()[name]
    return Finding(
        kind=text.kind,
        severity=severity or text.severity,
        title=title,
        seen=seen,
        why=text.why,
        remedy=text.remedy.format(**values),
        stake_s=stake_s,
        cells=list(dict.fromkeys(str(cell) for cell in cells)),
    )
