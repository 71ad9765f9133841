"""``slim.json``: what was made smaller, how it was proven, what both take, and what is risked."""

from collections.abc import Sequence
from typing import Final

from lab.advice.recording import ImagePath
from lab.advice.slim.select import Level
from lab.schema import Frozen, Versioned
from lab.spec import Platform, StartKind
from lab.stats.ratios import RatioVerdict

SLIM_FILE: Final = "slim.json"
REMOVED_LIST: Final = "removed.txt"


class Size(Frozen):
    """What an image weighs."""

    compressed_bytes: int
    estimated: bool
    """Of the compressed bytes: no registry was asked."""
    unpacked_bytes: int
    names: int
    """Files, folders and links."""


class RemovedPackage(Frozen):
    """What was left out of a package."""

    manager: str
    name: str
    files: int
    unpacked_bytes: int
    whole: bool
    """Nothing of it stays."""


class Restored(Frozen):
    """What was removed or stripped first, and was needed as it was after all."""

    because: str
    """What was worse without."""
    paths: Sequence[str]
    traced: bool
    """Down to the file, else to the package."""


class Largest(Frozen):
    """The file that is most of what stays: more can only go by going without it."""

    path: ImagePath
    unpacked_bytes: int
    read_bytes: int | None
    """Of it, in the recorded run, whole blocks; None where blocks were not seen."""


class Seconds(Frozen):
    """The starts of one image in one way."""

    n: int
    failed: int
    median_s: float | None
    low_s: float | None
    high_s: float | None
    """Of the median's 95 % interval, or from the smallest to the largest of few."""


class Start(Frozen):
    """What one kind of start takes, before and after."""

    kind: StartKind
    before: Seconds
    after: Seconds
    ratio: float | None
    """After over before."""
    low: float | None
    high: float | None
    verdict: RatioVerdict
    unable: str = ""
    """Why it could not be measured here."""


class SlimRecord(Versioned):
    """``slim.json``, whole."""

    id: str
    image: str
    image_id: str
    name: str
    new_id: str
    platform: Platform
    level: Level
    lab_version: str
    payloads: Sequence[str]
    asked: Sequence[str]
    rules: int
    """Of the contract, tried on both."""
    rounds: int
    """Candidates that were made until one was proven."""
    tries: int
    """Starts to trace what a candidate lacked."""
    before: Size
    after: Size
    removed: Sequence[RemovedPackage]
    restored: Sequence[Restored]
    stripped_files: int = 0
    """Programs and libraries that stay without what no running program needs."""
    stripped_bytes: int = 0
    """So much they lost: it is not among ``removed``."""
    largest: Largest | None = None
    starts: Sequence[Start] = ()
    risks: Sequence[str]
    removed_tar: str | None = None
    """The file beside this one that holds what was removed, if it was kept."""

    @property
    def smaller(self) -> float:
        """By how much of its unpacked bytes, 0 to 1."""
        return 1 - self.after.unpacked_bytes / max(1, self.before.unpacked_bytes)
