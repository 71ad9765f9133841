"""The model: seconds on AWS as sums of constants, each times what was measured here.

A cold request is placed (``placing``), its image comes by the chunks that are read (``chunk``), the
archive of the model is fetched, and the container then works: as long as the work takes on one
processor, or longer where the memory buys less than one. Start-up is taken to use one thread: 2 and
3 GB differ by nothing in it, which is what the study saw. An inference uses all that there is.
"""

from typing import Final

from lab.report.predict.constants import Constant, Vector, vector
from lab.report.predict.work import Work
from lab.spec import MB_PER_VCPU

SMALLEST_MB: Final = 1024
LARGEST_MB: Final = 3072
"""The memory sizes that the study measured, and so the ends of what can be predicted."""


def slowed(memory_mb: int) -> float:
    """How many times longer one thread takes than on a whole processor."""
    return max(1.0, MB_PER_VCPU / memory_mb)


def spread_over(memory_mb: int) -> float:
    """How many times longer than on one processor, for work that uses all of its share."""
    return MB_PER_VCPU / memory_mb


def setup(work: Work, memory_mb: int) -> Vector:
    """ModelSetupTime of the study's container, whose ``/ping`` says 200 before it has a model."""
    return vector(
        {
            Constant.CHUNK: work.chunks,
            Constant.SPEED: work.fetch_s + work.start_s * slowed(memory_mb),
        }
    )


def first_prediction(work: Work, memory_mb: int) -> Vector:
    """Inside the study's container: the model is loaded, then used for the first time."""
    longer = slowed(memory_mb)
    return vector(
        {
            Constant.LOADER: work.load_s * longer,
            Constant.INFERENCE: work.first_s * longer,
            Constant.HANDLING: longer,
        }
    )


def cold(work: Work, memory_mb: int) -> Vector:
    """A cold request of the study's."""
    placing = vector({Constant.PLACING: 1.0})
    return placing + setup(work, memory_mb) + first_prediction(work, memory_mb)


def warm_prediction(work: Work, memory_mb: int) -> Vector:
    """Inside the study's container, which infers with as many threads as it can."""
    return _inferred(work, longer=spread_over(memory_mb), handled=slowed(memory_mb))


def instance_prediction(work: Work, vcpus: int) -> Vector:
    """The same on an instance, which has whole processors."""
    return _inferred(work, longer=1 / vcpus, handled=1.0)


def warm(work: Work, memory_mb: int) -> Vector:
    """A warm request of the study's."""
    return warm_prediction(work, memory_mb) + vector({Constant.NETWORK: 1.0})


def own_start(work: Work, *, longer: float) -> Vector:
    """Of an image as it is: archive, start, load, and every inference up to the first answer."""
    return vector(
        {
            Constant.SPEED: work.fetch_s + (work.start_s + work.load_s) * longer,
            Constant.INFERENCE: (work.first_s + work.more_s) * longer,
        }
    )


def own_setup(work: Work, memory_mb: int) -> Vector:
    """ModelSetupTime of an image that loads its model before it answers ``/ping``."""
    longer = slowed(memory_mb)
    eager = work.first_s * longer if work.more_s else 0.0
    return vector(
        {
            Constant.CHUNK: work.chunks,
            Constant.SPEED: work.fetch_s + (work.start_s + work.load_s) * longer,
            Constant.INFERENCE: eager,
        }
    )


def own_cold(work: Work, memory_mb: int) -> Vector:
    """A cold request of an image as it is."""
    arrived = vector({Constant.PLACING: 1.0, Constant.CHUNK: work.chunks})
    return arrived + own_start(work, longer=slowed(memory_mb))


def own_warm_prediction(work: Work, *, longer: float) -> Vector:
    """Inside the container: its second prediction here, with the threads that it used here."""
    return vector({Constant.INFERENCE: work.inference_s * longer})


def own_warm(work: Work, memory_mb: int) -> Vector:
    """A warm request of an image as it is."""
    inside = own_warm_prediction(work, longer=slowed(memory_mb))
    return inside + vector({Constant.NETWORK: 1.0})


def _inferred(work: Work, *, longer: float, handled: float) -> Vector:
    return vector(
        {Constant.INFERENCE: work.inference_s * longer, Constant.HANDLING: handled},
    )
