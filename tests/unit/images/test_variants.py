"""The records that all which lists variants derives from."""

import re
from collections.abc import Mapping

import pytest

from lab import paths
from lab.images.targets import TARGETS
from lab.images.variants import BASELINE, DEFAULT, VARIANTS, bake_definition, serving
from lab.spec import FLOOR


def dockerfile(name: str) -> str:
    return (paths.SERVICES / "inference" / f"Dockerfile.{name}").read_text(encoding="utf-8")


def switches(name: str) -> Mapping[str, str]:
    """What the Dockerfile's ``ENV`` sets for the service and its runtime."""
    return dict(re.findall(r"\b((?:LAB|ORT|TF)_[A-Z_]+)=(\S+)", dockerfile(name)))


@pytest.mark.parametrize("name", serving())
def test_a_dockerfile_sets_what_the_record_says(name: str) -> None:
    found = dict(switches(name))
    found.pop("LAB_ORT_LIBRARY", None)  # a path, which is another one in every layout
    assert found == VARIANTS[name].env


@pytest.mark.parametrize("name", serving())
def test_a_dockerfile_copies_from_the_stages_that_the_record_names(name: str) -> None:
    own = set(re.findall(r"^FROM .* AS (\S+)$", dockerfile(name), re.MULTILINE))
    named = re.findall(r"(?:--from=|^FROM )([a-z][\w-]*)", dockerfile(name), re.MULTILINE)
    assert set(named) - own - {"scratch"} == set(VARIANTS[name].stages)


@pytest.mark.parametrize("name", serving())
def test_what_a_dockerfile_copies_from_the_checkout_makes_the_image_stale(name: str) -> None:
    copied = re.findall(r"^COPY (?!--)(\S+) ", dockerfile(name), re.MULTILINE)
    for source in copied:
        assert any(f"{source}/".startswith(f"{one}/") for one in TARGETS[name].inputs), source


def test_every_dockerfile_is_a_variants_and_every_variant_has_one() -> None:
    found = {path.suffix[1:] for path in (paths.SERVICES / "inference").glob("Dockerfile.*")}
    assert found == set(serving())


def test_the_order_is_from_the_baseline_to_the_default_with_the_floor_last() -> None:
    assert [next(iter(VARIANTS)), *list(VARIANTS)[-2:]] == [BASELINE, DEFAULT, FLOOR]


def test_the_bake_file_gets_a_target_of_every_variant() -> None:
    definition = bake_definition()
    assert list(definition["target"]) == list(serving())
    assert definition["group"]["variants"]["targets"] == list(VARIANTS)
    assert definition["target"]["twostage"]["contexts"] == {"baseline": "target:baseline"}
