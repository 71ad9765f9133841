"""The finding about int8 models that are measured beside their float ones."""

from collections.abc import Callable, Sequence

import pytest

from lab.coldstart.record import Sample
from lab.coldstart.summary import Finding, FindingKind
from lab.spec import StartKind
from tests.unit.report.synthetic import Script
from tests.unit.report.test_rows import result

FLOAT = "retinopathy-vgg19"
INT8 = f"{FLOAT}-int8"


def told(ratio: float, *, blocks: int = 10, models: Sequence[str] = (FLOAT, INT8)) -> list[Finding]:
    """Of a run in which int8 takes ``ratio`` times as long for a warm prediction."""

    def edit(sample: Sample) -> Sample:
        slower = ratio if sample.cell.model == INT8 else 1.0
        later = (sample.second_prediction_s or 0.0) * slower
        return sample.model_copy(update={"second_prediction_s": later})

    script = Script(
        variants=("onnx-slim",), kinds=(StartKind.FRESH,), models=models, blocks=blocks, edit=edit
    )
    kind = FindingKind.INT8_NOT_FASTER
    return [one for one in result(script).summary.findings if one.kind is kind]


def test_an_int8_model_that_is_slower_is_told_with_its_interval() -> None:
    (found,) = told(1.5)
    assert FLOAT in found.title
    assert "not faster" in found.title
    assert f"{INT8}: a warm prediction takes 1." in found.seen
    assert " to 1." in found.seen
    assert len(found.cells) == 1


def test_one_that_takes_as_long_is_told_too() -> None:
    assert len(told(1.0)) == 1


@pytest.mark.parametrize(
    "nothing",
    [
        lambda: told(0.5),  # it is faster
        lambda: told(1.5, blocks=2),  # too few samples to tell
        lambda: told(1.5, models=(INT8,)),  # nothing beside it
        lambda: told(1.5, models=(FLOAT,)),
    ],
)
def test_it_is_silent_where_int8_is_faster_or_nothing_is_shown(
    nothing: Callable[[], list[Finding]],
) -> None:
    assert nothing() == []
