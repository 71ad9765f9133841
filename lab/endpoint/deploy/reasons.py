"""Why an endpoint failed, in AWS's words and with the cause."""

from typing import Final

_LONGEST: Final = 1024
"""Characters of a ``FailureReason``."""


def failure_reason(variant: str, cause: str) -> str:
    """AWS's sentence, which says nothing, and the cause, which AWS keeps to itself."""
    return shortened(
        f"The primary container for production variant {variant} did not pass the ping health "
        f"check. Please check CloudWatch logs for this endpoint. {cause}"
    )


def shortened(reason: str) -> str:
    """To what a ``FailureReason`` may hold: the beginning and, of the log, the last lines."""
    if len(reason) <= _LONGEST:
        return reason
    head = _LONGEST // 2
    gap = " [...] "
    return reason[:head] + gap + reason[len(reason) - (_LONGEST - head - len(gap)) :]
