"""Docker's time stamps."""

import re
from datetime import datetime
from typing import Final

_NS: Final = 1_000_000_000
_ZERO_TIME: Final = "0001-01-01"


def parse_time(text: str) -> int | None:
    """An RFC 3339 time with up to nine decimals as nanoseconds since the epoch; None for never."""
    found = re.fullmatch(r"(.+?:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if found is None or text.startswith(_ZERO_TIME):
        return None
    whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    return round(whole.timestamp()) * _NS + int((found[2] or "0").ljust(9, "0")[:9])
