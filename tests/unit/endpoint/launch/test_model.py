import threading
from collections.abc import Iterator

import pytest

from lab.endpoint.launch.model import prefetch


def test_the_parts_come_in_their_order() -> None:
    with prefetch([b"a", b"b", b"c"]) as parts:
        assert list(parts) == [b"a", b"b", b"c"]


def test_what_reading_raises_is_raised_where_the_parts_are_taken() -> None:
    class LostError(Exception):
        pass

    def broken() -> Iterator[bytes]:
        yield b"a"
        raise LostError

    with prefetch(broken()) as parts:
        assert next(parts) == b"a"
        with pytest.raises(LostError):
            next(parts)


def test_a_reader_whose_parts_nobody_wants_ends() -> None:
    before = threading.active_count()
    with prefetch(iter(lambda: b"more", b"")) as parts:
        assert next(parts) == b"more"
    assert threading.active_count() == before
