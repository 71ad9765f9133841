"""HTTP/1.1's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import http1


def head(text: str) -> http1.Head:
    return http1.parse_head(text.encode("latin-1"))


def test_a_head_is_taken_apart() -> None:
    parsed = head("POST /invocations?a=1 HTTP/1.1\r\nHost: x\r\nAccept: a/b\r\nACCEPT:  c/d ")
    assert (parsed.method, parsed.path) == ("POST", "/invocations")
    assert parsed.headers == {"host": "x", "accept": "a/b, c/d"}


def test_a_proxys_absolute_target_is_its_path() -> None:
    assert head("GET http://host:80/ping?x HTTP/1.1").path == "/ping"
    assert head("GET http://host HTTP/1.1").path == "/"


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: Upgrade, Close", False),
        ("1.0", "", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
def test_connections_are_kept_as_the_client_asks(version: str, connection: str, kept: bool) -> None:  # noqa: FBT001
    lines = [f"GET /ping HTTP/{version}", *filter(None, [connection])]
    assert head("\r\n".join(lines)).keep_alive is kept


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / FTP/1.1", 400),
        ("GET / HTTP/1.1\r\nno colon", 400),
        ("GET / HTTP/1.1\r\nname : value", 400),
        ("GET / HTTP/1.1\r\n folded: value", 400),
        ("GET / HTTP/1.1\r\na: b\nc: d", 400),
        ("GET / HTTP/1.1\r\na: b\0", 400),
        ("GET / HTTP/1.1" + "\r\na: b" * 101, 431),
        ("POST / HTTP/1.1\r\nContent-Length: 1, 2", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        ("POST / HTTP/1.1\r\nContent-Length: +1", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 0x1", 400),
        ("POST / HTTP/1.1\r\nContent-Length: ", 400),
        ("POST / HTTP/1.1\r\nContent-Length: " + "9" * 30, 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked", 501),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked", 501),
        ("POST / HTTP/1.1\r\nExpect: the-unexpected", 417),
    ],
)
def test_what_could_be_understood_in_two_ways_is_refused(lines: str, status: int) -> None:
    with pytest.raises(http1.ProtocolError) as caught:
        head(lines)
    assert caught.value.status == status


def test_the_same_length_twice_is_one_length() -> None:
    assert head("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5").length == 5


def body_of(lines: str, limit: int = 1000) -> http1.Body:
    return http1.Body(head(f"POST / HTTP/1.1\r\n{lines}"), limit)


CHUNKED = b"4\r\nwiki\r\n5 ;a=b\r\npedia\r\n0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("lines", "sent"),
    [("Content-Length: 9", b"wikipedia"), ("Transfer-Encoding: chunked", CHUNKED)],
)
def test_a_body_is_found_however_it_is_cut_and_what_follows_is_left(
    lines: str, sent: bytes, step: int
) -> None:
    body, inbox = body_of(lines), bytearray()
    sent += b"GET /next"
    for at in range(0, len(sent), step):
        inbox += sent[at : at + step]
        body.feed(inbox)
    assert body.done
    assert body.content() == b"wikipedia"
    assert bytes(inbox) == b"GET /next"


def test_a_body_beyond_the_limit_is_counted_and_not_kept() -> None:
    body, inbox = body_of("Content-Length: 90", limit=10), bytearray(90)
    body.feed(inbox)
    assert (body.done, body.too_large, body.size, body.content()) == (True, True, 90, b"")


def test_a_body_of_nothing_is_done_at_once() -> None:
    assert body_of("Content-Length: 0").done
    assert body_of("Host: x").done
    assert not body_of("Transfer-Encoding: chunked").done


@pytest.mark.parametrize(
    "sent",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x4\r\nwiki\r\n",
        b"\r\n",
        b"ffffffffffffffff\r\n",
        b"4\r\nwikip\r\n",
        b"1" * 300,
        b"0\r\n" + b"a: b\r\n" * 5000,
        b"0\r\n" + b"a" * 10_000,
    ],
)
def test_chunks_that_do_not_add_up_are_refused(sent: bytes) -> None:
    with pytest.raises(http1.ProtocolError):
        body_of("Transfer-Encoding: chunked").feed(bytearray(sent))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_head_or_an_error(data: bytes) -> None:
    try:
        parsed = http1.parse_head(data)
    except http1.ProtocolError as error:
        parsed = None
        assert error.status >= 400  # noqa: PT017  # any other exception fails by itself
    assert parsed is None or parsed.method


@given(pieces=st.lists(st.binary(max_size=40), max_size=6), limit=st.integers(0, 50))
def test_any_chunks_come_to_an_end_within_the_limit(pieces: list[bytes], limit: int) -> None:
    body = body_of("Transfer-Encoding: chunked", limit)
    inbox = bytearray()
    for piece in pieces:
        inbox += f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if piece else b""
    body.feed(inbox)
    inbox += b"0\r\n\r\n"
    body.feed(inbox)
    whole = b"".join(pieces)
    assert (body.done, body.size, body.too_large) == (True, len(whole), len(whole) > limit)
    assert body.content() == (b"" if body.too_large else whole)


def test_an_answers_head_is_complete() -> None:
    raw = http1.answer_head(200, "text/csv", 12, keep_alive=False, extra="allow: GET\r\n").decode()
    assert raw.startswith("HTTP/1.1 200 OK\r\n")
    assert raw.endswith("\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in raw.split("\r\n")[1:-2])
    assert lines["content-length"] == "12"
    assert lines["connection"] == "close"
    assert lines["allow"] == "GET"
    assert lines["date"].endswith(" GMT")


def test_dates_are_those_of_http() -> None:
    assert http1._date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
