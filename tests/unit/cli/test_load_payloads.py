from pathlib import Path

import pytest

from lab.cli.load_payloads import read_payloads
from lab.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.csv").write_text("1,2")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "deeper").mkdir()
    return tmp_path


def weights(*given: str) -> dict[str, float]:
    return {one.name: one.weight for one in read_payloads(given)}


def test_a_file_weighs_1_and_its_type_is_told_by_its_name(folder: Path) -> None:
    (one,) = read_payloads([str(folder / "b.csv")])
    assert (one.name, one.body, one.content_type, one.weight) == ("b.csv", b"1,2", "text/csv", 1.0)


def test_a_weight_follows_a_colon(folder: Path) -> None:
    given = [f"{folder / 'a.json'}:3", f"{folder / 'b.csv'}:0.5"]
    assert weights(*given) == {"a.json": 3.0, "b.csv": 0.5}


def test_a_file_whose_name_has_a_colon_is_that_file(folder: Path) -> None:
    (folder / "a.json:3").write_text("[]")
    (one,) = read_payloads([str(folder / "a.json:3")], "application/json")
    assert (one.body, one.weight) == (b"[]", 1.0)


def test_of_a_folder_all_files_are_sent_but_hidden_ones(folder: Path) -> None:
    assert weights(str(folder)) == {"a.json": 1.0, "b.csv": 1.0}


def test_a_folder_may_say_how_often_each_is_sent(folder: Path) -> None:
    (folder / "weights.csv").write_text("name,weight\nb.csv,4\n")
    assert weights(str(folder)) == {"a.json": 1.0, "b.csv": 4.0}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("c.json,1", "line 2: there is no file c.json"),
        ("b.csv", "line 2: 'b.csv' is not NAME,WEIGHT"),
        ("b.csv,heavy", "line 2: 'heavy' is no weight"),
        ("b.csv,-1", "line 2: '-1' is no weight"),
        ("b.csv,inf", "line 2: 'inf' is no weight"),
    ],
)
def test_a_wrong_weight_is_refused_with_its_line(folder: Path, line: str, what: str) -> None:
    (folder / "weights.csv").write_text(f"a.json,1\n{line}\n")
    with pytest.raises(UsageError, match=what):
        read_payloads([str(folder)])


def test_a_folder_has_no_weight_of_its_own(folder: Path) -> None:
    with pytest.raises(UsageError, match="no weight of its own"):
        read_payloads([f"{folder}:2"])


def test_a_folder_without_files_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        read_payloads([str(folder / "deeper")])


def test_a_file_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.json"):
        read_payloads([str(folder / "nothing.json")])


def test_a_type_that_cannot_be_told_is_asked_for(folder: Path) -> None:
    (folder / "body").write_text("x")
    with pytest.raises(UsageError, match="--content-type"):
        read_payloads([str(folder / "body")])
