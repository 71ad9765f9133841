"""The recommender: a model of a task of its own, through what the classifiers go through."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from lab.artifacts import archive, build, store
from lab.artifacts.verify import problems
from lab.contract.model import Verdict
from lab.contract.subject import CheckRequest
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.images.variants import VARIANTS
from lab.parity.compare import compare, parse
from lab.parity.inputs import choose
from lab.progress import Progress
from lab.start.serving import serving
from tests.docker.conftest import alone
from tests.docker.contract_client import Served
from tests.docker.test_contract_check import Checks, named

pytestmark = pytest.mark.docker

NISER = "recommender-niser"
JSON, CSV = "application/json", "text/csv"


@pytest.fixture(scope="module")
def niser(engine: DockerEngine, progress: Progress) -> str:
    """The name of a model that is built."""
    with alone("models"):
        build.ensure([NISER], engine=engine, progress=progress)
    return NISER


class Site:
    """Starts variants that serve the recommender."""

    def __init__(self, engine: DockerEngine, built: Callable[[str], str], folder: Path) -> None:
        folder.chmod(0o755)  # readable by whatever user the image runs as
        self._engine, self._built, self._folder = engine, built, folder

    @contextmanager
    def serving(self, variant: str) -> Iterator[Served]:
        folder, runtime = self._folder / variant, VARIANTS[variant].runtime
        assert runtime is not None
        archive.extract(store.find(NISER, runtime).path, folder)
        spec = ContainerSpec(
            image=self._built(variant),
            model_dir=PurePosixPath(folder),
            labels={"org.inference-lab.role": f"test-niser-{variant}"},
            publish=0,
        )
        with serving(self._engine, spec, within_s=300) as container:
            served = Served(*container.address)
            with served.http:
                yield served


@pytest.fixture
def site(niser: str, engine: DockerEngine, built: Callable[[str], str], tmp_path: Path) -> Site:
    return Site(engine, built, tmp_path)


@pytest.fixture
def slim(site: Site) -> Iterator[Served]:
    with site.serving("onnx-slim") as served:
        yield served


def predictions(served: Served, value: object) -> Any:
    answer = served.invoke(json.dumps(value).encode(), JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_the_smallest_image_recommends_as_the_model_s_card_says(slim: Served) -> None:
    card = store.card(NISER)
    popular = card["popular"]["items"]
    beyond = card["catalogue"]["items"] + 1

    (one,) = predictions(slim, {"session": [1, 2, 3], "k": 5})
    assert len(set(one["items"])) == len(one["scores"]) == 5
    assert one["item"] == one["items"][0]
    assert sorted(one["scores"], reverse=True) == one["scores"]
    assert 0 < sum(one["scores"]) <= 1
    assert (one["unknown"], one["popular"]) == (0, False)

    same, dropped, nothing, unknown = predictions(
        slim,
        {
            "instances": [
                {"session": [1, 2, 3], "k": 5},
                {"session": [1, -7, 2, beyond, 3], "k": 5},
                {"session": []},
                {"session": [beyond] * 30, "k": 2},
            ]
        },
    )
    assert same["items"] == dropped["items"] == one["items"]
    assert dropped["unknown"] == 2
    assert (nothing["items"], nothing["popular"]) == (popular[:20], True)
    assert (unknown["items"], unknown["popular"], unknown["unknown"]) == (popular[:2], True, 30)

    (long,) = predictions(slim, {"session": [1, 2, 3] * 300_000})
    (last,) = predictions(slim, {"session": ([1, 2, 3] * 7)[-20:]})
    assert long["items"] == last["items"]

    lines = slim.invoke(b"1,2,3\n\n", CSV, CSV)
    first, second = (list(map(int, line.split(","))) for line in lines.text.splitlines())
    assert first[:5] == one["items"]
    assert second == popular[:20]

    wrong = slim.invoke(b"1,2\n3,item\n", CSV)
    assert (wrong.status_code, "Line 2, column 2" in wrong.text) == (400, True)
    wrong = slim.invoke(b'{"session": [1, 2.5]}', JSON)
    assert (wrong.status_code, "session[1] is 2.5" in wrong.text) == (400, True)

    counts = slim.counts()
    assert counts['lab_inference_predictions_total{answer="0"}'] == 3
    assert counts['lab_inference_predictions_total{answer="1"}'] == 6
    assert counts["lab_inference_input_length_count"] == 9


def test_it_is_what_its_card_says_and_the_smallest_image_keeps_the_contract_with_it(
    niser: str, engine: DockerEngine, built: Callable[[str], str], tmp_path: Path
) -> None:
    assert problems(niser) == []
    built("onnx-slim")
    findings = Checks(engine, tmp_path).of(CheckRequest(image="onnx-slim", model_data=niser))
    assert not named(findings, Verdict.FAIL)
    assert set(named(findings, Verdict.WARN)) == {"kind-multi-model"}  # none of the lab's is


@pytest.mark.long
def test_every_variant_recommends_the_same(site: Site) -> None:
    inputs, tolerance = choose(NISER, 200), store.tolerance(NISER)
    answers = {}
    for variant in ("slim", "onnx", "onnx-slim"):
        with site.serving(variant) as served:
            answers[variant] = [
                parse(served.invoke(one.body, one.content_type).content, tolerance, of=one.name)
                for one in inputs
            ]
            empty = predictions(served, {"instances": [{"session": []}, {"session": [1]}]})
            assert [one["popular"] for one in empty] == [True, False]
    names = [one.name for one in inputs]
    for variant in ("slim", "onnx"):
        results = compare(names, answers[variant], answers["onnx-slim"])
        assert max(one.max_abs_difference for one in results) <= tolerance.max_abs_difference
        alike = [one.reference_label == one.compared_label for one in results]
        assert sum(alike) >= tolerance.least_agreement * len(alike)
