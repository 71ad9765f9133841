"""What an on-demand start read of its image, in words: chunks, bytes and the wait for them."""

from lab.coldstart.record import Chunks
from lab.coldstart.summary import Row
from lab.report.words import PHASES, count_bytes, percent, plural, seconds
from lab.spec import Phase
from lab.units import format_rate


def waited_s(row: Row, phase: Phase) -> float:
    """Seconds of a phase in which something of the image was being fetched."""
    found = row.chunks.waited_s.get(phase, 0.0) if row.chunks else 0.0
    return min(found, row.phases_s.get(phase, 0.0))


def spent_s(row: Row, phase: Phase) -> float:
    """Seconds of a phase without the wait for chunks: what it costs once its files are there."""
    return row.phases_s.get(phase, 0.0) - waited_s(row, phase)


def share_read(chunks: Chunks) -> float:
    """Of the flattened image; whole chunks of a small one can hold more than it does."""
    return min(chunks.bytes / chunks.image_bytes, 1.0) if chunks.image_bytes else 1.0


def within(chunks: Chunks) -> bool:
    """Whether less was read than there is: a small image's few chunks hold more than its files."""
    return chunks.bytes <= chunks.image_bytes


def read(chunks: Chunks) -> str:
    """``683 MB in 1302 chunks of 512 KiB, 42 % of 1.6 GB``."""
    return (
        f"{count_bytes(chunks.bytes)} in {plural(chunks.count, 'chunk')} of {size(chunks)}, "
        f"{percent(share_read(chunks))} of {count_bytes(chunks.image_bytes)}"
    )


def size(chunks: Chunks) -> str:
    """``512 KiB``: chunks are powers of two."""
    return f"{chunks.chunk_bytes / 1024:g} KiB"


def link(chunks: Chunks) -> str:
    """``1 Gbit/s and 0.5 ms for each chunk``."""
    return f"{format_rate(chunks.bandwidth_bits_per_s)} and {seconds(chunks.latency_s)} a chunk"


def longest_wait(chunks: Chunks) -> str:
    """``imports, 3.10 s``; empty where nothing was waited for."""
    phase, taken = max(chunks.waited_s.items(), key=lambda one: one[1], default=(None, 0.0))
    return f"{PHASES[phase]}, {seconds(taken)}" if phase and taken else ""
