from pathlib import Path

import pytest

from lab.contenttype import content_type_of
from lab.errors import UsageError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("eye.JPG", "image/jpeg"),
        ("eye.png", "image/png"),
        ("question.json", "application/json"),
        ("rows.csv", "text/csv"),
        ("rows.jsonl", "application/jsonlines"),
        ("tensor.npy", "application/x-npy"),
    ],
)
def test_a_files_name_tells_what_a_model_server_is_sent(name: str, kind: str) -> None:
    assert content_type_of(Path(name)) == kind


def test_what_the_user_says_goes_before_the_name() -> None:
    assert content_type_of(Path("eye.jpg"), "application/x-image") == "application/x-image"


@pytest.mark.parametrize("name", ["eye", "rows.csv.gz"])
def test_a_name_that_tells_nothing_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} cannot be told") as refused:
        content_type_of(Path(name))
    assert "--content-type" in str(refused.value.remedy)
