"""The floor without containers: see floor.c, whose answers these are. Standard library only."""

import os
import select
import signal
import socket

PING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
INVOCATIONS = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"floor":true}'
)
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
LONGEST_HEAD = 8192


class Client:
    """A connection: what it sent and how much of a body is still to be thrown away."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.inbox = b""
        self.body = 0

    def serve(self) -> bool:
        """Answer every whole request that is there; False when the client is to be dropped."""
        received = self.connection.recv(65536)
        if not received:
            return False
        self.inbox += received
        while True:
            skipped = min(self.body, len(self.inbox))
            self.inbox = self.inbox[skipped:]
            self.body -= skipped
            head, end, rest = self.inbox.partition(b"\r\n\r\n")
            if self.body or not end:
                return self.body > 0 or len(self.inbox) < LONGEST_HEAD
            self.inbox = rest
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    self.body = int(value)
                elif name.lower() == b"expect":
                    self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.connection.sendall(answer(head))


def answer(head: bytes) -> bytes:
    """The whole answer to a request."""
    if head.startswith(b"GET /ping "):
        return PING
    if head.startswith(b"POST /invocations "):
        return INVOCATIONS
    return MISSING


def main() -> None:
    """Serve until SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)
    host = os.environ.get("LAB_BIND_HOST") or "0.0.0.0"  # noqa: S104  # a container's port
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(64)
    clients: dict[socket.socket, Client] = {}
    while True:
        ready, _, _ = select.select([listener, *clients], [], [])
        for connection in ready:
            if connection is listener:
                made, _ = listener.accept()
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[made] = Client(made)
                continue
            try:
                kept = clients[connection].serve()
            except (OSError, ValueError):
                kept = False
            if not kept:
                del clients[connection]
                connection.close()


if __name__ == "__main__":
    main()
