"""``python -m face``: the emulator as a process, until SIGTERM."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from face.app import Face
from face.settings import FaceSettings, read
from face.transport import ContainerTransport
from lab.endpoint.emulator import assemble
from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.locate import search
from lab.engine.process.engine import ProcessEngine
from lab.engine.select import Choice, choice
from lab.errors import EngineUnavailableError, LabError, PortTakenError
from lab.images.variants import image_ref

_log = logging.getLogger("face")
_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections, so that it is rarely we who hang up."""


class _Server(uvicorn.Server):
    """Uvicorn, with signals left to us: it would end the process by the signal itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> int:
    """Run; the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = read()
        engine = _engine()
        try:
            uvloop.run(_serve(settings, engine))
        finally:
            engine.close()
    except LabError as error:
        print(f"face: {error}", file=sys.stderr)
        return error.exit_code
    return 0


async def _serve(settings: FaceSettings, engine: Engine) -> None:
    with _listening(settings) as sock:
        registry = CollectorRegistry()
        emulator = assemble(
            settings=settings.emulator,
            engine=engine,
            transport=ContainerTransport(),
            registry=registry,
            s3_endpoint=settings.s3_endpoint,
            cold_image=_cold_image(engine),
        )
        ready, stopping = asyncio.Event(), asyncio.Event()
        face = Face(
            emulator, registry, started=ready, stopping=stopping, s3_endpoint=settings.s3_outside
        )
        server = _Server(_config(face, settings))
        _on_signals(server, stopping)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            await emulator.start()
            ready.set()
            host, port = sock.getsockname()[:2]
            _log.info("Answering on http://%s:%d", host, port)
            await serving
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            _log.info("Stopping the model containers")
            await emulator.close(stop_servers=True)


def _on_signals(server: _Server, stopping: asyncio.Event) -> None:
    def stop() -> None:
        # The second one is from somebody who does not want to wait.
        server.force_exit = server.should_exit
        server.should_exit = True
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _config(face: Face, settings: FaceSettings) -> uvicorn.Config:
    return uvicorn.Config(
        face,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.grace_s),
    )


@contextlib.contextmanager
def _listening(settings: FaceSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((settings.bind, settings.port))
        except OSError as error:
            raise PortTakenError(
                f"Cannot listen on {settings.bind}:{settings.port}: {error.strerror}.",
                remedy="Stop what listens there, or choose another port in LAB_PORT.",
            ) from error
        yield sock


def _cold_image(engine: Engine) -> str | None:
    """What a cold host is made from, for endpoints that pull their image at every cold start."""
    if not isinstance(engine, DockerEngine):
        return None
    return image_ref("coldhost", engine.facts().platform)


def _engine() -> Engine:
    """The engine that answers; installing or starting one is not for a service to do."""
    if choice() is Choice.PROCESS:
        return ProcessEngine()
    searched = search()
    if searched.found is None:
        asked = "; ".join(f"{one.candidate.origin}: {one.why}" for one in searched.refused)
        raise EngineUnavailableError(
            f"No container engine answers ({asked}).",
            remedy="Point DOCKER_HOST at one, or set LAB_ENGINE=process.",
        )
    return DockerEngine(searched.found.address)


if __name__ == "__main__":
    sys.exit(main())
