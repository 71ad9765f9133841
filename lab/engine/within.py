"""Whether this program itself runs in one of the engine's containers."""

from pathlib import Path
from typing import Final

from lab.engine.api import Engine

_MOUNTS: Final = Path("/proc/self/mountinfo")


def runs_within(engine: Engine, *, mounts: Path = _MOUNTS) -> bool:
    """True in a container of the lab's on that very engine, not in any other engine's.

    An engine mounts files of its own, from a folder named after the container, into each.
    """
    try:
        seen = mounts.read_text()
    except OSError:
        return False
    return "/containers/" in seen and any(one.id in seen for one in engine.containers({}))
