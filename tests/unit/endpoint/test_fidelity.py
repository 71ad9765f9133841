"""The table of fidelity is complete, and is what the tests say."""

from collections import Counter
from pathlib import Path

import pytest

from lab.endpoint.runtime import async_request, limits
from tests import fidelity
from tests.fidelity import ABSENT, AREAS, DOCUMENTED, OURS, SEEN
from tests.unit.endpoint.controlled import Plane

ROWS = fidelity.rows()


def test_the_page_is_what_the_tests_say() -> None:
    said = fidelity.PAGE.read_text(encoding="utf-8")
    assert said == fidelity.page(ROWS), "run python -m tests.fidelity"


def test_every_row_has_a_known_grade_a_source_and_a_whole_sentence() -> None:
    wrong = [
        row
        for row in ROWS
        if row.grade not in {DOCUMENTED, SEEN, OURS, ABSENT}
        or not row.source
        or not row.statement.endswith(".")
    ]
    assert wrong == []


def test_no_statement_stands_twice() -> None:
    counts = Counter(row.statement for row in ROWS)
    assert [said for said, count in counts.items() if count > 1] == []


def test_every_operation_and_every_area_has_a_row(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    emulated = {*plane.control.emulated, limits.INVOKE, limits.STREAM, async_request.OPERATION}
    plane.store.close()
    told = {row.subject for row in ROWS}
    assert emulated - told == set()
    assert AREAS.keys() - told == set()
    assert told - emulated - AREAS.keys() == set()


@pytest.mark.parametrize("grade", [DOCUMENTED, SEEN, OURS, ABSENT])
def test_every_grade_is_explained(grade: str) -> None:
    assert f"\n| {grade} |" in fidelity.page(ROWS)
