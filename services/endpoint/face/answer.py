"""An answer of a container while it comes in: its bytes as status, headers and parts."""

from typing import Final, Protocol

import httptools

from lab.endpoint.transport import BODILESS, UnreadableError

HEAD_BYTES: Final = 64 * 1024
"""Of an answer's headers, those before it (``100 Continue``) included. AWS publishes no limit for
real time; whoever sends more is not listened to any longer."""
_HEAD_WORDS: Final = f"{HEAD_BYTES // 1024} KB"
_INFORMATIONAL: Final = range(100, 200)
_AROUND: Final = len(": \r\n")


class Listener(Protocol):
    """Who is told of an answer's progress."""

    def answer_began(self) -> None:
        """Status and headers are there."""

    def answer_part(self, part: bytes) -> None:
        """More of the body."""

    def answer_ended(self) -> None:
        """The body is whole."""


class AnswerParser:
    """Reads one answer after another; ``reset`` before each."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = httptools.HttpResponseParser(self)
        # What the platform's client forgives (Netty: HttpObjectDecoder): lines that end in a bare
        # LF, and a length beside chunks.
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self.reset()

    def reset(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.head_bytes = 0
        self.headed = False
        self.ended = False
        """Nobody wants more of it: it is whole, or was given up."""
        self.keeps = False
        """It is whole, and left the connection as it should be."""
        self._read = 0
        self._too_long = False

    def feed(self, data: bytes) -> None:
        """Raises ``UnreadableError``."""
        if not self.headed:
            self._read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.keeps = False
            raise UnreadableError("it answered with another protocol than HTTP") from None
        except httptools.HttpParserError as error:
            self.keeps = False
            raise UnreadableError(f"it did not answer in HTTP: {error}") from error
        if self._too_long or (not self.headed and self._read > HEAD_BYTES):
            raise UnreadableError(f"the headers of its answer are longer than {_HEAD_WORDS}")

    @property
    def until_close(self) -> bool:
        """Whether the end of the connection is its end."""
        if not self.headed or ("content-length" in self.headers and self.status not in BODILESS):
            return False
        return not self._chunked()

    def _chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    # --- httptools' callbacks --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request: nobody knows whose it is."""
        if self.ended:
            self.keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a repeated one is a list. What comes after the body is dropped."""
        if self.headed:
            return
        self.head_bytes += len(name) + len(value) + _AROUND
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        had = self.headers.get(key)
        self.headers[key] = text if had is None else f"{had}, {text}"

    def on_headers_complete(self) -> None:
        """Tell of the head."""
        if self.ended or self._too_long:
            return
        if self.head_bytes > HEAD_BYTES:
            self._too_long = True
            return
        self.status = self._parser.get_status_code()
        if self.status in _INFORMATIONAL:
            return
        if self._chunked():
            self.headers.pop("content-length", None)  # as Netty does (RFC 9112, 6.3)
        self.headed = True
        self._listener.answer_began()

    def on_body(self, body: bytes) -> None:
        """Tell of a part."""
        if self.headed and not self.ended:
            self._listener.answer_part(body)

    def on_message_complete(self) -> None:
        """End the answer, unless it was only ``100 Continue`` or ``103 Early Hints``."""
        if self.ended:
            return
        if not self.headed:
            self.status = 0
            self.headers = {}
            self.head_bytes = 0
            return
        self.keeps = self._parser.should_keep_alive()
        self._listener.answer_ended()
