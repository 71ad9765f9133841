"""What serves every task says inputs and answers; an image is a container's, or one task's."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.paths import ROOT
from tests.unit.observe.reading import UIDS, Json, board

ONE_TASKS = re.compile(r"\b(pictures?|photo\w*|grade[sd]?|grading)\b", re.IGNORECASE)
IMAGE = re.compile(r"(?<![a-z])images?(?![a-z])", re.IGNORECASE)

GENERIC = (
    *("metrics", "reference", "predictor", "service", "startup", "card", "tasks/__init__"),
    *("tasks/bodies", "tasks/tensors"),
)
NO_CONTAINERS_EITHER = (
    *(f"services/inference/app/{name}.py" for name in GENERIC),
    *("models/common/reference.py", "models/common/built.py"),
    *("lab/stack/demo.py", "lab/stack/demo_sessions.py", "lab/stack/traffic.py", "lab/cli/demo.py"),
    "services/prometheus/rules/drift.yml",
)
CONTAINERS_IMAGES = (
    *("lab/stack/seed.py", "lab/stack/session.py", "lab/stack/demo_bench.py", "lab/stack/sdk.py"),
    *("lab/parity/__init__.py", "lab/parity/compare.py", "lab/parity/session.py"),
    *(f"services/prometheus/rules/{name}.yml" for name in ("alerts", "objectives", "endpoint")),
    *(f"services/prometheus/tests/{name}.yml" for name in ("model", "hours", "requests")),
)
MEANT = (
    "image-classification",
    "image_classification",
    "_IMAGES",
    "ImageClassification",
    "lab.images",
    "what the image has",  # onnx-slim's
)
"""The one task's name, and a container's image."""


def of_another_task(text: str, *words: re.Pattern[str]) -> list[str]:
    for meant in MEANT:
        text = text.replace(meant, "")
    return [found.group() for pattern in words for found in pattern.finditer(text)]


@pytest.mark.parametrize("name", NO_CONTAINERS_EITHER)
def test_what_serves_every_task_speaks_of_none(name: str) -> None:
    assert of_another_task((ROOT / name).read_text(encoding="utf-8"), ONE_TASKS, IMAGE) == []


@pytest.mark.parametrize("name", CONTAINERS_IMAGES)
def test_an_image_is_a_containers(name: str) -> None:
    assert of_another_task((ROOT / name).read_text(encoding="utf-8"), ONE_TASKS) == []


@pytest.mark.parametrize("uid", UIDS)
def test_a_board_speaks_of_images_only_of_containers_or_says_that_the_panel_is_one_tasks(
    uid: str,
) -> None:
    images = () if uid in {"lab-coldstart", "lab-compare"} else (IMAGE,)
    for title, text in _texts(board(uid)):
        one_tasks = text.startswith(("Of images:", "no images came:")) or title == ""
        assert one_tasks or of_another_task(text, ONE_TASKS, *images) == [], (title, text)


def test_the_words_are_found_where_they_stand() -> None:
    told = "Images graded: drift_images of a photograph, of pictures. upgraded, imaged"
    assert of_another_task(told, ONE_TASKS, IMAGE) == [
        *("graded", "photograph", "pictures"),
        *("Images", "images"),
    ]
    assert of_another_task(Path(__file__).read_text(encoding="utf-8"), ONE_TASKS)


def _texts(of: Json) -> Iterator[tuple[str, str]]:
    """Title and text of whatever a board shows; the note, which tells of every task, has none."""
    note, *others = of["panels"]
    yield "", note["options"]["content"]
    yield "board", of["description"]
    for panel in others:
        yield panel["title"], panel["title"]
        yield panel["title"], panel["description"]
        yield panel["title"], panel.get("fieldConfig", {}).get("defaults", {}).get("noValue", "")
        for target in panel.get("targets", ()):
            yield panel["title"], target.get("legendFormat", "")
