"""What each package of an image costs a cold start, in seconds: pure functions of measurements.

*Pull*: all is downloaded and unpacked, read or not. *On demand*: what is read is waited for, chunk
by chunk; what is never read costs nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from lab.advice.contents import Contents
from lab.advice.recording import Recording, Stage
from lab.images.layers.packages import Package, by_place
from lab.spec import Phase

HIDDEN: Final[Package] = ("", "hidden by later layers")
"""Stands for what a pull brings and no container sees."""
FILE_BYTES: Final = 14_000
"""A name takes as long to unpack as so many bytes of content. Measured: `tar -xz` took 70 us of a
processor for each of 20,000 files of 64 bytes, and 4.9 ns for a byte of 256 MB in four files."""
COLD: Final = (Stage.READY, Stage.FIRST)
"""What a cold start waits for."""


@dataclass(frozen=True, kw_only=True)
class PullSeconds:
    """What a pull of the whole image takes."""

    download_s: float
    unpack_s: float
    """What the download does not hide; 0 where it was not measured."""
    measured: bool

    @classmethod
    def of_phases(cls, phases_s: Mapping[Phase, float]) -> Self | None:
        """Of a pull trial; None where it has no such phase."""
        if Phase.IMAGE_PULL not in phases_s:
            return None
        return cls(
            download_s=phases_s[Phase.IMAGE_PULL],
            unpack_s=phases_s.get(Phase.IMAGE_UNPACK, 0.0),
            measured=True,
        )

    @classmethod
    def of_bandwidth(cls, contents: Contents, bits_per_s: float) -> Self:
        """What the link alone takes: less than any pull does."""
        compressed = sum(layer.compressed_bytes for layer in contents.layers)
        return cls(download_s=8 * compressed / bits_per_s, unpack_s=0.0, measured=False)


@dataclass
class _Weight:
    compressed: int = 0
    unpacked: int = 0


def pull_costs(contents: Contents, pull: PullSeconds) -> Mapping[Package, float]:
    """Seconds by package, and of ``HIDDEN`` where there is any; together all of ``pull``.

    The download is shared by compressed bytes, the unpacking by unpacked bytes and ``FILE_BYTES``
    for every name.
    """
    weights: defaultdict[Package, _Weight] = defaultdict(_Weight)
    for entry in contents.entries.values():
        weight = weights[entry.package]
        weight.compressed += entry.compressed
        weight.unpacked += entry.size + FILE_BYTES
    for one in (hidden for layer in contents.layers for hidden in layer.hidden):
        weights[HIDDEN].compressed += one.compressed
        weights[HIDDEN].unpacked += one.size + FILE_BYTES
    compressed = sum(one.compressed for one in weights.values()) or 1
    unpacked = sum(one.unpacked for one in weights.values()) or 1
    return {
        package: pull.download_s * one.compressed / compressed
        + pull.unpack_s * one.unpacked / unpacked
        for package, one in weights.items()
    }


def shared_waits(waited_s: float, chunks: Sequence[Mapping[str, int]]) -> Mapping[str, float]:
    """Seconds by path of a span in which these chunks were fetched.

    Each chunk takes the same time, for it is fetched whole; it is shared by the bytes of it that
    were asked for (``chunks``: by path). Chunks of which nothing was are ``""``'s.
    """
    found: defaultdict[str, float] = defaultdict(float)
    for asked in chunks:
        whole = sum(asked.values())
        for path, count in (asked if whole else {"": 1}).items():
            found[path] += waited_s / len(chunks) * count / (whole or 1)
    return dict(found)


def ondemand_costs(
    contents: Contents, recording: Recording, stages: Iterable[Stage] = COLD
) -> Mapping[Package, float] | None:
    """Seconds by package that read it; None where the blocks were not seen."""
    if not recording.chunks:
        return None
    found: defaultdict[Package, float] = defaultdict(float)
    wanted = {*stages}
    for one in recording.files:
        seconds = sum(waited for stage, waited in one.waited_s.items() if stage in wanted)
        if seconds:
            found[package_of(contents, one.path)] += seconds
    return dict(found)


def package_of(contents: Contents, path: str) -> Package:
    """Whose a path is, which the image may lack."""
    entry = contents.entries.get(path)
    return by_place(path.lstrip("/")) if entry is None else entry.package
