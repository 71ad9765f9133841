"""What nbdkit's log says of reads, and which chunks they fetched."""

import time

import numpy as np
import pytest

from lab.engine.coldhost.blocklog import BlockRead, ChunkCount, chunks, parse, union

CHUNK = 512 << 10
LOG = """\
2026-11-30 18:11:53.552251 Ready thread_model=3
2026-11-30 18:11:53.569049 connection=2 Connect export="" tls=0 size=0xa00000 write=1
2026-11-30 18:11:53.569929 connection=2 Extents id=1 offset=0x0 count=0xa00000 req_one=0 ...
2026-11-30 18:11:53.569942 connection=2 ...Extents id=1 extents=(0x0 0xa00000 "hole") return=0
2026-11-30 18:11:54.197618 connection=2 Read id=16 offset=0x2221000 count=0x1000 ...
2026-11-30 18:11:54.197619 connection=3 Read id=16 offset=0x0 count=0x400 ...
2026-11-30 18:11:54.197700 connection=3 ...Read id=16 return=0
2026-11-30 18:11:54.249410 connection=2 ...Read id=16 return=0
2026-11-30 18:11:55.000000 connection=2 Read id=17 offset=0x4000 count=0x1000 ...
2026-11-30 18:11:55.000100 connection=2 ...Read id=17 return=-1 error=EIO
2026-11-30 18:11:55.000200 connection=2 Write id=18 offset=0x4000 count=0x1000 fua=0 ...
2026-11-30 18:11:55.000300 connection=2 ...Write id=18 return=0
2026-11-30 18:11:56.000000 connection=2 Read id=19 offset=0x8000 count=0x1000 ...
2026-11-30 18:11:57.000000 connection=2 ...Read id=19 retu"""
SECOND = 1_796_062_314
"""2026-11-30 18:11:54 UTC."""


def test_a_read_is_paired_with_its_answer_on_the_same_connection() -> None:
    assert parse(LOG) == [
        BlockRead(0x2221000, 0x1000, SECOND * 10**9 + 197_618_000, SECOND * 10**9 + 249_410_000),
        BlockRead(0, 0x400, SECOND * 10**9 + 197_619_000, SECOND * 10**9 + 197_700_000),
    ]


def test_the_log_is_read_as_utc_whatever_this_machines_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        line = LOG.encode().replace(b"18:11:54", b"18:12:54")
        assert parse(line)[0].begin_ns // 10**9 == SECOND + 60
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_empty_log_holds_no_reads() -> None:
    assert parse("") == []
    assert chunks([], [("all", 0, 10)]) == {"all": ChunkCount(chunks=0, asked=0, waited_s=0.0)}


def test_a_chunk_counts_once_in_the_span_that_read_it_first() -> None:
    reads = [
        BlockRead(0, 1024, 5, 6),  # the mount
        BlockRead(CHUNK - 512, 1024, 1_000_000_000, 1_500_000_000),
        BlockRead(CHUNK, 4096, 1_600_000_000, 1_600_000_100),
        BlockRead(CHUNK * 2, CHUNK, 2_100_000_000, 2_200_000_000),
    ]
    spans = [("a", 10**9, 2 * 10**9), ("b", 2 * 10**9, 3 * 10**9)]
    assert chunks(reads, spans, CHUNK) == {
        # Of chunks 0 and 1 only 1 is new; the second read of it waits for nothing.
        "a": ChunkCount(chunks=1, asked=1024 + 4096, waited_s=0.5),
        "b": ChunkCount(chunks=1, asked=CHUNK, waited_s=0.1),
    }


def test_readers_that_wait_at_once_wait_once() -> None:
    reads = [
        BlockRead(0, 10, 0, 1_000_000_000),
        BlockRead(CHUNK, 10, 500_000_000, 2_000_000_000),
        BlockRead(CHUNK * 2, 10, 3_000_000_000, 3_250_000_000),
    ]
    assert chunks(reads, [("all", 0, 10**10)])["all"].waited_s == 2.25


def test_a_wait_is_divided_among_the_spans_over_which_it_lasts() -> None:
    reads = [BlockRead(0, 10, 0, 1_000_000_000)]
    found = chunks(reads, [("a", 0, 250_000_000), ("b", 250_000_000, 2_000_000_000)])
    assert found["a"] == ChunkCount(chunks=1, asked=10, waited_s=0.25)
    assert found["b"] == ChunkCount(chunks=0, asked=0, waited_s=0.75)


def test_of_two_reads_at_the_same_moment_one_fetches() -> None:
    reads = [BlockRead(0, 10, 0, 7), BlockRead(20, 10, 0, 9)]
    assert chunks(reads, [("all", 0, 10)])["all"].chunks == 1


def test_intervals_that_touch_or_contain_each_other_become_one() -> None:
    begin, end = union(np.array([5, 0, 1, 20]), np.array([9, 5, 2, 21]))
    assert (begin.tolist(), end.tolist()) == ([0, 20], [9, 21])
