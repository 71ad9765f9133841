"""Which task serves a model: the service's own, or what the archive brings."""

import re
from pathlib import Path

import pytest

from app import card, tasks
from app.errors import StartError
from app.settings import Settings
from app.tasks.image_classification import ImageClassification
from tests.unit.services.inference import tiny

OWN = """
class Task:
    taken = given = ("text/plain",)
    features = ()
    def __init__(self, card, settings):
        self.name = card.name
"""


def described(task: str) -> card.Card:
    return card.card(tiny.card() | {"task": task})


def archive(folder: Path, source: str) -> str:
    (folder / "code").mkdir()
    (folder / "code" / "task.py").write_text(source)
    return str(folder)


def test_image_classification_is_the_service_s_own_whatever_the_archive_holds(
    tmp_path: Path,
) -> None:
    folder = archive(tmp_path, "raise SystemExit")
    assert tasks.task_class(described("image-classification"), folder) is ImageClassification


def test_any_other_comes_with_the_archive_and_leaves_nothing_there(tmp_path: Path) -> None:
    model = described("toy")
    found = tasks.fit(tasks.task_class(model, archive(tmp_path, OWN)), model, Settings({}))
    assert found.taken == ("text/plain",)
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["task.py"]


def test_a_task_that_nobody_has_is_named_with_the_place_where_it_would_be(tmp_path: Path) -> None:
    said = f"task 'toy' is none of the service's own .*{re.escape(str(tmp_path))}/code/task.py"
    with pytest.raises(StartError, match=said):
        tasks.task_class(described("toy"), str(tmp_path))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def", "cannot be loaded: SyntaxError"),
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("x = 1", "must define a class Task"),
        ("Task = 1", "must define a class Task"),
    ],
)
def test_code_that_is_no_task_is_told_with_its_file(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(StartError, match=rf"code/task\.py {said}"):
        tasks.task_class(described("toy"), archive(tmp_path, source))


def test_a_card_that_a_task_refuses_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    refusing = OWN.replace("self.name = card.name", "raise ValueError('three inputs')")
    model = described("toy")
    with pytest.raises(StartError, match=r"does not fit the task toy \(three inputs\)"):
        tasks.fit(tasks.task_class(model, archive(tmp_path, refusing)), model, Settings({}))
