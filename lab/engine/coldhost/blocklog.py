"""What a block device was asked for, from the lines of nbdkit's filter ``log``.

Each request is two lines, when it came and when it was answered, in microseconds of UTC::

    2026-11-30 18:11:54.197618 connection=2 Read id=16 offset=0x2221000 count=0x1000 ...
    2026-11-30 18:11:54.249410 connection=2 ...Read id=16 return=0

Only reads are of interest: an image is served read-only.
"""

import re
from calendar import timegm
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES: Final = 512 << 10
"""What is fetched at once when a byte of it is read, as published for AWS Lambda."""

Ints: TypeAlias = NDArray[np.int64]
Key = TypeVar("Key", bound=Hashable)

_LINE: Final = re.compile(
    rb"^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) connection=(\d+) "
    rb"(?:Read id=(\d+) offset=0x([0-9a-f]+) count=0x([0-9a-f]+) [^\n]*"
    rb"|\.\.\.Read id=(\d+) return=(-?\d+)[^\n]*)\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class BlockRead:
    """A read that was answered. Times are nanoseconds since the epoch."""

    offset: int
    """Bytes from the start of the device."""
    count: int
    begin_ns: int
    end_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkCount:
    """What a span of time fetched."""

    chunks: int
    """Chunks that nothing had read before."""
    asked: int
    """Bytes of all reads, whether they were fetched before or not."""
    waited_s: float
    """Seconds of the span in which a read was under way that needed a new chunk."""


def parse(text: str | bytes) -> Sequence[BlockRead]:
    """The reads that were answered, in the order in which they came.

    A request whose answer is not in the log, and a last line without its end, are left out: nothing
    shows that anything came of them. So are reads that failed.
    """
    data = text.encode() if isinstance(text, str) else text
    open_reads = dict[tuple[bytes, bytes], tuple[int, int, int]]()
    reads = list[BlockRead]()
    for found in _LINE.finditer(data):
        *date, micros, connection, asked, offset, count, answered, result = found.groups()
        at_ns = _seconds(*date) * 1_000_000_000 + int(micros) * 1_000
        if asked is not None:
            open_reads[connection, asked] = (int(offset, 16), int(count, 16), at_ns)
            continue
        begun = open_reads.pop((connection, answered), None)
        if begun is not None and result == b"0":
            reads.append(BlockRead(*begun, at_ns))
    return sorted(reads, key=lambda read: read.begin_ns)


def chunks(
    reads: Sequence[BlockRead],
    spans: Sequence[tuple[Key, int, int]],
    chunk_bytes: int = CHUNK_BYTES,
) -> Mapping[Key, ChunkCount]:
    """Chunks that each span (key, begin and end in nanoseconds) fetched first.

    A read belongs to the span in which it was asked; what was waited for it to the spans over which
    it lasted. What was read before all spans, as by the mount, is new to none of them.
    """
    offset, count, begin, end = columns(reads)
    first = first_touch(offset, count, begin, chunk_bytes)
    fetched_from, fetched_to = union(begin[first > 0], end[first > 0])
    found = dict[Key, ChunkCount]()
    for key, span_begin, span_end in spans:
        within = (begin >= span_begin) & (begin < span_end)
        overlap = np.minimum(fetched_to, span_end) - np.maximum(fetched_from, span_begin)
        found[key] = ChunkCount(
            chunks=int(first[within].sum()),
            asked=int(count[within].sum()),
            waited_s=int(overlap.clip(min=0).sum()) / 1e9,
        )
    return found


def columns(reads: Sequence[BlockRead]) -> tuple[Ints, Ints, Ints, Ints]:
    """Offset, count, begin and end of all reads, each as an array of shape (reads,)."""
    rows = [(one.offset, one.count, one.begin_ns, one.end_ns) for one in reads]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def first_touch(offset: Ints, count: Ints, begin: Ints, unit: int) -> Ints:
    """Of each read how many units of so many bytes it was the first to touch; shape (reads,)."""
    owner, touched = pieces(offset, count, unit)
    # The earliest read of a unit has it; of two that began at once, the one listed first.
    order = np.lexsort((owner, begin[owner]))
    _, earliest = np.unique(touched[order], return_index=True)
    return np.bincount(owner[order][earliest], minlength=len(offset)).astype(np.int64)


def pieces(offset: Ints, count: Ints, unit: int) -> tuple[Ints, Ints]:
    """All units that ranges of bytes touch: of which range each is, and which unit."""
    low = offset // unit
    # An empty range touches none, wherever it lies.
    many = np.where(count > 0, (offset + count - 1) // unit - low + 1, 0)
    owner = np.repeat(np.arange(len(offset), dtype=np.int64), many)
    within = np.arange(int(many.sum()), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many)
    return owner, low[owner] + within


def union(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The union of intervals, as disjoint ones in their order: where they begin and end."""
    if not len(begin):
        return begin, end
    order = np.argsort(begin, kind="stable")
    begin, reached = begin[order], np.maximum.accumulate(end[order])
    starts = np.concatenate(([True], begin[1:] > reached[:-1]))
    last = np.concatenate((starts[1:], [True]))
    return begin[starts], reached[last]


@lru_cache(maxsize=4096)
def _seconds(*parts: bytes) -> int:
    return timegm((*map(int, parts), 0, 0, 0))
