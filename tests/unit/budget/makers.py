"""Checks as they are kept, with figures that were chosen."""

from collections.abc import Sequence

from lab.budget.budgetfile import Ceiling
from lab.budget.record import Change, Check, Figure, Finding, Subject, Trend, Verdict

SUBJECT = Subject(
    budget="budget.yaml",
    image="me",
    size="2048",
    payload_sha256="ab",
    content_type="application/json",
    machine={"hostname": "here", "cpus": 2},
)


def finding(
    ceiling: Ceiling = Ceiling.COLD_START,
    verdict: Verdict = Verdict.OK,
    *,
    figure: Figure | None = None,
    why: str = "",
    trend: Trend | None = None,
) -> Finding:
    change = None
    if trend is not None:
        change = Change(before=1.5, ratio=1.21, low=1.10, high=1.30, trend=trend)
    return Finding(
        ceiling=ceiling,
        line=12,
        limit=1.5,
        verdict=verdict,
        figure=figure,
        why=why,
        change=change,
    )


def check(findings: Sequence[Finding], **other: object) -> Check:
    given = {
        "id": "20260102T030405Z-check",
        "started_at": "2026-01-02T03:04:05+00:00",
        "seconds": 9.5,
        "lab_version": "1",
        "budget_file": "budget.yaml",
        "budget": {},
        "image": "me:1",
        "image_id": "sha256:1",
        "subject": SUBJECT,
        "host": {},
        "engine": {},
        "findings": tuple(findings),
    }
    return Check.model_validate(given | other)
