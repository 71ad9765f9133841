"""A server for senders: says what it is told, as late as it is told."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(kw_only=True)
class Served:
    """Where it is, and what came."""

    address: tuple[str, int]
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def served(answer: Callable[[int], bytes] = lambda _: OK) -> Iterator[Served]:
    """Answers each request with what ``answer`` gives for its number (from 0).

    Nothing is no answer: the connection is closed. An answer with ``Connection: close`` closes it
    behind the answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Served(address=("127.0.0.1", listening.getsockname()[1]))
        threading.Thread(target=_accept, args=(listening, found, answer), daemon=True).start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, found: Served, answer: Callable[[int], bytes]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        found.connections += 1
        threading.Thread(target=_serve, args=(connection, found, answer), daemon=True).start()


def _serve(connection: socket.socket, found: Served, answer: Callable[[int], bytes]) -> None:
    with connection:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(data) < length:
                data += connection.recv(65536)
            body, data = data[:length], data[length:]
            found.bodies.append(body)
            said = answer(len(found.bodies) - 1)
            if said:
                connection.sendall(said)
            if not said or b"Connection: close" in said:
                return


def late(seconds: float, said: bytes = OK) -> bytes:
    """The same, later."""
    time.sleep(seconds)
    return said
