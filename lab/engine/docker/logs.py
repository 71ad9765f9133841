"""A container's output as Docker streams it: frames of stamped lines."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from lab.engine.api import LogLine
from lab.engine.docker.client import parse_time
from lab.engine.docker.errors import FOREIGN, translated

MOST_BYTES: Final = 256 * 1024
"""A longer line is cut in two: CloudWatch takes no longer event."""


class DockerLogStream:
    """Lines until the container has ended or the stream is closed."""

    def __init__(self, stream: Any) -> None:
        """``stream`` is the SDK's, of stamped frames."""
        self._stream = stream

    def __iter__(self) -> Iterator[LogLine]:
        with translated():
            yield from lines_of(self._stream)

    def close(self) -> None:
        with suppress(*FOREIGN, AttributeError):  # a stream that has ended has no socket
            self._stream.close()


def lines_of(frames: Iterator[bytes]) -> Iterator[LogLine]:
    """Lines from frames, each of which begins with a time stamp and a space.

    The engine cuts long lines: what does not end in a newline goes on in the next frame.
    """
    held, at_ns = b"", 0
    for frame in frames:
        stamp, _, text = frame.partition(b" ")
        at_ns = at_ns if held else parse_time(stamp.decode(errors="replace")) or at_ns
        held += text
        if held.endswith(b"\n") or len(held) >= MOST_BYTES:
            yield _line(at_ns, held)
            held = b""
    if held:
        yield _line(at_ns, held)


def _line(at_ns: int, text: bytes) -> LogLine:
    return LogLine(at_ns=at_ns, text=text.decode(errors="replace").rstrip("\r\n"))
