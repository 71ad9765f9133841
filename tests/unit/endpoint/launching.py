"""What a launcher needs around it: a fake engine, an S3 in memory, folders."""

import asyncio
from dataclasses import replace
from pathlib import Path

from lab.artifacts.archive import pack
from lab.endpoint.clock import SystemClock
from lab.endpoint.instances import Compute
from lab.endpoint.launch.launcher import EngineLauncher
from lab.endpoint.live import Server, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings
from lab.engine.api import Engine
from tests.unit.endpoint.standins import FakeObjects, plan
from tests.unit.engine.fake import FakeContainer, FakeEngine

URI = "s3://models/m.tar.gz"
GB = 1024**3

PLAN = plan(
    endpoint="tea",
    name="AllTraffic",
    kind=EndpointKind.SERVERLESS,
    image="x:1",
    model_data=URI,
    env={"A": "b"},
    compute=Compute(memory_bytes=2 * GB, cpus=1.2, disk_bytes=5 * GB),
    initial_count=0,
    max_concurrency=2,
    startup_timeout_s=5.0,
    download_timeout_s=5.0,
)
REAL_TIME = replace(
    PLAN, kind=EndpointKind.REAL_TIME, compute=Compute(memory_bytes=None, cpus=None)
)


def archive_of(place: Path) -> bytes:
    """A ``model.tar.gz`` with one file."""
    (place / "in").mkdir(parents=True)
    (place / "in" / "model.json").write_text("{}")
    pack(place / "in", place / "m.tar.gz")
    return (place / "m.tar.gz").read_bytes()


class Scene:
    """A launcher on an engine."""

    def __init__(
        self,
        engine: Engine,
        tmp_path: Path,
        *,
        owner: str = "me",
        state: Path | None = None,
        tries: int | None = 1,
    ) -> None:
        """``tries``: how often a container is started that ends before it is ready."""
        self.engine = engine
        self.state = state or tmp_path / "state"
        self.objects = FakeObjects()
        self.put(URI, archive_of(tmp_path / f"archive-{owner}"))
        self.logs = LogFiles(self.state / "logs")
        self._closed = False
        self.launcher = EngineLauncher(
            engine=engine,
            objects=self.objects,
            settings=EmulatorSettings(state=self.state, start_tries=tries, start_pause_s=0.01),
            owner=owner,
            clock=SystemClock(),
            logs=self.logs,
        )

    def put(self, uri: str, data: bytes) -> None:
        """Into S3."""
        self.objects.kept[uri] = (data, "")

    @property
    def engine_made(self) -> list[FakeContainer]:
        """The containers that the engine made."""
        assert isinstance(self.engine, FakeEngine)
        return self.engine.made

    @property
    def folders(self) -> list[str]:
        """Servers that have a folder."""
        below = self.state / "servers"
        return sorted(path.name for path in below.iterdir()) if below.is_dir() else []

    async def close(self) -> None:
        """Let go of the engine, once; containers stay."""
        if not self._closed:
            self._closed = True
            await self.launcher.close()

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
