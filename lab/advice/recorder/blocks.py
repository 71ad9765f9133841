"""Bytes of each file that were fetched, from the reads of a block device and the files' extents."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.advice.costs import shared_waits
from lab.advice.recording import ChunkCount, Stage
from lab.engine.coldhost.blocklog import (
    CHUNK_BYTES,
    BlockRead,
    Ints,
    chunks,
    columns,
    pieces,
)

BLOCK_BYTES: Final = 4096
"""ext4's: what a file's bytes come in."""

_NOBODY: Final = -1


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """What was fetched of an image, by whose bytes they are."""

    files: Mapping[str, Mapping[Stage, int]]
    """Bytes of each file of which some were fetched, each block once, in the stage in which it came
    first. The file system's read-ahead is among them."""
    other: Mapping[Stage, int]
    """Bytes that are no file's: tables of names and blocks, and what is empty."""
    chunks: Mapping[Stage, ChunkCount]
    waited_s: Mapping[str, Mapping[Stage, float]]
    """Each file's share of the seconds in which a stage waited for chunks."""


def attribute(
    reads: Sequence[BlockRead],
    extents: Mapping[str, Sequence[tuple[int, int]]],
    stages: Sequence[tuple[Stage, int, int]],
    *,
    touched: Collection[str] = (),
    chunk_bytes: int = CHUNK_BYTES,
) -> Blocks:
    """Divide reads among files and stages.

    ``extents``: offset and length in the device of each run of a file's blocks. ``stages``: each
    with its begin and end in nanoseconds; what was read outside of all is in none. Of a file with
    several names, one that is in ``touched`` gets the bytes, else the first.
    """
    offset, count, begin, _ = columns(reads)
    block, stage = _first_stages(offset, count, begin, stages)
    names, owner, start, length = _owners(extents, touched)
    at = np.searchsorted(start, block * BLOCK_BYTES, side="right") - 1
    inside = (at >= 0) & (block * BLOCK_BYTES < (start + length)[at]) if len(start) else at >= 0
    whose = np.where(inside, owner[at], _NOBODY) if len(start) else at
    files = dict[str, dict[Stage, int]]()
    other = dict.fromkeys((one for one, _, _ in stages), 0)
    pairs = np.stack([whose, stage], axis=1) if len(block) else np.empty((0, 2), dtype=np.int64)
    for (file, number), many in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
        if number == _NOBODY:
            continue
        of = stages[number][0]
        size = int(many) * BLOCK_BYTES
        if file == _NOBODY:
            other[of] += size
        else:
            files.setdefault(names[file], {})[of] = size
    counted = chunks(reads, stages, chunk_bytes)
    asked = _asked(block * BLOCK_BYTES // chunk_bytes, whose, stage, names, touched)
    waited: defaultdict[str, dict[Stage, float]] = defaultdict(dict)
    for of_stage, those in asked.items():
        of = stages[of_stage][0]
        for path, seconds in shared_waits(counted[of].waited_s, those).items():
            if path:
                waited[path][of] = seconds
    return Blocks(
        files=dict(sorted(files.items())),
        other=other,
        chunks={
            of: ChunkCount(chunks=one.chunks, bytes=one.chunks * chunk_bytes, waited_s=one.waited_s)
            for of, one in counted.items()
        },
        waited_s=dict(sorted(waited.items())),
    )


def _asked(
    chunk: Ints, whose: Ints, stage: Ints, names: Sequence[str], touched: Collection[str]
) -> Mapping[int, Sequence[Mapping[str, int]]]:
    """Of each stage the chunks that it fetched: blocks by file that it read of them.

    Where files were touched, what else was read of a chunk was read ahead, and caused nothing.
    """
    fetched: dict[int, int] = {}
    for one, at in zip(chunk.tolist(), stage.tolist(), strict=True):
        fetched[one] = min(at, fetched.get(one, at))
    by_chunk: dict[int, defaultdict[str, int]] = {one: defaultdict(int) for one in fetched}
    for one, file, at in zip(chunk.tolist(), whose.tolist(), stage.tolist(), strict=True):
        path = "" if file == _NOBODY else names[file]
        if path and at == fetched[one] and (not touched or path in touched):
            by_chunk[one][path] += 1
    found: defaultdict[int, list[Mapping[str, int]]] = defaultdict(list)
    for one, asked in by_chunk.items():
        if fetched[one] != _NOBODY:
            found[fetched[one]].append(asked)
    return found


def _first_stages(
    offset: Ints, count: Ints, begin: Ints, stages: Sequence[tuple[Stage, int, int]]
) -> tuple[Ints, Ints]:
    """Each block that was read, and the number of the stage in which that was first."""
    reader, block = pieces(offset, count, BLOCK_BYTES)
    order = np.argsort(begin[reader], kind="stable")
    block, first = np.unique(block[order], return_index=True)
    at = begin[reader[order]][first]
    stage = np.full(len(block), _NOBODY, dtype=np.int64)
    for number, (_, stage_begin, stage_end) in enumerate(stages):
        stage[(at >= stage_begin) & (at < stage_end)] = number
    return block, stage


def _owners(
    extents: Mapping[str, Sequence[tuple[int, int]]], touched: Collection[str]
) -> tuple[Sequence[str], Ints, Ints, Ints]:
    """The names of files, and of each run of blocks the number of its file, offset and length; in
    the order of the device, each once.
    """
    names = list(extents)
    runs = [
        (start, name not in touched, number, length)
        for number, name in enumerate(names)
        for start, length in extents[name]
    ]
    table = np.array(sorted(runs), dtype=np.int64).reshape(-1, 4)
    start, once = np.unique(table[:, 0], return_index=True)
    return names, table[once, 2], start, table[once, 3]
