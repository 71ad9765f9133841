from pathlib import Path

import pytest

from lab.budget.budgetfile import BudgetFile, Ceiling, load
from lab.errors import PlanError

GOOD = "image: me:1\nceilings:\n  cold_start: 1.5s\n"


def read(tmp_path: Path, text: str, **flags: str) -> BudgetFile:
    path = tmp_path / "budget.yaml"
    path.write_text(text)
    return load(path, **flags)


def test_units_are_those_of_people(tmp_path: Path) -> None:
    text = """\
image: me:1
size: 2GB
ceilings:
  image_compressed: 60MB
  image_unpacked: 1.5 GiB
  cold_start: 1.5s
  warm_p95: 200ms
  peak_memory: 512MiB
  usd_per_million: 5.00
"""
    found = read(tmp_path, text)
    assert found.budget.asked == {
        Ceiling.IMAGE_COMPRESSED: 60e6,
        Ceiling.IMAGE_UNPACKED: 1.5 * 2**30,
        Ceiling.COLD_START: 1.5,
        Ceiling.WARM_P95: 0.2,
        Ceiling.PEAK_MEMORY: 512 * 2**20,
        Ceiling.USD_PER_MILLION: 5.0,
    }
    assert found.lines[Ceiling.WARM_P95] == 7
    assert found.budget.size == "2048"


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    budget = read(tmp_path, GOOD).budget
    assert (budget.size, budget.measure.cold, budget.measure.warm) == ("host", 10, 400)
    assert list(budget.asked) == [Ceiling.COLD_START]


def test_files_lie_beside_the_budget(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    assert read(tmp_path, GOOD + "payload: request.json\n").budget.payload == (
        tmp_path / "request.json"
    )


def test_an_image_of_the_command_line_takes_the_place_of_the_file_s(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD, image="me:ci").budget.image == "me:ci"
    assert read(tmp_path, "ceilings: {cold_start: 1s}\n", image="me:ci").budget.image == "me:ci"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "imige: x\n", "4: unknown key 'imige'; did you mean image?"),
        (
            "image: x\nceilings:\n  cold_strat: 1s\n",
            "3: unknown key 'cold_strat'; did you mean cold_start?",
        ),
        (GOOD + "measure:\n  warn: 9\n", "5: unknown key 'warn'; did you mean warm?"),
        (GOOD + "measure:\n  cold: 3\n", "5: measure.cold: input should be greater than or equal"),
        (GOOD + "measure:\n  warm: 50\n", "5: measure.warm: input should be greater than or equal"),
        ("image: x\n", "1: ceilings: is missing."),
        ("image: x\nceilings: {}\n", "1: ceilings is empty: name at least one of image_compressed"),
        ("ceilings:\n  cold_start: 1s\n", "1: image: is missing."),
        (
            "image: x\nceilings:\n  image_unpacked: 60 pounds\n",
            "3: ceilings.image_unpacked: '60 pounds' is no size in bytes",
        ),
        ("image: x\nceilings:\n  warm_p95: 0s\n", "3: ceilings.warm_p95: input should be greater"),
        (
            "image: x\nceilings:\n  warm_p95: soon\n",
            "3: ceilings.warm_p95: 'soon' is not a duration",
        ),
        (GOOD + "size: 2047\n", "4: size: Serverless inference has no memory size 2047."),
        (GOOD + "size: ml.m5.lage\n", "4: size: 'ml.m5.lage' is no size. Did you mean ml.m5.large"),
        (GOOD + "payload: no.json\n", "4: payload: there is no no.json."),
        (GOOD + "model: a\nmodel_data: s3://b/c\n", "1: model and model_data are both given"),
        ("image: x\nceilings:\n  usd_per_million: 5\n", "1: size is missing: usd_per_million"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/budget.yaml:{says}")


def test_a_budget_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.yaml cannot be read"):
        load(tmp_path / "none.yaml")
