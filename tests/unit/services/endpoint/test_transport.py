"""The transport against containers that behave, and against those that do not."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from face.connection import Connection
from face.transport import KEEP_ALIVE_S, ContainerTransport
from lab.endpoint.live import Address
from lab.endpoint.transport import ContainerAnswer, ContainerCall, NotSentError, TransportError
from tests.fidelity import OURS, fidelity
from tests.unit.endpoint.standins import until

CALL = ContainerCall(body=b"body", headers={"Content-Type": "text/plain"})
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Story = Callable[[Address, ContainerTransport], Awaitable[Any]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=LOOPS, autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both say in their own ways how a connection ended."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    monkeypatch.setattr(asyncio, "run", run)


class Container:
    """Serves with the handler, and remembers whole requests and connections."""

    def __init__(self, *answers: bytes, then: str = "keep") -> None:
        self.answers = list(answers) or [ANSWER]
        self.then = then
        self.requests: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await read_request(reader))
                number = min(len(self.requests), len(self.answers)) - 1
                writer.write(self.answers[number])
                await writer.drain()
                if self.then == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def test_what_is_meant_for_a_container_that_has_ended_reaches_no_other_at_its_address() -> None:
    container = Container()

    async def story(address: Address, transport: ContainerTransport) -> None:
        await transport.invoke(address, CALL, timeout_s=5)  # leaves a connection to be used again
        late = replace(CALL, wanted=lambda: False)
        for send in (transport.invoke, transport.stream):
            with pytest.raises(NotSentError, match="has ended"):
                await send(address, late, timeout_s=5)

    play(container, story)
    assert len(container.requests) == 1


def play(handler: Handler, story: Story) -> Any:
    """Run the story against a server, and leave nothing of either behind."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def main() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        transport = ContainerTransport(settles_s=0)
        try:
            return await story(server.sockets[0].getsockname()[:2], transport)
        finally:
            await transport.close()
            server.close()
            if serving:
                await asyncio.wait(serving, timeout=2)
            await asyncio.sleep(0.01)

    return asyncio.run(main())


async def invoke(
    address: Address, transport: ContainerTransport, timeout_s: float = 5
) -> ContainerAnswer:
    return await transport.invoke(address, CALL, timeout_s=timeout_s)


def test_the_container_gets_the_request_as_sagemaker_sends_it() -> None:
    container = Container()
    answer = play(container, invoke)
    assert answer == ContainerAnswer(
        status=200,
        headers={"content-type": "text/plain", "content-length": "2"},
        body=b"ok",
        head_bytes=len("Content-Type: text/plain\r\nContent-Length: 2\r\n"),
    )
    (sent,) = container.requests
    assert sent.startswith(b"POST /invocations HTTP/1.1\r\n")
    assert b"Content-Type: text/plain\r\n" in sent
    assert b"User-Agent: AHC/2.0\r\n" in sent
    ours = b"Content-Length: 4\r\nContent-Type: text/plain\r\nAccept: */*\r\n\r\nbody"
    assert sent.endswith(ours)


def test_a_connection_carries_many_requests() -> None:
    container = Container()

    async def story(address: Address, transport: ContainerTransport) -> None:
        for _ in range(5):
            await invoke(address, transport)

    play(container, story)
    assert (len(container.requests), container.connections) == (5, 1)


@fidelity(
    "Answers",
    "A connection carries another request once the server was seen to keep it open, so that one "
    "which closes unannounced swallows none.",
    OURS,
    "its kernel acknowledges the request before it closes",
)
@pytest.mark.parametrize("closes", [False, True])
def test_a_server_has_to_keep_a_connection_before_it_is_used_again(*, closes: bool) -> None:
    container = Container()
    hang_up = asyncio.Event()

    async def story(address: Address, _: ContainerTransport) -> None:
        transport = ContainerTransport(settles_s=60)
        await invoke(address, transport)
        second = asyncio.create_task(invoke(address, transport))
        await asyncio.sleep(0)
        assert len(transport._idle[address]) == 1  # it is neither used nor is another opened
        if closes:
            hang_up.set()
        else:
            transport._idle[address][0].idle_since -= 60
        await second
        assert (address in transport._keepers) is not closes
        await transport.close()

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        container.connections += 1
        container.requests.append(await read_request(reader))
        writer.write(ANSWER)
        await hang_up.wait()

    play(closing if closes else container, story)
    assert (len(container.requests), container.connections) == (2, 2 if closes else 1)


def test_a_server_that_closes_is_no_longer_known_to_keep_connections() -> None:
    container = Container()

    async def story(address: Address, transport: ContainerTransport) -> bool:
        await invoke(address, transport)
        await invoke(address, transport)
        before = address in transport._keepers
        container.then = "close"
        await invoke(address, transport)
        (connection,) = transport._idle[address]
        await until(lambda: not connection.fit)
        await invoke(address, transport)
        return before and address not in transport._keepers

    assert play(container, story)


def test_an_idle_connection_is_dropped_before_servers_drop_it() -> None:
    container = Container()

    async def story(address: Address, transport: ContainerTransport) -> int:
        await invoke(address, transport)
        (connection,) = transport._idle[address]
        connection.idle_since -= KEEP_ALIVE_S
        transport._drop_old()
        return len(transport._idle)

    assert play(container, story) == 0


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_large_requests_and_answers_pass_whole(size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size

    async def story(address: Address, transport: ContainerTransport) -> ContainerAnswer:
        call = ContainerCall(body=b"q" * size, headers={})
        return await transport.invoke(address, call, timeout_s=10)

    container = Container(head + b"a" * size)
    assert play(container, story).body == b"a" * size
    assert container.requests[0].endswith(b"\r\n\r\n" + b"q" * size)


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
            b"ok!",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ],
)
def test_every_way_of_framing_an_answer_is_read(wire: bytes, body: bytes) -> None:
    assert play(Container(wire), invoke).body == body


def test_an_answer_without_length_ends_with_the_connection() -> None:
    wire = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"
    assert play(Container(wire, then="close"), invoke).body == b"all of it"


def test_repeated_headers_are_a_list() -> None:
    wire = b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n"
    assert play(Container(wire), invoke).headers["a"] == "1, 2"


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_a_transport_error_and_is_not_sent_again(wire: bytes) -> None:
    container = Container(wire, then="close")
    with pytest.raises(TransportError) as error:
        play(container, invoke)
    assert not isinstance(error.value, NotSentError)
    assert len(container.requests) == 1


def test_a_container_that_says_nothing_runs_into_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with pytest.raises(TimeoutError):
        play(silent, lambda address, transport: invoke(address, transport, 0.05))


def test_a_port_where_nobody_listens_took_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = taken.getsockname()

        async def story() -> None:
            await ContainerTransport().invoke(address, CALL, timeout_s=5)

        with pytest.raises(NotSentError):
            asyncio.run(story())


# --- kept-alive connections that the container closed ------------------------------------------


@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_connection_that_was_closed_while_idle_is_replaced_without_anybody_noticing(
    pause: float,
) -> None:
    container = Container(then="close")

    async def story(address: Address, transport: ContainerTransport) -> None:
        for _ in range(20):
            await invoke(address, transport)
            await asyncio.sleep(pause / 10)

    play(container, story)
    assert len(container.requests) == 20


class Blunt:
    """A container in a thread: it closes a connection while the client's loop stands still."""

    def __init__(self) -> None:
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()
        self._open: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                self._open, _ = self._listener.accept()
            except OSError:
                return
            if self._open.recv(65536):
                self.requests += 1
                self._open.sendall(ANSWER)

    def hang_up(self) -> None:
        assert self._open is not None
        self._open.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(2)
        self._listener.close()


def test_a_request_that_crossed_with_the_close_is_sent_once_more_and_run_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blind to the end, as in the moment before it arrives: the request meets a dead socket."""
    monkeypatch.setattr(Connection, "fit", True)
    container = Blunt()

    async def story() -> ContainerAnswer:
        transport = ContainerTransport(settles_s=0)
        await invoke(container.address, transport)
        container.hang_up()
        answer = await invoke(container.address, transport)
        await transport.close()
        return answer

    assert asyncio.run(story()).body == b"ok"
    assert container.requests == 2
    container.close()


def test_a_request_that_was_taken_is_never_sent_again() -> None:
    """The container reads it, may have run it, and closes without a word."""
    taken = []

    async def greedy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await read_request(reader))
        if len(taken) == 1:
            writer.write(ANSWER)
            taken.append(await read_request(reader))
        writer.close()

    async def story(address: Address, transport: ContainerTransport) -> None:
        await invoke(address, transport)
        with pytest.raises(TransportError) as error:
            await invoke(address, transport)
        assert not isinstance(error.value, NotSentError)

    play(greedy, story)
    assert len(taken) == 2


# --- streams -----------------------------------------------------------------------------------


async def read_stream(
    address: Address, transport: ContainerTransport, timeout_s: float = 5
) -> tuple[int, bytes]:
    answer = await transport.stream(address, CALL, timeout_s=timeout_s)
    try:
        return answer.status, b"".join([part async for part in answer.parts])
    finally:
        await answer.close()


def test_a_stream_comes_while_the_container_still_speaks() -> None:
    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await reader.read()
        writer.close()

    async def story(address: Address, transport: ContainerTransport) -> bytes:
        answer = await transport.stream(address, CALL, timeout_s=5)
        first = await anext(answer.parts)
        await answer.close()
        return first

    assert play(slowly, story) == b"one"


def test_a_stream_larger_than_the_buffer_holds_the_container_back_and_comes_whole() -> None:
    size = 8 << 20
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"s" * size
    assert play(Container(wire), read_stream) == (200, b"s" * size)


def test_a_stream_that_is_cut_off_raises_after_what_had_come() -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    with pytest.raises(TransportError, match="in the middle of its answer"):
        play(Container(wire, then="close"), read_stream)


def test_the_time_of_a_stream_runs_to_its_end() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await reader.read()
        writer.close()

    with pytest.raises(TimeoutError):
        play(endless, lambda address, transport: read_stream(address, transport, 0.05))
