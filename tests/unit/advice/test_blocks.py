"""Reads of a block device, divided among the files and the stages of a start."""

import random

from lab.advice.recorder.blocks import Blocks, attribute
from lab.advice.recording import ChunkCount, Stage
from lab.engine.coldhost.blocklog import BlockRead

B = 4096
S = 1_000_000_000
STAGES = [
    (Stage.READY, 0, 10 * S),
    (Stage.FIRST, 10 * S, 20 * S),
    (Stage.LATER, 20 * S, 30 * S),
]


def read(offset: int, count: int, at_s: float, took_s: float = 0.5) -> BlockRead:
    return BlockRead(offset, count, int(at_s * S), int((at_s + took_s) * S))


def divided(reads: list[BlockRead], extents: dict[str, list[tuple[int, int]]]) -> Blocks:
    return attribute(reads, extents, STAGES, chunk_bytes=16 * B)


def test_each_block_counts_once_and_in_the_stage_that_read_it_first() -> None:
    reads = [read(B, 2 * B, 1), read(2 * B, 2 * B, 11), read(B, 3 * B, 21)]
    found = divided(reads, {"/a": [(B, 3 * B)]})
    assert found.files == {"/a": {Stage.READY: 2 * B, Stage.FIRST: B}}


def test_a_file_in_several_runs_is_one_file_and_a_read_may_span_several_files() -> None:
    extents = {"/a": [(10 * B, B), (2 * B, 2 * B)], "/b": [(4 * B, B)], "/c": [(20 * B, B)]}
    found = divided([read(2 * B, 9 * B, 1)], extents)
    assert found.files == {"/a": {Stage.READY: 3 * B}, "/b": {Stage.READY: B}}
    # Blocks 5 to 9 are nobody's.
    assert found.other == {Stage.READY: 5 * B, Stage.FIRST: 0, Stage.LATER: 0}


def test_a_part_of_a_block_is_a_block() -> None:
    found = divided([read(0, 1024, 1), read(B + 100, 1, 2)], {"/a": [(B, B)]})
    assert found.files == {"/a": {Stage.READY: B}}
    assert found.other[Stage.READY] == B


def test_what_comes_in_no_stage_is_in_none() -> None:
    found = divided([read(0, B, 31), read(B, B, 9.9999)], {"/a": [(0, B)], "/b": [(B, B)]})
    assert found.files == {"/b": {Stage.READY: B}}
    assert sum(found.other.values()) == 0


def test_of_several_names_the_touched_one_has_the_bytes() -> None:
    extents = {"/a": [(0, B)], "/b": [(0, B)], "/c": [(0, B)]}
    reads = [read(0, B, 1)]
    assert divided(reads, extents).files == {"/a": {Stage.READY: B}}
    assert attribute(reads, extents, STAGES, touched={"/b"}).files == {"/b": {Stage.READY: B}}


def test_chunks_are_counted_whole_and_waiting_where_a_new_one_was_fetched() -> None:
    reads = [read(0, B, 1, 0.5), read(B, B, 2, 0.5), read(15 * B, 2 * B, 12, 0.25)]
    assert divided(reads, {}).chunks == {
        Stage.READY: ChunkCount(chunks=1, bytes=16 * B, waited_s=0.5),
        Stage.FIRST: ChunkCount(chunks=1, bytes=16 * B, waited_s=0.25),
        Stage.LATER: ChunkCount(),
    }


def test_the_waiting_is_shared_by_chunk_among_those_that_asked_for_it_in_the_stage_it_came() -> (
    None
):
    extents = {"/a": [(0, 3 * B)], "/b": [(3 * B, B)], "/c": [(16 * B, B)], "/d": [(32 * B, B)]}
    # One chunk for a and b, 3 to 1; one for c; then one for d, and b's block again for nothing.
    reads = [read(0, 4 * B, 1, 1), read(16 * B, B, 3, 1), read(32 * B, B, 11, 0.5)]
    found = divided([*reads, read(3 * B, B, 12)], extents)
    assert found.waited_s == {
        "/a": {Stage.READY: 0.75},
        "/b": {Stage.READY: 0.25},
        "/c": {Stage.READY: 1.0},
        "/d": {Stage.FIRST: 0.5},
    }
    # What was read ahead caused nothing; of a chunk that was nobody's nobody is told.
    found = attribute(reads, extents, STAGES, touched={"/a", "/d"}, chunk_bytes=16 * B)
    assert found.waited_s == {"/a": {Stage.READY: 1.0}, "/d": {Stage.FIRST: 0.5}}


def test_nothing_read_is_nothing_fetched() -> None:
    found = divided([], {"/a": [(0, B)]})
    assert (found.files, sum(found.other.values())) == ({}, 0)
    assert divided([read(0, B, 1)], {}).other[Stage.READY] == B


def test_every_block_of_a_large_image_is_counted_exactly_once() -> None:
    randomly = random.Random(7)
    extents = {f"/{n}": [(n * 16 * B, 8 * B), (n * 16 * B + 8 * B, 4 * B)] for n in range(30_000)}
    reads = [
        read(randomly.randrange(0, 480_000) * B, randomly.randrange(1, 65) * B, n * 30 / 20_000)
        for n in range(20_000)
    ]
    found = divided(reads, extents)
    blocks = {at for one in reads for at in range(one.offset // B, (one.offset + one.count) // B)}
    mine = {at for at in blocks if at % 16 < 12 and at < 480_000}
    assert sum(sum(stages.values()) for stages in found.files.values()) == len(mine) * B
    assert sum(found.other.values()) == (len(blocks) - len(mine)) * B
