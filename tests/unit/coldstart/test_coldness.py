from dataclasses import replace

import pytest

from lab.coldstart import checks
from lab.coldstart.checks import ProcessIdentity
from lab.coldstart.pagecache import Dropped, reclaimable_bytes, why_not
from lab.engine.coldhost.blocklog import BlockRead
from lab.engine.coldhost.ondemand import Counted

BEFORE = ProcessIdentity(container_id="c1", pid=10, started_ns=1_000, process_ns=900)
AFTER = ProcessIdentity(container_id="c1", pid=11, started_ns=2_000, process_ns=1_900)
BEGIN_NS = 10_000_000_000


def test_a_restart_is_the_same_container_with_another_process() -> None:
    assert checks.restarted(BEFORE, AFTER) is None


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (replace(AFTER, container_id="c2"), "not the one that was stopped"),
        (replace(AFTER, started_ns=1_000), "not been started again"),
        (replace(AFTER, process_ns=900), "is the one from before"),
        (replace(AFTER, started_ns=None, process_ns=None, pid=10), "process 10 is the one"),
    ],
)
def test_a_restart_that_was_none_is_found_out(now: ProcessIdentity, says: str) -> None:
    doubt = checks.restarted(BEFORE, now)
    assert doubt is not None
    assert says in doubt


def test_a_fresh_start_is_a_new_container_with_a_young_process() -> None:
    young = ProcessIdentity(
        container_id="c", pid=1, started_ns=BEGIN_NS + 5, process_ns=BEGIN_NS + 4
    )
    assert checks.fresh(young, begin_ns=BEGIN_NS, known=["a"], slack_s=0.0) is None


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (
            ProcessIdentity(container_id="a", pid=1, started_ns=None, process_ns=None),
            "was there before",
        ),
        (
            ProcessIdentity(container_id="c", pid=1, started_ns=BEGIN_NS - 10**9, process_ns=None),
            "the container had begun 1.000 s before",
        ),
        (
            ProcessIdentity(
                container_id="c", pid=1, started_ns=BEGIN_NS, process_ns=BEGIN_NS - 10**8
            ),
            "its process had begun 0.100 s before",
        ),
    ],
)
def test_a_fresh_start_that_was_none_is_found_out(now: ProcessIdentity, says: str) -> None:
    doubt = checks.fresh(now, begin_ns=BEGIN_NS, known=["a"], slack_s=0.01)
    assert doubt is not None
    assert says in doubt


CHUNK = 524_288


def read(offset: int, count: int) -> BlockRead:
    return BlockRead(offset=offset, count=count, begin_ns=10, end_ns=20)


def test_an_image_whose_every_chunk_was_fetched_is_cold() -> None:
    reads = [read(0, 4096), read(CHUNK - 4096, 8192)]
    counted = Counted(device_bytes=12_288, fetched_chunks=2)
    assert checks.on_demand(0, reads, counted) is None


@pytest.mark.parametrize(
    ("before", "device_bytes", "fetched", "says"),
    [
        (1, 4096, 1, "before the trial"),
        (0, 8192, 1, "the kernel read 8192 bytes"),
        (0, 4096, 0, "only 0 of them fetched"),
    ],
)
def test_an_image_of_which_something_was_cached_is_not(
    before: int, device_bytes: int, fetched: int, says: str
) -> None:
    counted = Counted(device_bytes=device_bytes, fetched_chunks=fetched)
    found = checks.on_demand(before, [read(0, 4096)], counted)
    assert found is not None
    assert says in found


GB = 1_000_000_000


@pytest.mark.parametrize(
    ("before", "after", "cold"),
    [
        (8 * GB, 30_000_000, True),
        (8 * GB, 3 * GB, True),
        (8 * GB, 5 * GB, False),
        (200_000_000, 190_000_000, True),
        (300_000_000, 290_000_000, False),
    ],
)
def test_a_page_cache_that_is_still_full_is_not_cold(
    before: int, after: int, *, cold: bool
) -> None:
    found = checks.disk_cold(Dropped(before_bytes=before, after_bytes=after))
    assert (found is None) == cold


def test_what_cannot_be_dropped_is_not_counted() -> None:
    meminfo = "MemTotal: 100 kB\nBuffers: 10 kB\nCached: 90 kB\nMapped: 30 kB\nShmem: 20 kB\n\n"
    assert reclaimable_bytes(meminfo) == 50 * 1024
    assert reclaimable_bytes("Cached: 5 kB\nShmem: 9 kB\n") == 0


def test_another_kernel_s_page_cache_is_out_of_reach() -> None:
    reason = why_not(local=False)
    assert reason is not None
    assert "another kernel" in reason
