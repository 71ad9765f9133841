"""Containers that answer strangely: too early, too much, half, twice, with more than an answer."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from face.answer import HEAD_BYTES
from face.transport import ContainerTransport
from lab.endpoint.live import Address
from lab.endpoint.transport import ContainerAnswer, ContainerCall, TransportError, UnreadableError
from tests.fidelity import OURS, SEEN, fidelity
from tests.unit.endpoint.standins import until
from tests.unit.services.endpoint.test_transport import (
    CALL,
    Container,
    invoke,
    loop,
    play,
    read_request,
    read_stream,
)

__all__ = ["loop"]  # both event loops, for the tests here, too

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
LARGE = ContainerCall(body=bytes(5_000_000), headers={})


# --- statuses and bodies -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 304, 307, 399, 600, 999])
def test_every_status_is_passed_on_and_none_is_followed(status: int) -> None:
    wire = b"HTTP/1.1 %d X\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n" % status
    container = Container(wire)
    answer = play(container, invoke)
    assert (answer.status, answer.headers["location"]) == (status, "/other")
    assert len(container.requests) == 1


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none_whatever_its_length_says(status: int) -> None:
    wire = b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status
    answer = play(Container(wire), invoke)
    assert (answer.status, answer.body, answer.broken) == (status, b"", None)


@fidelity(
    "Answers",
    "1xx (100 Continue, 103 Early Hints) are passed over, with their headers.",
    OURS,
    "RFC 9110: they are no answer",
)
def test_what_comes_before_the_answer_is_passed_over() -> None:
    before = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    answer = play(Container(before + PLAIN + b"ok"), invoke)
    assert (answer.status, answer.body) == (200, b"ok")
    assert "link" not in answer.headers
    assert answer.head_bytes == len("Content-Length: 2\r\n")


@fidelity("Answers", "Trailers are dropped.", OURS, "no page says that they are passed on")
def test_what_comes_after_the_answer_is_dropped() -> None:
    wire = (
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nContent-Type: c/d\r\nX-Sum: 1\r\n\r\n"
    )
    answer = play(Container(wire), invoke)
    assert answer.body == b"ok"
    assert answer.headers == {"content-type": "a/b", "transfer-encoding": "chunked"}
    assert not answer.sized


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 %d X\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n5\r\n",
        b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        b"HTTP/1.0 %d X\r\nContent-Length: 10\r\n\r\nhalf",
    ],
)
@pytest.mark.parametrize("status", [200, 413, 500])
def test_an_answer_that_breaks_off_keeps_its_status(wire: bytes, status: int) -> None:
    container = Container(wire % status, then="close")
    answer = play(container, invoke)
    assert (answer.status, answer.body) == (status, b"half")
    assert isinstance(answer.broken, TransportError)
    assert len(container.requests) == 1


def test_an_answer_that_stops_in_its_body_ran_out_of_time() -> None:
    wire = b"HTTP/1.1 413 X\r\nContent-Length: 10\r\n\r\nhalf"
    answer = play(Container(wire), lambda address, transport: invoke(address, transport, 0.05))
    assert answer.status == 413
    assert isinstance(answer.broken, TimeoutError)


@fidelity(
    "Answers",
    "A length beside chunks is dropped, so that an asynchronous answer with both has none.",
    OURS,
    "as the platform's client does (Netty: handleTransferEncodingChunkedWithContentLength)",
)
def test_chunks_count_and_not_the_length_beside_them() -> None:
    wire = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n"
    )
    container = Container(wire, PLAIN + b"ok")

    async def story(address: Address, transport: ContainerTransport) -> list[ContainerAnswer]:
        return [await invoke(address, transport) for _ in range(2)]

    both, plain = play(container, story)
    assert (both.body, both.sized, both.broken) == (b"ok", False, None)
    assert (plain.body, plain.sized, plain.broken) == (b"ok", True, None)


@fidelity(
    "Answers",
    "Lines of an answer's head may end in a bare LF.",
    OURS,
    "as the platform's client has it (Netty: HttpObjectDecoder.HeaderParser)",
)
def test_lines_may_end_in_a_bare_lf() -> None:
    answer = play(Container(b"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\nok"), invoke)
    assert (answer.status, answer.headers["x-a"], answer.body) == (200, "b", b"ok")


@pytest.mark.parametrize("status", [200, 302])
def test_half_an_answer_is_told_with_its_status(status: int) -> None:
    wire = b"HTTP/1.1 %d X\r\nContent-Length: 10\r\n\r\nhalf" % status
    answer = play(Container(wire, then="close"), invoke)
    assert f"in the middle of its answer of status {status}" in str(answer.broken)


# --- answers before the request was read -------------------------------------------------------


@contextmanager
def refusing(answer: bytes, *, reads: int = 100) -> Iterator[Address]:
    """A server that answers at once, and resets the connection with the upload unread."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            taken.recv(reads)
            taken.sendall(answer)
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            taken.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


WHOLE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"
CUT = b"HTTP/1.1 413 Too Large\r\nContent-Length: 500\r\n\r\nbody is too larg"


@fidelity(
    "Answers",
    "An answer that comes before the upload was read is read, though the upload is reset.",
    SEEN,
    "https://github.com/huggingface/notebooks/issues/274",
)
@pytest.mark.parametrize("call", [CALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("wire", "body"), [(WHOLE, b"too large"), (CUT, b"body is too larg")])
def test_a_refusal_is_read_though_the_upload_is_reset(
    call: ContainerCall, wire: bytes, body: bytes
) -> None:
    async def story(address: Address) -> list[ContainerAnswer]:
        transport = ContainerTransport()
        found = [await transport.invoke(address, call, timeout_s=30) for _ in range(20)]
        await transport.close()
        return found

    with refusing(wire) as address:
        for answer in asyncio.run(story(address)):
            assert (answer.status, answer.body) == (413, body)
            assert (answer.broken is None) is (wire is WHOLE)


def test_a_stream_s_refusal_is_read_though_the_upload_is_reset() -> None:
    async def story(address: Address) -> tuple[int, bytes]:
        transport = ContainerTransport()
        answer = await transport.stream(address, LARGE, timeout_s=30)
        said = b""
        try:
            async for part in answer.parts:
                said += part
        except TransportError:
            pass
        await answer.close()
        return answer.status, said

    with refusing(CUT) as address:
        assert asyncio.run(story(address)) == (413, b"body is too larg")


def test_an_answer_that_comes_while_nobody_reads_the_request_is_enough() -> None:
    """It neither reads on nor closes: the rest of the upload is of no use."""
    answered = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE)
        await answered.wait()

    async def story(address: Address, transport: ContainerTransport) -> ContainerAnswer:
        answer = await transport.invoke(address, LARGE, timeout_s=30)
        answered.set()
        return answer

    assert play(early, story).body == b"too large"


# --- more than an answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nbad", b"HTTP/1.1", b"garbage"]
)
def test_what_follows_an_answer_is_nobodys(more: bytes) -> None:
    container = Container(PLAIN + b"ok" + more, PLAIN + b"no")

    async def story(address: Address, transport: ContainerTransport) -> list[ContainerAnswer]:
        return [await invoke(address, transport) for _ in range(2)]

    first, second = play(container, story)
    assert (first.status, first.body) == (200, b"ok")
    assert (second.status, second.body) == (200, b"no")
    assert container.connections == 2


def test_an_answer_that_nobody_asked_for_makes_a_connection_unfit() -> None:
    spoken = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(PLAIN + b"ok")
        await writer.drain()
        await spoken.wait()
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nbad")
        await writer.drain()
        await reader.read()

    async def story(address: Address, transport: ContainerTransport) -> bool:
        await invoke(address, transport)
        (connection,) = transport._idle[address]
        before = connection.fit
        spoken.set()
        # The loop has read it: the socket shows it no more.
        await until(lambda: connection._answering)
        return before and not connection.fit

    assert play(talkative, story)


# --- too much of it ----------------------------------------------------------------------------


def test_headers_up_to_the_limit_are_read_and_measured() -> None:
    wire = b"HTTP/1.1 200 OK\r\nX-Debug: %s\r\nContent-Length: 2\r\n\r\nok" % (b"a" * 60_000)
    answer = play(Container(wire), invoke)
    assert answer.body == b"ok"
    assert answer.head_bytes == len("X-Debug: \r\nContent-Length: 2\r\n") + 60_000


@fidelity(
    "Limits",
    "Of an answer's headers 64 KB are read in real time, and no more.",
    OURS,
    "AWS publishes no limit but 4,096 bytes for asynchronous ones",
)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nX-Debug: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Debug: " + b"a" * (1 << 20),
        b"HTTP/1.1 200 OK\r\n" + b"X-Debug: aaaaaaaaaaaa\r\n" * 50_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50_000,
    ],
    ids=["ended", "one", "many", "before"],
)
def test_longer_headers_are_not_listened_to(wire: bytes) -> None:
    assert len(wire) > HEAD_BYTES
    with pytest.raises(UnreadableError, match="headers of its answer are longer than 64 KB"):
        play(Container(wire), invoke)


@fidelity(
    "Limits",
    "An answer that is larger than its endpoint passes on is not read to its end.",
    OURS,
    "an endless one must not fill the emulator",
)
def test_an_endless_answer_is_read_as_far_as_it_may_be_long() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()

    call = ContainerCall(body=b"", headers={}, most_bytes=1_000_000)

    async def story(address: Address, transport: ContainerTransport) -> ContainerAnswer:
        return await transport.invoke(address, call, timeout_s=30)

    answer = play(endless, story)
    assert answer.broken is None
    assert 1_000_000 < len(answer.body) < 2_000_000


@fidelity(
    "Headers",
    "A caller who asks for no type gets `Accept: */*` sent in his name.",
    OURS,
    "the platform calls itself AHC/2.0, and that client adds it (NettyRequestFactory)",
)
@pytest.mark.parametrize(("accept", "sent"), [(None, b"*/*"), ("text/csv", b"text/csv")])
def test_some_type_is_always_accepted(accept: str | None, sent: bytes) -> None:
    container = Container()
    headers = {} if accept is None else {"Accept": accept}

    async def story(address: Address, transport: ContainerTransport) -> None:
        call = ContainerCall(body=b"body", headers=headers)
        await transport.invoke(address, call, timeout_s=5)

    play(container, story)
    assert container.requests[0].count(b"Accept: ") == 1
    assert b"Accept: " + sent + b"\r\n" in container.requests[0]


def test_a_cut_stream_says_its_status_first() -> None:
    wire = b"HTTP/1.1 413 X\r\nContent-Length: 10\r\n\r\nhalf"
    with pytest.raises(TransportError, match="in the middle of its answer"):
        play(Container(wire, then="close"), read_stream)
