"""Doubts and opportunities: what was seen, why it matters, what to do."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from lab.coldstart.summary import Finding, FindingKind, Severity
from lab.report.findings import boot, machine, quantised, samples, sizes
from lab.report.recorded import Recorded
from lab.report.rows import MeasuredRow

Rule = Callable[[Recorded, Sequence[MeasuredRow]], Iterable[Finding]]

RULES: Final[Sequence[Rule]] = (
    *samples.RULES,
    *machine.RULES,
    *sizes.RULES,
    quantised.not_faster,
)
"""Are shown what the run is about: a reference is given no advice, and no doubt is about it."""
RULES_OF_ALL: Final[Sequence[Rule]] = (boot.floor, samples.drifting, machine.busy)
"""Need every row, and name none that is a reference."""


def find(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Sequence[Finding]:
    """All findings: by severity, and within one by the seconds at stake.

    A busy machine comes first of its like: it may be what the others come of.
    """
    own = [one for one in measured if not one.row.reference]
    shown = [(rule, own) for rule in RULES] + [(rule, measured) for rule in RULES_OF_ALL]
    shown += [(rule, boot.there(own)) for rule in boot.RULES]
    found = [finding for rule, rows in shown for finding in rule(recorded, rows)]
    return sorted(
        found,
        key=lambda one: (
            list(Severity).index(one.severity),
            one.kind is not FindingKind.BUSY,
            -(one.stake_s or 0.0),
        ),
    )
