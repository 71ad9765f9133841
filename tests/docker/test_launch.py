"""The launcher on the real engine, with containers whose start-up is known."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.artifacts import store
from lab.endpoint.clock import SystemClock
from lab.endpoint.instances import Compute
from lab.endpoint.launch.launcher import EngineLauncher
from lab.endpoint.live import Death, LaunchFailed, Ping, Server, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import ServerRecord
from lab.endpoint.settings import EmulatorSettings
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import NETWORK
from lab.images.base import ensure_base
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import LABEL_OWNER, Phase, Platform, Runtime
from tests.timing import PATIENCE_S
from tests.unit.endpoint.launching import PLAN, REAL_TIME, URI
from tests.unit.endpoint.standins import FakeObjects

pytestmark = pytest.mark.docker

OWNER = "test-launch"
MB = 1024**2


class Bench:
    """A launcher of its own engine connection, as in a life of the emulator."""

    def __init__(
        self,
        state: Path,
        address: str,
        *,
        owner: str = OWNER,
        objects: FakeObjects | None = None,
    ) -> None:
        self.state = state
        self.objects = objects or FakeObjects()
        self.engine = DockerEngine(address)
        self.logs = LogFiles(state / "logs")
        self.settings = EmulatorSettings(state=state, network=NETWORK, start_tries=1)
        self.launcher = EngineLauncher(
            engine=self.engine,
            objects=self.objects,
            settings=self.settings,
            owner=owner,
            clock=SystemClock(),
            logs=self.logs,
            cold_image=image_ref("coldhost", self.engine.facts().platform),
        )

    async def launch(self, plan: VariantPlan, server_id: str = "s-00000000001") -> Server:
        return await self.launcher.launch(plan, generation=1, server_id=server_id)

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            try:
                await work()
            finally:
                await self.launcher.sweep([])
                await self.launcher.close()

        asyncio.run(whole())


@pytest.fixture
def bench(engine: DockerEngine, tmp_path: Path) -> Iterator[Bench]:
    engine.ensure_network(NETWORK)
    yield Bench(tmp_path, engine.address)
    assert engine.containers({LABEL_OWNER: OWNER}) == []
    assert list((tmp_path / "servers").glob("*")) == []


def plain(ref: str, base: VariantPlan = PLAN, **changed: object) -> VariantPlan:
    return replace(base, image=ref, model_data=None, env={}, **changed)  # type: ignore[arg-type]


def inside(server: Server, engine: DockerEngine, command: str) -> tuple[int, str]:
    (container,) = [
        one for one in engine.containers({LABEL_OWNER: OWNER}) if one.name == server.container
    ]
    return container.execute(["sh", "-c", command])


async def until(ask: Callable[[], Awaitable[Death | None]], seconds: float = PATIENCE_S) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        said = await ask()
        if said is not None:
            return said.reason
        await asyncio.sleep(0.1)
    pytest.fail("it did not come to pass")


def test_a_model_from_s3_is_served_and_every_phase_is_told(
    bench: Bench, built: Callable[[str], str], mobilenet: str
) -> None:
    archive = store.find(mobilenet, Runtime.ONNX).path
    bench.objects.kept[URI] = (archive.read_bytes(), "")
    ref = built("onnx-slim")

    async def work() -> None:
        plan = replace(PLAN, image=ref, env={}, startup_timeout_s=60.0)
        await bench.launcher.pin(plan)
        for _ in range(5):
            server = await bench.launch(plan)
            assert server.setup is not None
            assert {Phase.MODEL_FETCH, Phase.START, Phase.IMPORTS, Phase.MODEL_LOAD} <= set(
                server.setup.phases_s
            )
            gap_s = server.setup.total_s - sum(server.setup.phases_s.values())
            if abs(gap_s) < 0.02:  # else the machine stalled between two phases
                break
            await bench.launcher.stop(server, grace_s=1)
        assert abs(gap_s) < 0.02
        vitals = await bench.launcher.vitals(server)
        assert vitals is not None
        assert 10 * MB < vitals.memory_bytes < vitals.memory_limit_bytes == 2048 * MB
        assert vitals.cpu_seconds > 0
        await bench.launcher.stop(server, grace_s=1)
        assert any("lab_startup" in line for line in bench.logs.tail("tea"))

    bench.run(work)


def test_vitals_are_told_at_once(bench: Bench, image: Callable[..., str]) -> None:
    ref = image("good")

    async def work() -> None:
        server = await bench.launch(plain(ref))
        took = []
        for _ in range(3):
            begin = time.monotonic()
            assert await bench.launcher.vitals(server) is not None
            took.append(time.monotonic() - begin)
        assert min(took) < 0.5  # two samples would lie a second apart
        await bench.launcher.stop(server, grace_s=1)

    bench.run(work)


def test_a_serverless_container_is_not_root_and_writes_to_tmp_only(
    bench: Bench, engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("good")

    async def work() -> None:
        server = await bench.launch(plain(ref))
        assert inside(server, engine, "id -u; id -g") == (0, "993\n990\n")
        assert inside(server, engine, "echo x > /tmp/x")[0] == 0
        assert (bench.state / "servers" / server.id / "tmp" / "x").exists()
        assert "Read-only" in inside(server, engine, "echo x > /var/x")[1]
        await bench.launcher.stop(server, grace_s=1)

    bench.run(work)


def test_a_real_time_container_is_root_and_may_write(
    bench: Bench, engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("good")

    async def work() -> None:
        server = await bench.launch(plain(ref, REAL_TIME, hostname="model.aws.local"))
        assert inside(server, engine, "id -u; echo x > /var/x; hostname")[1].split() == [
            "0",
            "model.aws.local",
        ]
        await bench.launcher.stop(server, grace_s=1)

    bench.run(work)


def test_an_isolated_container_reaches_nobody_and_is_reached(
    bench: Bench, engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("good")

    async def work() -> None:
        server = await bench.launch(plain(ref, REAL_TIME, isolated=True))
        call = "python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 53), 3)'"
        assert "unreachable" in inside(server, engine, call)[1]
        assert await bench.launcher.ping(server)
        await bench.launcher.stop(server, grace_s=1)

    bench.run(work)


@pytest.mark.parametrize(
    ("mode", "memory_mb", "patience_s", "says"),
    [
        ("exit-3", 1024, 60, ["exited before it was ready with code 3", "weights.bin"]),
        ("silent", 1024, 4, ["nothing listens on its port"]),
        ("ping-500", 1024, 8, ["/ping last answered 500"]),
        ("oom", 96, 60, ["ran out of memory", "It has 96 MB", "loading the model"]),
    ],
)
def test_a_container_that_does_not_get_ready_says_why(
    bench: Bench,
    image: Callable[..., str],
    mode: str,
    memory_mb: int,
    patience_s: float,
    says: list[str],
) -> None:
    ref = image(mode)
    compute = Compute(memory_bytes=memory_mb * MB, cpus=1.0, disk_bytes=None)

    async def work() -> None:
        with pytest.raises(LaunchFailed) as failed:
            await bench.launch(plain(ref, compute=compute, startup_timeout_s=patience_s))
        for words in says:
            assert words in failed.value.reason
        assert ("ran out of memory" in failed.value.reason) is (mode == "oom")

    bench.run(work)


def test_an_image_without_serve_is_explained(
    bench: Bench, engine: DockerEngine, platform: Platform, progress: Progress
) -> None:
    ref = ensure_base(platform, engine, progress).ref

    async def work() -> None:
        with pytest.raises(LaunchFailed, match="docker run IMAGE serve"):
            await bench.launch(plain(ref))

    bench.run(work)


@pytest.mark.parametrize("after_s", [0.01, 0.15, 0.3, 0.6])
def test_a_cancelled_launch_leaves_nothing(
    bench: Bench, image: Callable[..., str], after_s: float
) -> None:
    ref = image("good", DELAY="5")

    async def work() -> None:
        launching = asyncio.create_task(bench.launch(plain(ref)))
        await asyncio.sleep(after_s)
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching
        assert bench.engine.containers({LABEL_OWNER: OWNER}) == []

    bench.run(work)


def test_a_dead_container_says_why_and_a_removed_one_too(
    bench: Bench, engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("good")

    async def work() -> None:
        server = await bench.launch(plain(ref))
        engine.client.kill(server.container)
        assert "code 137" in await until(lambda: bench.launcher.died(server))
        engine.client.remove_container(server.container, force=True)
        assert "removed" in await until(lambda: bench.launcher.died(server))
        assert await bench.launcher.ping(server) is not Ping.WELL
        assert await bench.launcher.vitals(server) is None
        await bench.launcher.stop(server, grace_s=1)

    bench.run(work)


def test_what_is_written_beyond_the_disk_kills_the_container(
    bench: Bench, engine: DockerEngine, image: Callable[..., str]
) -> None:
    ref = image("good")
    compute = Compute(memory_bytes=1024 * MB, cpus=1.0, disk_bytes=10 * MB)

    async def work() -> None:
        server = await bench.launch(plain(ref, compute=compute))
        assert inside(server, engine, "head -c 30000000 /dev/zero > /tmp/x")[0] == 0
        said = await until(lambda: bench.launcher.died(server))
        assert "had written 30.0 MB to /tmp" in said
        await bench.launcher.stop(server, grace_s=1)
        assert any("had written" in line for line in bench.logs.tail("tea"))

    bench.run(work)


def test_the_next_life_adopts_what_runs_sweeps_the_rest_and_goes_on_with_the_log(
    bench: Bench, image: Callable[..., str], tmp_path: Path
) -> None:
    plan = plain(image("good"))
    other = Bench(tmp_path / "other", bench.engine.address, owner=f"{OWNER}-other")

    async def work() -> None:
        before = Bench(tmp_path, bench.engine.address)
        kept = await before.launch(plan)
        await before.launch(plan, "s-00000000002")
        await before.launcher.close()
        theirs = await other.launch(plan, "s-00000000003")

        record = ServerRecord(
            id=kept.id,
            endpoint=kept.endpoint,
            variant=kept.variant,
            generation=1,
            container=kept.container,
            created_at=0.0,
        )
        adopted = await bench.launcher.adopt(record, plan)
        assert adopted is not None
        await bench.launcher.sweep([kept.id])
        names = [one.name for one in bench.engine.containers({LABEL_OWNER: OWNER})]
        assert names == [kept.container]
        assert await other.launcher.ping(theirs)
        await bench.launcher.stop(adopted, grace_s=1)
        await other.launcher.stop(theirs, grace_s=1)
        await other.launcher.close()
        filed = [line for line in bench.logs.tail("tea") if kept.id in line]
        assert len(filed) == len(set(filed))

    bench.run(work)


def test_a_cold_start_may_pull_the_image_too(
    bench: Bench, built: Callable[[str], str], mobilenet: str
) -> None:
    bench.objects.kept[URI] = (store.find(mobilenet, Runtime.ONNX).path.read_bytes(), "")
    built("registry")
    built("coldhost")
    ref = built("onnx-slim")

    async def work() -> None:
        plan = replace(PLAN, image=ref, env={}, pull_cold=True, startup_timeout_s=120.0)
        server = await bench.launch(plan)
        assert server.setup is not None
        assert {Phase.IMAGE_PULL, Phase.IMAGE_UNPACK, Phase.MODEL_FETCH} <= set(
            server.setup.phases_s
        )
        await bench.launcher.sweep([])
        assert await bench.launcher.ping(server)
        await bench.launcher.stop(server, grace_s=1)
        assert [one for one in bench.engine.containers({}) if OWNER in str(one.labels)] == []

    bench.run(work)
