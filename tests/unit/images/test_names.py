"""Which image names are the lab's own."""

import re

import pytest

from lab.images.names import is_own_name
from lab.images.targets import BAKE_FILE, TARGETS
from lab.images.variants import VARIANTS
from lab.paths import ROOT
from lab.spec import Platform


def test_every_image_that_can_be_built_has_a_name_of_the_labs() -> None:
    bake = (ROOT / BAKE_FILE).read_text(encoding="utf-8")
    tagged = set(re.findall(r'tags\s*=\s*tag\("([^"]+)"\)', bake)) | {*TARGETS, *VARIANTS}
    for platform in Platform:
        for name in tagged:
            assert is_own_name(f"inference-lab/{name}:{platform.arch}"), name
        assert is_own_name(f"inference-lab/base:trixie-{platform.arch}")


@pytest.mark.parametrize(
    "name",
    [
        "me/mine:1",
        "inference-lab/mine:1",
        "inference-lab/onnx:mine",
        "registry.example.org/inference-lab/onnx:amd64",
        "inference-lab-onnx:amd64",
        "inference-lab/replaced-by-me:1",
    ],
)
def test_a_name_that_a_user_gave_is_none(name: str) -> None:
    assert not is_own_name(name)


def test_an_image_that_lost_its_name_to_a_newer_one_has_one_of_the_labs() -> None:
    assert is_own_name("inference-lab/replaced:0123456789ab")
    assert is_own_name("inference-lab/deployed:0123456789ab-0123456789ab")
