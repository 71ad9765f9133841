"""The whole face on a real port, before a container that is played by a small server."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config
from prometheus_client import CollectorRegistry

from face.app import Face
from face.transport import ContainerTransport
from lab.endpoint.clock import SystemClock
from lab.endpoint.emulator import compose
from lab.endpoint.instances import Machine
from lab.endpoint.live import Server, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.s3 import S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.controlled import FakeArtifacts
from tests.unit.endpoint.scripted import ScriptedLauncher

ROLE = "arn:aws:iam::000000000000:role/lab"


class Container:
    """Answers what the request's body, as JSON, tells it to."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.left = threading.Event()
        """Whoever read an endless stream has gone."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                self.seen.append((headers, body))
                await self._answer(body, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}
        if not isinstance(asked, dict):
            asked = {}
        await asyncio.sleep(asked.get("sleep", 0))
        if asked.get("hang_up"):
            writer.close()
            raise ConnectionError
        if "parts" in asked:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in asked["parts"]:
                writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
                await writer.drain()
            while asked.get("endless"):
                writer.write(b"1\r\n.\r\n")
                try:
                    await writer.drain()
                    await asyncio.sleep(0.005)
                except ConnectionError:
                    self.left.set()
                    raise
            if asked.get("cut"):
                writer.close()
                raise ConnectionError
            writer.write(b"0\r\n\r\n")
            return
        said = str(asked.get("say", "ok")).encode()
        head = f"HTTP/1.1 {asked.get('status', 200)} X\r\nContent-Length: {len(said)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in asked.get("headers", {}).items())
        writer.write(head.encode() + b"\r\n" + said)


class _Launcher(ScriptedLauncher):
    port = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.gate = threading.Event()
        """Cleared, no launch gets on before it is set again."""
        self.gate.set()

    async def launch(self, plan: VariantPlan, *, generation: int, server_id: str) -> Server:
        await asyncio.to_thread(self.gate.wait)
        server = await super().launch(plan, generation=generation, server_id=server_id)
        return replace(server, address=("127.0.0.1", self.port))


@dataclass(kw_only=True)
class Standing:
    """What a test speaks to."""

    port: int
    container: Container
    launcher: _Launcher
    clients: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def client(self, service: str, *, key: str = "test", secret: str = "test") -> Any:  # noqa: S107
        made = self.clients.get((service, key, secret))
        if made is None:
            made = self.clients[service, key, secret] = self._client(service, key, secret)
        return made

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def _client(self, service: str, key: str, secret: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    def endpoint(self, name: str, **variant: Any) -> None:
        """Made, and in service."""
        sagemaker = self.client("sagemaker")
        how = variant or {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_model(
            ModelName=name, PrimaryContainer={"Image": "image"}, ExecutionRoleArn=ROLE
        )
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": name, **how}],
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        waiter = sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})


@contextlib.contextmanager
def standing(folder: Path, **settings: Any) -> Iterator[Standing]:
    """A face in a thread of its own, from its first request to its last."""
    ready = threading.Event()
    found: list[Standing] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        container, clock = Container(), SystemClock()
        behind = await asyncio.start_server(container, "127.0.0.1", 0)
        launcher = _Launcher(clock, launch_s=0.01)
        launcher.port = behind.sockets[0].getsockname()[1]
        registry = CollectorRegistry()
        emulator = compose(
            settings=EmulatorSettings(state=folder, **settings),
            clock=clock,
            store=SqliteStore(folder / "store"),
            objects=S3Objects(endpoint_url="http://127.0.0.1:9", region="us-east-1"),
            logs=LogFiles(folder / "logs"),
            launcher=launcher,
            artifacts=FakeArtifacts(),
            machine=Machine(cpus=4, memory_bytes=8 << 30),
            transport=ContainerTransport(),
            registry=registry,
        )
        await emulator.start()
        config = uvicorn.Config(
            Face(emulator, registry), port=0, http="httptools", lifespan="off",
            access_log=False, log_config=None, timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - Uvicorn tells in no other way
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        found.append(Standing(port=port, container=container, launcher=launcher))
        stopping = asyncio.Event()
        stop.append((asyncio.get_running_loop(), stopping))
        ready.set()
        await stopping.wait()
        server.should_exit = True
        await serving
        await emulator.close()
        behind.close()
        await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        found[0].close()
        loop, stopping = stop[0]
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        assert not thread.is_alive()
