"""Doubts and opportunities: what was seen, why it matters, what to do."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from lab.coldstart.summary import Finding, Severity
from lab.report.findings import boot, machine, samples, sizes
from lab.report.load import Recorded
from lab.report.rows import MeasuredRow

Rule = Callable[[Recorded, Sequence[MeasuredRow]], Iterable[Finding]]

RULES: Final[Sequence[Rule]] = (*samples.RULES, *machine.RULES, *boot.RULES, *sizes.RULES)


def find(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Sequence[Finding]:
    """All findings: by severity, and within one by the seconds at stake."""
    found = [finding for rule in RULES for finding in rule(recorded, measured)]
    return sorted(
        found,
        key=lambda one: (list(Severity).index(one.severity), -(one.stake_s or 0.0)),
    )
