"""What the published study measured on AWS besides cold starts: real-time instances, warm
requests and costs. Another machine's seconds and dollars, of 2023: never set beside ours.

Source: see ``lab.report.study.published``. Every figure is a mean with its population standard
deviation of ``REQUESTS`` requests in series, 5 s apart, after one that is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.report.study.published import MOBILENET, VGG19
from lab.spec import Platform

REQUESTS: Final = 25
YEAR: Final = 2023


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A SageMaker instance type of the study."""

    name: str
    platform: Platform
    vcpus: int
    memory_gb: int
    usd_per_hour: float
    """As the study gives it, of 2023."""


M4: Final = Instance(
    name="ml.m4.xlarge", platform=Platform.AMD64, vcpus=4, memory_gb=16, usd_per_hour=0.24
)
M5: Final = Instance(
    name="ml.m5.xlarge", platform=Platform.AMD64, vcpus=4, memory_gb=16, usd_per_hour=0.23
)
M6G: Final = Instance(
    name="ml.m6g.xlarge", platform=Platform.ARM64, vcpus=4, memory_gb=16, usd_per_hour=0.1848
)
C7G: Final = Instance(
    name="ml.c7g.xlarge", platform=Platform.ARM64, vcpus=4, memory_gb=8, usd_per_hour=0.174
)
INSTANCES: Final = (M4, M5, M6G, C7G)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds, mean and population standard deviation."""

    prediction_s: float
    """Inside the container."""
    prediction_sd_s: float
    total_s: float
    """Request sent to reply received."""
    total_sd_s: float


def _latency(prediction: tuple[float, float], total: tuple[float, float]) -> Latency:
    return Latency(
        prediction_s=prediction[0],
        prediction_sd_s=prediction[1],
        total_s=total[0],
        total_sd_s=total[1],
    )


REAL_TIME: Final[Mapping[tuple[str, str], Latency]] = {
    (MOBILENET, M4.name): _latency((0.0811, 0.0030), (0.2871, 0.0074)),
    (MOBILENET, M5.name): _latency((0.0615, 0.0019), (0.2606, 0.0080)),
    (MOBILENET, M6G.name): _latency((0.0874, 0.0035), (0.2885, 0.0071)),
    (MOBILENET, C7G.name): _latency((0.0712, 0.0021), (0.2647, 0.0052)),
    (VGG19, M4.name): _latency((0.3506, 0.0052), (0.5506, 0.0079)),
    (VGG19, M5.name): _latency((0.2046, 0.0031), (0.3968, 0.0086)),
    (VGG19, M6G.name): _latency((0.3922, 0.0071), (0.5953, 0.0084)),
    (VGG19, C7G.name): _latency((0.3088, 0.0152), (0.5049, 0.0145)),
}
"""By model and instance."""

WARM: Final[Mapping[tuple[str, int], Latency]] = {
    (MOBILENET, 1024): _latency((0.1761, 0.0101), (0.4758, 0.0360)),
    (MOBILENET, 2048): _latency((0.0925, 0.0059), (0.3614, 0.0204)),
    (MOBILENET, 3072): _latency((0.0749, 0.0149), (0.3441, 0.0233)),
    (VGG19, 1024): _latency((1.5937, 0.0592), (1.8838, 0.0545)),
    (VGG19, 2048): _latency((0.5838, 0.0160), (0.8623, 0.0256)),
    (VGG19, 3072): _latency((0.3937, 0.0190), (0.6791, 0.0383)),
}
"""Serverless, by model and memory in MB."""

SERVERLESS_USD: Final[Mapping[tuple[str, int], float]] = {
    (MOBILENET, 1024): 0.0000095,
    (MOBILENET, 2048): 0.0000144,
    (MOBILENET, 3072): 0.0000206,
    (VGG19, 1024): 0.0000376,
    (VGG19, 2048): 0.0000344,
    (VGG19, 3072): 0.0000408,
}
"""Mean cost of an inference, by model and memory in MB; 0.00002 USD per GB-second."""
