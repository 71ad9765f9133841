"""arm64 on AWS, published and not measured: the study's Graviton instances against its x86-64 ones.

Nothing here is of this machine. An emulated arm64 says nothing of a Graviton processor, so until a
run from one is joined (``lab report join``), these ratios are what is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from lab.report.study.published import MOBILENET, NAMES, REAL_TIME, VGG19, RealTime
from lab.report.words import percent
from lab.spec import Platform

TITLE: Final = "arm64 on AWS: published, not measured"
FORMULA: Final = "USD per 1000 predictions = 1000 x seconds per prediction / 3600 x USD per hour"
ASSUMES: Final = (
    "of an instance that predicts one image after the other without a pause, by the prediction "
    "time inside the container; one that idles costs its hours all the same"
)
CLAIM: Final = "24 % less cost, with no loss for small models"
CLAIMED_PERCENT: Final = 24
_LOSS: Final = 0.05
"""A total latency longer by less than this is what the study calls no loss."""


@dataclass(frozen=True, kw_only=True)
class PriceRatio:
    """A Graviton instance over an x86-64 one, for a model. Of printed means: without intervals."""

    arm64: RealTime
    amd64: RealTime

    @property
    def model(self) -> str:
        return self.arm64.model

    @property
    def prediction(self) -> float:
        """Time inside the container."""
        return self.arm64.prediction_s / self.amd64.prediction_s

    @property
    def total(self) -> float:
        """Request sent to reply received."""
        return self.arm64.total_s / self.amd64.total_s

    @property
    def price(self) -> float:
        return self.arm64.usd_per_hour / self.amd64.usd_per_hour

    @property
    def cost(self) -> float:
        """Of a prediction: ``price`` times ``prediction``."""
        return self.price * self.prediction

    @property
    def request_cost(self) -> float:
        """Of a request from an only sender that waits for each: ``price`` times ``total``."""
        return self.price * self.total

    @property
    def pair(self) -> str:
        return f"{self.arm64.instance} / {self.amd64.instance}"


def ratios() -> Sequence[PriceRatio]:
    """Each Graviton instance over each x86-64 one, for each model."""
    return [
        PriceRatio(arm64=over, amd64=under)
        for over, under in product(REAL_TIME, REAL_TIME)
        if over.model == under.model
        and (over.platform, under.platform) == (Platform.ARM64, Platform.AMD64)
    ]


def claimed() -> Sequence[PriceRatio]:
    """The ratios that the study's headline can be of: an hour of 24 % less, no loss for MobileNet.

    They are of one pair of instances, for each model.
    """
    hours = [one for one in ratios() if round(100 * (1 - one.price)) == CLAIMED_PERCENT]
    pairs = {one.pair for one in hours if one.model == MOBILENET and one.total < 1 + _LOSS}
    return [one for one in hours if one.pair in pairs]


def verdict() -> Sequence[str]:
    """What of the headline its own figures bear out, in sentences."""
    by_model = {one.model: one for one in claimed()}
    small, large = by_model[MOBILENET], by_model[VGG19]
    others = {one.pair: percent(1 - one.price) for one in ratios() if one.pair != small.pair}
    first, second = small.arm64, small.amd64
    rest = ", ".join(f"{pair} {less}" for pair, less in others.items())
    of_hours = (
        f"The headline, {CLAIM}, is {small.pair} by the hour: {first.usd_per_hour} against "
        f"{second.usd_per_hour} USD, {_change(small.price)}. (The other pairs: {rest} less.)"
    )
    of_small = (
        f"{NAMES[MOBILENET]} on that pair: a request as its sender sees it takes "
        f"{_change(small.total)}, no loss that matters, and costs {_change(small.request_cost)}. "
        f"But the prediction inside the container takes {_change(small.prediction)}: where an "
        f"instance is kept busy, it costs {_change(small.cost)}, not {CLAIMED_PERCENT} %."
    )
    of_large = (
        f"{NAMES[VGG19]} on that pair: {_change(large.prediction)} time inside the container, so "
        f"that a prediction costs {_change(large.cost)}: the saving is one of small models, and of "
        "instances that idle."
    )
    of_memory = (
        f"{first.instance} has {first.memory_gb} GB of memory, "
        f"{second.instance} {second.memory_gb} GB."
    )
    return [of_hours, of_small, of_large, of_memory]


def _change(ratio: float) -> str:
    """``24.3 % less``, ``1.6 % more``."""
    return f"{abs(ratio - 1) * 100:.1f} % {'less' if ratio < 1 else 'more'}"
