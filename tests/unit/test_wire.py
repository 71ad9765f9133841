"""The measuring client against sockets that say exactly what is written here."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import wire


@contextmanager
def server_that_says(*parts: bytes) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)

    def talk() -> None:
        theirs.recv(65536)
        for part in parts:
            theirs.sendall(part)
        theirs.close()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield ours
    finally:
        thread.join()
        ours.close()


GET = wire.request("GET", "/ping", host="lab")


def test_a_request_names_the_host_and_the_length_of_its_body() -> None:
    prepared = wire.request("POST", "/x", host="lab", body=b"abc", headers={"Accept": "*/*"})
    assert prepared == (
        b"POST /x HTTP/1.1\r\nHost: lab\r\nAccept: */*\r\nContent-Length: 3\r\n\r\nabc"
    )


def test_an_empty_post_still_tells_its_length() -> None:
    assert b"Content-Length: 0" in wire.request("POST", "/x", host="lab")


def test_a_body_that_comes_in_pieces_is_read_whole() -> None:
    with server_that_says(b"HTTP/1.1 200 OK\r\nContent-", b"Length: 6\r\n\r\nab", b"cdef") as peer:
        answer = wire.exchange(peer, GET)
    assert (answer.status, answer.body, answer.reusable) == (200, b"abcdef", True)


def test_a_chunked_body_is_put_together() -> None:
    with server_that_says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"c\r\n1;x=y\r\nd\r\n0\r\n\r\n",
    ) as peer:
        assert wire.exchange(peer, GET).body == b"abcd"


def test_chunks_count_and_not_the_length_beside_them() -> None:
    with server_that_says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n"
    ) as peer:
        answer = wire.exchange(peer, GET)
    assert answer.body == b"ok"
    assert "content-length" not in answer.headers


def test_what_comes_before_an_answer_is_passed_over() -> None:
    with server_that_says(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ) as peer:
        answer = wire.exchange(peer, GET)
    assert (answer.status, answer.body) == (200, b"ok")
    assert "link" not in answer.headers


def test_trailers_are_not_taken_for_the_next_answer() -> None:
    with server_that_says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n",
        b"X-More: 2\r\n\r\n",
    ) as peer:
        assert wire.exchange(peer, GET).body == b"ok"
        assert peer.recv(100) == b""


@pytest.mark.parametrize(
    "head", [b"Content-Length: two", b"Content-Length: -2", b"Transfer-Encoding: chunked"]
)
def test_a_length_that_is_none_is_no_http(head: bytes) -> None:
    said = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nxy\r\n"
    with server_that_says(said) as peer, pytest.raises(wire.WireError, match="is no length"):
        wire.exchange(peer, GET)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    with server_that_says(b"HTTP/1.0 500 No\r\n\r\nbroken") as peer:
        answer = wire.exchange(peer, GET)
    assert (answer.status, answer.body, answer.reusable) == (500, b"broken", False)


def test_a_server_that_asks_to_close_is_not_used_again() -> None:
    with server_that_says(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    ) as peer:
        assert not wire.exchange(peer, GET).reusable


def test_http_1_0_closes_unless_it_says_otherwise() -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n"
    with server_that_says(head + b"\r\n") as connection:
        assert not wire.exchange(connection, b"x").reusable
    with server_that_says(head + b"Connection: keep-alive\r\n\r\n") as connection:
        assert wire.exchange(connection, b"x").reusable


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_is_said_to_be_so(said: bytes) -> None:
    with server_that_says(said) as peer, pytest.raises(wire.WireError, match="not HTTP"):
        wire.exchange(peer, GET)


def test_a_server_that_closes_early_is_an_error_and_not_an_empty_answer() -> None:
    with (
        server_that_says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") as peer,
        pytest.raises(wire.WireError, match="closed the connection"),
    ):
        wire.exchange(peer, GET)
