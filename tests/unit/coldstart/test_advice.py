"""What is said of a failed trial beside its message."""

import pytest

from lab.coldstart.advice import check_command, remedy
from lab.coldstart.record import Cell, Failure, FailureKind
from lab.spec import FLOOR, Platform, StartKind

OWN = {
    "image": "my-registry/my-model:3",
    "payload": "/tmp/a request.json",
    "content_type": "application/json",
    "model_data": "model.tar.gz",
}


def cell(variant: str, model: str = "in-image") -> Cell:
    return Cell(
        variant=variant,
        model=model,
        platform=Platform.AMD64,
        tier="host",
        start_kind=StartKind.FRESH,
    )


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        (FailureKind.EARLY_EXIT, "--only serve"),
        (FailureKind.OOM, "--only serve"),
        (
            FailureKind.NEVER_READY,
            "--only serve --only port --only ping --only start-time",
        ),
        (FailureKind.INVOCATION, "--only invocation"),
    ],
)
def test_the_check_of_one_s_own_image_is_given_what_the_bench_was_given(
    kind: FailureKind, rules: str
) -> None:
    assert check_command(kind, plan={"own": OWN}, cell=cell("my-registry-my-model-3")) == (
        "lab contract check my-registry/my-model:3 --payload '/tmp/a request.json' "
        f"--content-type application/json --model-data model.tar.gz {rules}"
    )


def test_a_variant_is_checked_with_the_model_that_it_served() -> None:
    said = check_command(FailureKind.EARLY_EXIT, plan={"own": OWN}, cell=cell("onnx", "eyes"))
    assert said == "lab contract check onnx --model-data eyes --only serve"


def test_no_check_says_more_of_the_engine_or_the_floor() -> None:
    assert check_command(FailureKind.PULL, plan={}, cell=cell("onnx", "eyes")) == ""
    assert check_command(FailureKind.OOM, plan={}, cell=cell(FLOOR)) == ""


def test_the_cure_that_is_known_stands_for_the_general_one() -> None:
    dead = Failure(kind=FailureKind.EARLY_EXIT, message="It exited.")
    known = dead.model_copy(update={"cure": "Install it."})
    for failure, said in ((dead, "Run it by hand."), (known, "Install it.")):
        told = remedy(failure, "Run it by hand.", plan={"own": None}, cell=cell("onnx", "eyes"))
        assert told.startswith(f"{said} `lab contract check onnx")
