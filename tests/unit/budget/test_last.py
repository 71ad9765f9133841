from pathlib import Path

import pytest

from lab.budget.record import Check, Subject
from lab.budget.run import CHECK_FILE, last
from tests.unit.budget.makers import SUBJECT, check, finding


def keep(root: Path, name: str, **other: object) -> Check:
    made = check([finding()], id=name, **other)
    (root / name).mkdir()
    (root / name / CHECK_FILE).write_text(made.to_json())
    return made


def test_the_newest_check_of_the_same_is_found(tmp_path: Path) -> None:
    keep(tmp_path, "20260101T000000Z-check")
    newest = keep(tmp_path, "20260102T000000Z-check-2")
    assert last(SUBJECT, root=tmp_path) == newest


@pytest.mark.parametrize(
    "other",
    [
        {"image": "you"},
        {"size": "4096"},
        {"payload_sha256": "cd"},
        {"budget": "nightly.yaml"},
        {"machine": {"hostname": "there", "cpus": 2}},
    ],
)
def test_what_is_not_alike_is_not_compared(tmp_path: Path, other: dict[str, object]) -> None:
    keep(tmp_path, "20260101T000000Z-check")
    assert last(Subject.model_validate(SUBJECT.model_dump() | other), root=tmp_path) is None


def test_a_check_of_another_version_is_passed_over(tmp_path: Path) -> None:
    good = keep(tmp_path, "20260101T000000Z-check")
    (tmp_path / "20260102T000000Z-check").mkdir()
    (tmp_path / "20260102T000000Z-check" / CHECK_FILE).write_text('{"schema": 99}')
    assert last(SUBJECT, root=tmp_path) == good
