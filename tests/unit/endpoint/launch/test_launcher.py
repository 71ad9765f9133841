import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.endpoint.instances import Compute
from lab.endpoint.launch import pinged
from lab.endpoint.live import LaunchFailed, Ping, Server, VariantPlan
from lab.endpoint.records import EndpointKind, ServerRecord
from lab.endpoint.transport import ContainerCall, meant_for
from lab.engine.api import ContainerSpec, Engine, ImageFacts, LayerEvent
from lab.errors import EngineError, ImageNotFoundError
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, EngineKind, Phase, Platform
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.launching import GB, PLAN, REAL_TIME, Scene
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine
from tests.unit.start.death_logs import BEHIND_NGINX
from tests.unit.start.servers import Answer, Reply, ready_after

pytestmark = pytest.mark.anyio


def at_once() -> Answer:
    return ready_after(0)


@pytest.fixture
def does() -> Behaviour:
    return Behaviour(answer=at_once, log="loading\nserving")


@pytest.fixture
def engine(does: Behaviour) -> FakeEngine:
    return FakeEngine(does)


Make = Callable[..., Scene]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    scenes: list[Scene] = []

    def made(engine: Engine, folder: str = ".", **more: Any) -> Scene:
        scenes.append(Scene(engine, tmp_path / folder, **more))
        return scenes[-1]

    yield made
    for scene in scenes:
        await scene.close()


@pytest.fixture
async def scene(engine: FakeEngine, make: Make) -> Scene:
    return make(engine)


def record(server: Server) -> ServerRecord:
    return ServerRecord(
        id=server.id,
        endpoint=server.endpoint,
        variant=server.variant,
        generation=server.generation,
        container=server.container,
        created_at=0.0,
    )


def spec_of(scene: Scene) -> ContainerSpec:
    return scene.engine_made[-1].spec


async def test_a_server_answers_and_tells_how_it_came_up(scene: Scene) -> None:
    server = await scene.launch()
    assert await scene.launcher.ping(server) is Ping.WELL
    assert await scene.launcher.died(server) is None
    assert server.setup is not None
    phases = server.setup.phases_s
    assert list(phases) == [
        Phase.MODEL_FETCH,
        Phase.CREATE,
        Phase.START,
        Phase.BOOT,
    ]
    assert sum(phases.values()) == pytest.approx(server.setup.total_s, abs=0.05)
    vitals = await scene.launcher.vitals(server)
    assert vitals is not None
    assert vitals.memory_limit_bytes == 10
    await scene.launcher.stop(server)


@fidelity(
    "Containers",
    "A request for a container that has ended reaches no other, although a container engine gives "
    "its address to the next one at once.",
    OURS,
    "on AWS each instance has an address of its own",
)
async def test_who_gets_the_address_of_another_shows_that_it_has_ended(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await scene.launch()
    call = ContainerCall(body=b"", headers={})
    assert meant_for(first, call).wanted()
    with monkeypatch.context() as patched:
        patched.setattr(FakeContainer, "address", lambda *_: first.address)
        second = await scene.launch(server_id="s-2")
    assert await scene.launcher.ping(first) is Ping.SICK
    assert not first.healthy
    assert not meant_for(first, call).wanted()
    assert await scene.launcher.ping(second) is Ping.WELL
    await scene.launcher.stop(first)
    third = await scene.launch(server_id="s-3")  # at an address of its own
    assert meant_for(second, call).wanted()
    for server in (second, third):
        await scene.launcher.stop(server)


async def test_the_server_s_own_marks_are_its_phases(scene: Scene, does: Behaviour) -> None:
    does.marks = (-0.005, 0.001, 0.002, 0.003, 0.004, 0.004)
    server = await scene.launch()
    assert server.setup is not None
    assert {Phase.IMPORTS, Phase.MODEL_LOAD} <= server.setup.phases_s.keys()
    assert Phase.BOOT not in server.setup.phases_s
    await scene.launcher.stop(server)


async def test_a_process_has_neither_create_nor_start(does: Behaviour, make: Make) -> None:
    scene = make(FakeEngine(does, kind=EngineKind.PROCESS))
    server = await scene.launch()
    assert server.setup is not None
    assert not {Phase.CREATE, Phase.START} & server.setup.phases_s.keys()
    spec = spec_of(scene)
    assert (spec.user, spec.network, spec.mounts) == (None, None, ())
    assert spec.model_dir is not None
    await scene.launcher.stop(server)


@fidelity(
    "Serverless",
    "A container does not run as root, and can write nowhere but below /tmp.",
    SEEN,
    "https://github.com/mlflow/mlflow/issues/5544 "
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-troubleshooting.html",
)
async def test_a_serverless_container_gets_what_aws_gives_it(scene: Scene) -> None:
    await scene.launcher.stop(await scene.launch())
    spec = spec_of(scene)
    assert spec.user == "993:990"
    assert spec.read_only_root
    assert [(mount.target, mount.read_only) for mount in spec.mounts] == [("/tmp", False)]
    assert (spec.memory_bytes, spec.cpus) == (2 * GB, 1.2)
    assert spec.env == {"A": "b"}
    assert str(spec.model_dir).endswith("servers/s-1/model")


@fidelity(
    "Containers",
    "On an instance a container runs as root where its image names no other user, and may write "
    "anywhere but into /opt/ml/model.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html",
)
async def test_a_real_time_container_is_root_and_may_write(scene: Scene) -> None:
    await scene.launcher.stop(await scene.launch(replace(REAL_TIME, hostname="model")))
    spec = spec_of(scene)
    assert (spec.user, spec.read_only_root, spec.mounts, spec.hostname) == (
        None,
        False,
        (),
        "model",
    )


async def test_containers_bear_the_names_that_tell_whose_they_are(scene: Scene) -> None:
    await scene.launcher.stop(await scene.launch())
    assert spec_of(scene).labels == {
        LABEL: "true",
        LABEL_ROLE: "endpoint",
        LABEL_OWNER: "me",
        "org.inference-lab.endpoint": "tea",
        "org.inference-lab.variant": "AllTraffic",
        "org.inference-lab.server": "s-1",
        "org.inference-lab.generation": "1",
    }


async def test_the_model_is_there_while_it_runs_and_gone_afterwards(scene: Scene) -> None:
    server = await scene.launch()
    model = scene.state / "servers" / "s-1" / "model" / "model.json"
    assert model.read_text() == "{}"
    assert model.stat().st_mode & 0o004
    await scene.launcher.stop(server)
    assert scene.folders == []
    await scene.launcher.stop(server)  # once more harms nobody


async def test_a_container_that_the_engine_does_not_remove_is_asked_for_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await scene.launch()

    def busy(_self: FakeContainer) -> None:
        raise EngineError("The engine is busy.")

    with monkeypatch.context() as patched:
        patched.setattr(FakeContainer, "remove", busy)
        with pytest.raises(EngineError, match="busy"):
            await scene.launcher.stop(server)
    assert scene.folders == ["s-1"]
    await scene.launcher.stop(server)
    assert scene.folders == []


async def test_an_uncompressed_model_is_fetched_as_it_is(scene: Scene) -> None:
    scene.put("s3://models/plain/code/a.py", b"pass")
    plan = replace(REAL_TIME, model_data="s3://models/plain/", compressed=False)
    server = await scene.launch(plan)
    found = scene.state / "servers" / "s-1" / "model" / "code" / "a.py"
    assert found.read_text() == "pass"
    await scene.launcher.stop(server)
    with pytest.raises(
        LaunchFailed, match=r"Failed to download .*no object below s3://models/none/"
    ):
        await scene.launch(replace(plan, model_data="s3://models/none/"))


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (
            Behaviour(exit_code=3, log="ValueError: no weights"),
            "code 3: ValueError: no weights. It had not begun to listen on its port.",
        ),
        (
            Behaviour(exit_code=0, log=BEHIND_NGINX),
            "Install it (`RUN pip install packaging`, pinned in its requirements)",
        ),
        (
            Behaviour(exit_code=1, log="OSError: [Errno 28] No space left on device"),
            "in /dev/shm, which has 64 MB",
        ),
        (Behaviour(exit_code=137, oom=True), "ran out of memory"),
        (
            Behaviour(exit_code=137, oom=True),
            "It has 2048 MB. Give it more memory (Mem",
        ),
        (Behaviour(answer=lambda: ready_after(60)), "/ping last answered 503"),
        (Behaviour(refuses='exec: "serve": executable file not found'), "`docker run IMAGE serve`"),
        (
            Behaviour(exit_code=1, log="exec /serve: exec format error"),
            "a program of it is for another processor",
        ),
        (
            Behaviour(exit_code=1, log="PermissionError: Permission denied: '/srv'"),
            "do not run as root",
        ),
        (
            Behaviour(exit_code=1, log="OSError: Read-only file system: '/srv'"),
            "Let it write to /tmp only",
        ),
    ],
)
async def test_a_container_that_does_not_get_ready_says_why_in_one_message(
    scene: Scene, says: str
) -> None:
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch(replace(PLAN, startup_timeout_s=0.5))
    assert says in failed.value.reason
    assert "\n" not in failed.value.reason
    assert len(failed.value.reason) < 1024
    assert all(one.removed for one in scene.engine_made)
    assert scene.folders == []


async def test_what_a_failed_container_said_is_filed(scene: Scene, does: Behaviour) -> None:
    does.exit_code = 3
    with pytest.raises(LaunchFailed):
        await scene.launch()
    filed = scene.logs.tail("tea")
    assert [line.split(" ", 2)[2] for line in filed[:2]] == ["loading", "serving"]
    assert "did not get ready" in filed[-1]


async def test_the_disk_of_a_failed_container_is_watched_no_more(
    scene: Scene, does: Behaviour
) -> None:
    does.exit_code = 3
    with pytest.raises(LaunchFailed):
        await scene.launch()
    assert scene.launcher._running._disks.used_bytes("s-1") is None


async def test_a_message_keeps_the_newest_lines_when_there_are_too_many(
    scene: Scene, does: Behaviour
) -> None:
    does.exit_code = 1
    does.log = "\n".join(f"line {n} " + "x" * 100 for n in range(200))
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch()
    assert "line 199" in failed.value.reason
    assert "line 100" not in failed.value.reason
    assert len(failed.value.reason) < 1000


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.15, 0.4])
async def test_nothing_is_left_of_a_launch_that_is_cancelled(
    scene: Scene, does: Behaviour, after_s: float
) -> None:
    does.answer = lambda: ready_after(60)
    await scene.cancelled(PLAN, after_s)
    assert all(one.removed for one in scene.engine_made)
    assert scene.folders == []


async def test_a_fetch_that_takes_too_long_fails(scene: Scene) -> None:
    with pytest.raises(LaunchFailed, match="not downloaded and unpacked in time"):
        await scene.launch(replace(REAL_TIME, download_timeout_s=0.0))


@pytest.mark.parametrize("data", [b"no archive", b"\x1f\x8b\x08"])
async def test_an_archive_that_cannot_be_unpacked_is_named(scene: Scene, data: bytes) -> None:
    scene.put("s3://models/m.tar.gz", data)
    with pytest.raises(LaunchFailed, match=r"Failed to extract .*s3://models/m\.tar\.gz"):
        await scene.launch()


async def test_a_server_that_ended_says_why(scene: Scene, does: Behaviour) -> None:
    server = await scene.launch()
    does.exit_code = 1
    scene.engine_made[0].kill()
    said = await scene.launcher.died(server)
    assert said is not None
    assert "exited while it was in service with code 1" in said.reason
    assert not said.oom_killed
    assert await scene.launcher.ping(server) is Ping.SICK
    await scene.launcher.stop(server)


async def test_a_server_that_takes_a_ping_and_says_nothing_is_late(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinged, "_LIMIT_S", 0.05)
    server = await scene.launch()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server.address = silent.getsockname()
        assert await scene.launcher.ping(server) is Ping.LATE
    await scene.launcher.stop(server)


async def test_a_sick_server_does_not_answer_pings_with_200(scene: Scene, does: Behaviour) -> None:
    server = await scene.launch()
    answers = {"/ping": (500, b"")}
    scene.engine_made[0].kill()

    def reply(method: str, path: str, body: bytes) -> Reply | None:
        return answers.get(path)

    does.answer = lambda: reply
    scene.engine_made[0].start()
    server.address = scene.engine_made[0].address()
    assert await scene.launcher.ping(server) is Ping.SICK
    await scene.launcher.stop(server)


@fidelity(
    "Serverless",
    "A container has 5 GB of disk, whatever its memory is; one that writes more is killed here.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
)
async def test_a_server_that_writes_too_much_is_killed(scene: Scene, does: Behaviour) -> None:
    scene.launcher._running._disks._every_s = 0.02
    plan = replace(PLAN, compute=Compute(memory_bytes=None, cpus=None, disk_bytes=100_000))
    server = await scene.launch(plan)
    (scene.state / "servers" / "s-1" / "tmp" / "core").write_bytes(b"x" * 200_000)
    does.exit_code = 137
    said = None
    until = time.monotonic() + 30
    while said is None and time.monotonic() < until:
        await asyncio.sleep(0.02)
        said = await scene.launcher.died(server)
    assert said is not None
    assert "had written" in said.reason
    await scene.launcher.stop(server)
    assert any("[platform] The container was killed" in line for line in scene.logs.tail("tea"))


async def test_the_next_life_adopts_what_answers_and_sweeps_the_rest(
    engine: FakeEngine, make: Make
) -> None:
    first = make(engine, "1")
    second = make(engine, "2", state=first.state)
    kept, gone = await first.launch(), await first.launch(server_id="s-2")
    await first.close()

    adopted = await second.launcher.adopt(record(kept), PLAN)
    assert adopted is not None
    assert (adopted.address, adopted.setup) == (kept.address, None)
    await second.launcher.sweep([adopted.id])
    assert [one.removed for one in engine.made] == [False, True]
    assert first.folders == ["s-1"]
    assert await second.launcher.adopt(record(gone), PLAN) is None
    await second.launcher.stop(adopted)
    assert first.folders == []


async def test_a_container_that_does_not_answer_is_not_adopted(
    engine: FakeEngine, make: Make
) -> None:
    first, second = make(engine, "1"), make(engine, "2")
    server = await first.launch()
    await first.close()
    engine.made[0].kill()
    assert await second.launcher.adopt(record(server), PLAN) is None
    await second.launcher.sweep([])
    assert engine.made[0].removed


async def test_two_emulators_leave_each_other_s_containers_alone(
    engine: FakeEngine, make: Make
) -> None:
    ours, theirs = make(engine), make(engine, "other", owner="them")
    server = await theirs.launch()
    await ours.launcher.sweep([])
    assert await theirs.launcher.ping(server) is Ping.WELL
    assert await ours.launcher.adopt(record(server), PLAN) is None
    await theirs.launcher.stop(server)


async def test_a_sweep_spares_what_is_being_launched(scene: Scene, does: Behaviour) -> None:
    does.answer = lambda: ready_after(0.3)
    launching = asyncio.create_task(scene.launch())
    await asyncio.sleep(0.1)
    await scene.launcher.sweep([])
    await scene.launcher.stop(await launching)


class Shelf(FakeEngine):
    """Has only the images it was given; a pull brings those of one name."""

    def __init__(self, *refs: str, pulls: str = "", size: int = 1) -> None:
        super().__init__(Behaviour(answer=at_once))
        self.refs = set(refs)
        self.pulls = pulls
        self.asked: list[str] = []
        self.size = size

    def image(self, ref: str) -> ImageFacts:
        if ref not in self.refs:
            raise ImageNotFoundError(f"no {ref}")
        return ImageFacts(
            ref=ref,
            image_id="sha256:1",
            digest=None,
            platform=Platform.AMD64,
            unpacked_bytes=self.size,
            labels={},
        )

    def create(self, spec: ContainerSpec) -> FakeContainer:
        self.image(spec.image)
        return super().create(spec)

    def pull(self, ref: str, *, platform: Platform | None = None) -> list[LayerEvent]:
        self.asked.append(ref)
        if ref != self.pulls:
            raise ImageNotFoundError(f"{ref} cannot be pulled")
        self.refs.add(ref)
        return []


ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/tea:7"


async def unfit(scene: Scene, plan: VariantPlan) -> str:
    """Why it can never run, as its deployment says."""
    with pytest.raises(LaunchFailed) as failed:
        await scene.launcher.pin(plan)
    return failed.value.reason


@pytest.mark.parametrize(
    ("shelf", "started", "pulled"),
    [
        (Shelf(ECR, "team/tea:7"), ECR, []),
        (Shelf("team/tea:7"), "team/tea:7", []),
        (
            Shelf(pulls="127.0.0.1:5000/team/tea:7"),
            "127.0.0.1:5000/team/tea:7",
            ["127.0.0.1:5000/team/tea:7"],
        ),
        (Shelf(pulls=ECR), ECR, ["127.0.0.1:5000/team/tea:7", ECR]),
    ],
)
async def test_an_ecr_address_is_the_local_image_or_is_pulled(
    shelf: Shelf, started: str, pulled: list[str], make: Make
) -> None:
    scene = make(shelf)
    scene.launcher._images._registry = "127.0.0.1:5000"
    await scene.launcher.pin(replace(PLAN, image=ECR))
    await scene.launcher.stop(await scene.launch(replace(PLAN, image=ECR)))
    assert shelf.made[0].spec.image == started
    assert shelf.asked == pulled


async def test_an_image_that_is_nowhere_is_refused_with_all_that_was_tried(make: Make) -> None:
    scene = make(Shelf())
    said = await unfit(scene, replace(PLAN, image=ECR))
    assert said.startswith(f"Requested image {ECR} not found.")
    assert "team/tea:7" in said


async def test_an_image_that_was_removed_is_looked_for_again(make: Make) -> None:
    shelf = Shelf("team/tea:7", pulls=ECR)
    scene = make(shelf)
    plan = replace(PLAN, image=ECR)
    await scene.launcher.stop(await scene.launch(plan))
    shelf.refs.clear()
    await scene.launcher.stop(await scene.launch(plan))
    assert shelf.made[-1].spec.image == ECR


async def test_a_serverless_image_may_not_be_larger_than_aws_takes(make: Make) -> None:
    scene = make(Shelf("x:1", size=10_737_418_241))
    said = await unfit(scene, PLAN)
    assert said == "Image size 10737418241 is greater than supported size 10737418240"
    await scene.launcher.pin(replace(PLAN, kind=EndpointKind.REAL_TIME))


async def test_a_plan_that_can_never_run_is_refused_at_once(scene: Scene) -> None:
    missing = await unfit(scene, replace(PLAN, model_data="s3://models/none.tar.gz"))
    assert "s3://models/none.tar.gz" in missing
    prefix = replace(PLAN, model_data="s3://models/x/", compressed=False)
    assert "serverless" in await unfit(scene, prefix)
    assert "cold host" in await unfit(scene, replace(PLAN, pull_cold=True))
    await scene.launcher.pin(replace(PLAN, model_data=None))
