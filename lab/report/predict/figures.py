"""The published figures that the model is fitted to and tried on, with the equation of each."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np

from lab.images.variants import BASELINE
from lab.report.predict import equations
from lab.report.predict.constants import Vector
from lab.report.predict.work import Key, Work
from lab.report.study.published import (
    COLD_REQUESTS,
    LARGEST_COLD_S,
    LARGEST_MB,
    REAL_TIME,
    REQUESTS,
    SERVERLESS,
    Serverless,
)

SMALL: Final = "slim"
"""Ours that repeats the study's smallest image; ``baseline`` repeats its largest."""

INSTANCE: Final = "ml.m5.xlarge"
"""The study's x86-64 instance whose processors are of the same make as serverless ones."""


@unique
class Span(StrEnum):
    """What a figure tells the time of."""

    COLD = "cold request"
    WARM = "warm request"
    SETUP = "part: launch (ModelSetupTime)"
    COLD_PREDICTION = "part: first prediction, with the load"
    WARM_PREDICTION = "part: warm prediction"
    INSTANCE_PREDICTION = "warm prediction on an instance"


_STUDY_EQUATIONS: Final[Mapping[Span, Callable[[Work, int], Vector]]] = {
    Span.COLD: equations.cold,
    Span.WARM: equations.warm,
    Span.SETUP: equations.setup,
    Span.COLD_PREDICTION: equations.first_prediction,
    Span.WARM_PREDICTION: equations.warm_prediction,
    Span.INSTANCE_PREDICTION: equations.instance_prediction,
}
_OWN_EQUATIONS: Final[Mapping[Span, Callable[[Work, int], Vector]]] = {
    Span.COLD: equations.own_cold,
    Span.WARM: equations.own_warm,
    Span.SETUP: equations.own_setup,
    Span.WARM_PREDICTION: lambda work, memory_mb: equations.own_warm_prediction(
        work, longer=equations.slowed(memory_mb)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean that was measured on AWS. Seconds."""

    span: Span
    key: Key
    """Ours that repeats it."""
    size: int
    """Memory in MB, or the processors of an instance."""
    seconds: float
    sd_s: float
    """Of single requests, the population's."""
    n: int
    own: bool = False
    """Of the lab's image itself, not of the study's program."""

    @property
    def where(self) -> str:
        """``2048 MB``, ``ml.m5.xlarge``."""
        return INSTANCE if self.span is Span.INSTANCE_PREDICTION else f"{self.size} MB"

    def factors(self, works: Mapping[Key, Work]) -> Vector:
        """What the constants are multiplied with."""
        known = _OWN_EQUATIONS if self.own else _STUDY_EQUATIONS
        return known[self.span](works[self.key], self.size)

    def draw(self, rng: np.random.Generator) -> float:
        """The mean of another such series."""
        drawn = rng.normal(self.seconds, self.sd_s / math.sqrt(self.n))
        return max(float(drawn), self.seconds / 10)


def published(model: str) -> Sequence[Figure]:
    """A model's on serverless endpoints: cold and warm by memory, and with the largest image.

    No deviation is printed of ModelSetupTime and of the largest image's starts: they get that of
    the cold request of the same size.
    """
    rows = [one for one in SERVERLESS if one.model == model]
    largest = next(one for one in rows if one.memory_mb == LARGEST_MB)
    return [
        *(figure for one in rows for figure in _at(one)),
        Figure(
            span=Span.COLD,
            key=(BASELINE, model),
            size=LARGEST_MB,
            seconds=LARGEST_COLD_S[model],
            sd_s=largest.cold_total_sd_s,
            n=COLD_REQUESTS,
        ),
    ]


def on_instance(model: str) -> Figure:
    """A model's on the instance: no constant is fitted to it."""
    found = next(one for one in REAL_TIME if (one.model, one.instance) == (model, INSTANCE))
    return Figure(
        span=Span.INSTANCE_PREDICTION,
        key=(SMALL, model),
        size=found.vcpus,
        seconds=found.prediction_s,
        sd_s=found.prediction_sd_s,
        n=REQUESTS,
    )


def _at(one: Serverless) -> Sequence[Figure]:
    spans = (
        (Span.COLD, one.cold_total_s, one.cold_total_sd_s, COLD_REQUESTS),
        (Span.SETUP, one.setup_s, one.cold_total_sd_s, COLD_REQUESTS),
        (Span.COLD_PREDICTION, one.cold_prediction_s, one.cold_prediction_sd_s, COLD_REQUESTS),
        (Span.WARM, one.warm_total_s, one.warm_total_sd_s, REQUESTS),
        (Span.WARM_PREDICTION, one.warm_prediction_s, one.warm_prediction_sd_s, REQUESTS),
    )
    return [
        Figure(span=span, key=(SMALL, one.model), size=one.memory_mb, seconds=seconds, sd_s=sd, n=n)
        for span, seconds, sd, n in spans
    ]
