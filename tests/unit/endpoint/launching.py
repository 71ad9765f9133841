"""What a launcher needs around it: a scripted engine, objects in memory, folders."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lab.artifacts.archive import pack
from lab.endpoint.clock import SystemClock
from lab.endpoint.instances import Compute
from lab.endpoint.launch.launcher import EngineLauncher
from lab.endpoint.live import Server, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import EndpointKind
from lab.endpoint.s3 import ObjectError
from lab.endpoint.settings import EmulatorSettings
from lab.engine.api import Engine

URI = "s3://models/m.tar.gz"
GB = 1024**3

PLAN = VariantPlan(
    endpoint="tea",
    name="AllTraffic",
    kind=EndpointKind.SERVERLESS,
    image="x:1",
    model_data=URI,
    compressed=True,
    env={"A": "b"},
    hostname=None,
    isolated=False,
    instance_type=None,
    compute=Compute(memory_bytes=2 * GB, cpus=1.2, disk_bytes=5 * GB),
    initial_count=0,
    max_concurrency=2,
    weight=1.0,
    shadow=False,
    startup_timeout_s=5.0,
    download_timeout_s=5.0,
)
REAL_TIME = replace(
    PLAN, kind=EndpointKind.REAL_TIME, compute=Compute(memory_bytes=None, cpus=None)
)


class MemoryObjects:
    """S3 without a server."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.read_after = 0

    def download(self, uri: str, into: Path) -> str:
        into.write_bytes(self._get(uri))
        return "etag"

    @contextmanager
    def open(self, uri: str) -> Iterator[Iterator[bytes]]:
        data = self._get(uri)
        yield (data[at : at + 100] for at in range(0, len(data), 100))

    def download_prefix(self, uri: str, into: Path) -> None:
        for key, data in self.objects.items():
            if key.startswith(uri):
                path = into / key.removeprefix(uri)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def read(self, uri: str) -> tuple[bytes, str]:
        return self._get(uri), ""

    def write(self, uri: str, data: bytes, *, content_type: str = "") -> None:
        self.objects[uri] = data

    def size(self, uri: str) -> int:
        return len(self._get(uri))

    def _get(self, uri: str) -> bytes:
        try:
            return self.objects[uri]
        except KeyError:
            raise ObjectError("NoSuchKey", f"S3 has no {uri}.") from None


def archive_of(place: Path) -> bytes:
    """A ``model.tar.gz`` with one file."""
    (place / "in").mkdir(parents=True)
    (place / "in" / "model.json").write_text("{}")
    pack(place / "in", place / "m.tar.gz")
    return (place / "m.tar.gz").read_bytes()


class Scene:
    """A launcher on an engine."""

    def __init__(self, engine: Engine, tmp_path: Path, *, owner: str = "me") -> None:
        self.engine = engine
        self.state = tmp_path / "state"
        self.objects = MemoryObjects({URI: archive_of(tmp_path / f"archive-{owner}")})
        self.logs = LogFiles(self.state / "logs")
        self.launcher = EngineLauncher(
            engine=engine,
            objects=self.objects,
            settings=EmulatorSettings(state=self.state),
            owner=owner,
            clock=SystemClock(),
            logs=self.logs,
        )

    @property
    def folders(self) -> list[str]:
        """Servers that have a folder."""
        below = self.state / "servers"
        return sorted(path.name for path in below.iterdir()) if below.is_dir() else []

    async def launch(self, plan: VariantPlan = PLAN, server_id: str = "s-1") -> Server:
        return await self.launcher.launch(plan, generation=1, server_id=server_id)

    async def cancelled(self, plan: VariantPlan, after_s: float) -> None:
        """Launch, and want it no more a little later."""
        launching = asyncio.create_task(self.launch(plan))
        await asyncio.sleep(after_s)
        launching.cancel()
        try:
            await launching
        except asyncio.CancelledError:
            return
        raise AssertionError("it was not cancelled")
