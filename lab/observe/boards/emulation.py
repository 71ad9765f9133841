"""What the boards of endpoints say of containers whose processor QEMU plays.

The emulator's metrics are CloudWatch's and have CloudWatch's labels: which endpoint was emulated is
told beside them, by ``sagemaker_containers_emulated``.
"""

from lab.observe.boards import panels
from lab.observe.boards.panels import Unit
from lab.observe.boards.promql import most, of, peak, total

_EMULATED = "sagemaker_containers_emulated"


def emulated(labels: str) -> object:
    """How many of the chosen endpoints' containers were emulated in the range, at most."""
    return panels.stat(
        "Emulated",
        "Containers under QEMU, at most, in the range: no time of theirs is one of real hardware.",
        total(peak(of(_EMULATED, labels))),
        Unit.COUNT,
        limits=panels.none_is_good(),
    )


def native(seconds: str) -> str:
    """Seconds by endpoint, less those of endpoints that were emulated in the range.

    Of the range, not of the moment: a serverless endpoint whose containers are gone has its times
    all the same.
    """
    return f"{seconds} unless on (endpoint) ({most(peak(_EMULATED), 'endpoint')} > 0)"
