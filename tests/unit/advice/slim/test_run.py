"""What a run says of itself beside what it did."""

from lab.advice.recording import BLOCKS, CALLS, FileRead, Stage
from lab.advice.slim.record import Largest
from lab.advice.slim.run import largest_left
from lab.advice.slim.select import Level, Selection
from tests.unit.advice.slim.images import contents, file, recording


def test_the_largest_of_what_stays_is_told_as_it_stays_with_what_was_read_of_it() -> None:
    selection = Selection(
        level=Level.FILES,
        contents=contents(file("/lib/a.so", 900), file("/lib/b.so", 800), file("/lib/gone", 999)),
        kept=frozenset({"/lib", "/lib/a.so", "/lib/b.so"}),
        stripped={"/lib/a.so": 200},
    )
    read = FileRead(
        path="/lib/b.so",
        first=Stage.READY,
        opened=True,
        block_bytes={Stage.READY: 300, Stage.FIRST: 20},
    )
    seen = recording(()).model_copy(update={"files": [read], "views": [BLOCKS, CALLS]})
    assert largest_left(selection, seen) == Largest(
        path="/lib/b.so", unpacked_bytes=800, read_bytes=320
    )
    without_blocks = seen.model_copy(update={"views": [CALLS]})
    found = largest_left(selection, without_blocks)
    assert found is not None
    assert found.read_bytes is None
