"""What an engine writes out as a tar, read while it comes."""

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def tar_of(chunks: Iterable[bytes]) -> Iterator[tarfile.TarFile]:
    """A tar of which memory holds no more than a chunk. Raises ``tarfile.TarError``."""
    with tarfile.open(fileobj=cast("Any", _Stream(chunks)), mode="r|") as archive:
        yield archive


class _Stream:
    """Chunks as a file that is only read forwards."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; fewer only at the end."""
        pieces = []
        while size > 0:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            pieces.append(self._rest[:size])
            size -= len(pieces[-1])
            self._rest = self._rest[len(pieces[-1]) :]
        return b"".join(pieces)
