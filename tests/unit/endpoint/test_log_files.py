import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.endpoint.log_files import LogFiles

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
NOON_NS = 1_704_110_400 * SECOND


@pytest.fixture
def logs(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "logs")


async def taken(lines: AsyncIterator[str], count: int) -> list[str]:
    async with asyncio.timeout(3):
        return [await anext(lines) for _ in range(count)]


def test_a_line_is_filed_with_its_time(logs: LogFiles, tmp_path: Path) -> None:
    writer = logs.writer("tea", "blue", "i-1")
    writer.write("served", at_ns=NOON_NS + 123_456_789)
    writer.close()
    filed = tmp_path / "logs" / "tea" / "blue" / "i-1.log"
    assert filed.read_text() == "2024-01-01T12:00:00.123Z served\n"
    assert logs.streams("tea") == [("blue", "i-1")]


def test_the_newest_lines_of_all_streams_come_in_the_order_of_their_times(
    logs: LogFiles,
) -> None:
    blue, green = logs.writer("tea", "blue", "i-1"), logs.writer("tea", "green", "i-2")
    for n in range(6):
        (blue if n % 2 else green).write(f"line {n}", at_ns=NOON_NS + n * SECOND)
    assert [line.split(" ", 2)[2] for line in logs.tail("tea", 4)] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    assert logs.tail("tea", 1) == ["blue/i-1 2024-01-01T12:00:05.000Z line 5"]
    assert logs.tail("tea", 0) == logs.tail("nothing") == []
    blue.close()
    green.close()


def test_streams_that_ended_long_ago_are_not_read_for_a_few_lines(
    logs: LogFiles, tmp_path: Path
) -> None:
    old, new = logs.writer("tea", "blue", "i-1"), logs.writer("tea", "blue", "i-2")
    old.write("old", at_ns=NOON_NS)
    new.write("new", at_ns=NOON_NS + 9 * SECOND)
    os.utime(tmp_path / "logs/tea/blue/i-1.log", ns=(NOON_NS, NOON_NS))
    os.utime(tmp_path / "logs/tea/blue/i-2.log", ns=(NOON_NS + 9 * SECOND, NOON_NS + 9 * SECOND))
    assert [line.split()[-1] for line in logs.tail("tea", 1)] == ["new"]
    assert [line.split()[-1] for line in logs.tail("tea", 2)] == ["old", "new"]
    old.close()
    new.close()


def test_a_stream_keeps_its_newest_lines_and_stays_small(tmp_path: Path) -> None:
    logs = LogFiles(tmp_path, most_bytes=4000)
    writer = logs.writer("tea", "blue", "i-1")
    for n in range(500):
        writer.write(f"line {n}", at_ns=NOON_NS + n * SECOND)
    writer.close()
    files = list((tmp_path / "tea" / "blue").iterdir())
    assert sum(path.stat().st_size for path in files) <= 4000
    tail = logs.tail("tea", 60)
    assert len(tail) == 60
    assert tail[-1].endswith("line 499")
    assert tail[0].endswith("line 440")


def test_a_stream_goes_on_where_an_earlier_life_ended(logs: LogFiles) -> None:
    first = logs.writer("tea", "blue", "i-1")
    first.write("before", at_ns=NOON_NS + 5_000_000)
    first.close()
    second = logs.writer("tea", "blue", "i-1")
    assert second.last_ns == NOON_NS + 5_000_000
    second.write("after", at_ns=NOON_NS + SECOND)
    second.close()
    second.write("never")
    assert [line.split()[-1] for line in logs.tail("tea")] == ["before", "after"]


def test_logs_are_forgotten_only_on_request(logs: LogFiles) -> None:
    logs.writer("tea", "blue", "i-1").close()
    logs.forget("tea")
    assert logs.streams("tea") == []


async def test_following_goes_on_from_the_last_lines_through_new_streams(logs: LogFiles) -> None:
    writer = logs.writer("tea", "blue", "i-1")
    writer.write("first", at_ns=NOON_NS)
    writer.write("second", at_ns=NOON_NS)
    lines = logs.follow("tea", lines=1)
    assert [line.split()[-1] for line in await taken(lines, 1)] == ["second"]
    writer.write("third")
    other = logs.writer("tea", "blue", "i-2")
    other.write("from another")
    seen = {line.split(" ", 2)[2] for line in await taken(lines, 2)}
    assert seen == {"third", "from another"}
    writer.close()
    other.close()


async def test_following_loses_no_line_when_a_file_is_full(tmp_path: Path) -> None:
    logs = LogFiles(tmp_path, most_bytes=2000)

    writer = logs.writer("tea", "blue", "i-1")
    writer.write("line 0")
    lines = logs.follow("tea", lines=1)
    await taken(lines, 1)
    for n in range(1, 30):  # more than one file, fewer than two
        writer.write(f"line {n}")
    seen = [line.split(" ", 2)[2] for line in await taken(lines, 29)]
    assert seen == [f"line {n}" for n in range(1, 30)]
    writer.close()
