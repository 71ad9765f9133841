"""Small plans, cells and samples for the tests of this folder."""

from collections.abc import Mapping
from typing import Any

from lab.coldstart.plan import Plan
from lab.coldstart.record import Cell, Failure, FailureKind
from lab.coldstart.schedule import Trial
from lab.spec import Mark, Platform, StartKind

GOOD: Mapping[Mark, float] = {
    Mark.BEGIN: 0.0,
    Mark.CREATE_BEGIN: 0.0,
    Mark.CREATE_END: 0.1,
    Mark.START_BEGIN: 0.1,
    Mark.STARTED: 0.3,
    Mark.ACCEPTING: 0.8,
    Mark.READY: 0.9,
    Mark.PREDICT_BEGIN: 0.9,
    Mark.PREDICTED: 1.0,
    Mark.SECOND_BEGIN: 1.0,
    Mark.SECOND_END: 1.01,
}


def plan(**over: Any) -> Plan:
    data: dict[str, Any] = {
        "name": "tiny",
        "variants": ["slim", "onnx"],
        "models": ["mobilenet"],
        "platforms": ["linux/amd64"],
        "start_kinds": ["fresh"],
        "repeats": 2,
    }
    return Plan.model_validate({**data, **over})


def cell(variant: str = "onnx", kind: StartKind = StartKind.FRESH, tier: str = "host") -> Cell:
    return Cell(
        variant=variant, model="mobilenet", platform=Platform.AMD64, tier=tier, start_kind=kind
    )


def trial(index: int = 0, of: Cell | None = None, block: int = 1) -> Trial:
    return Trial(index=index, block=block, cell=of or cell())


def failure(kind: FailureKind, message: str = "it broke") -> Failure:
    return Failure(kind=kind, message=message)
