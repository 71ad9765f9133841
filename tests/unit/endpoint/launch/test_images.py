"""An image meets the processor of the instance that it is deployed on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.endpoint.instances import GIB, Machine, instance_note, serverless_note, table
from lab.endpoint.launch.images import refusal
from lab.endpoint.live import LaunchFailed, Server, VariantPlan
from lab.endpoint.records import EndpointKind, ServerRecord
from lab.spec import Platform
from tests.unit.endpoint.launching import PLAN, REAL_TIME, Scene
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.servers import ready_after

pytestmark = pytest.mark.anyio

GRAVITON = replace(REAL_TIME, instance_type="ml.m6g.large")
INTEL = replace(REAL_TIME, instance_type="ml.m5.large")
ARM = Platform.ARM64
AMD = Platform.AMD64


def engine_of(machine: Platform, image: Platform, does: Behaviour | None = None) -> FakeEngine:
    engine = FakeEngine(does or Behaviour(answer=lambda: ready_after(0)), platform=machine)
    engine.foreign[PLAN.image] = image
    return engine


def record_of(server: Server) -> ServerRecord:
    return ServerRecord(
        id=server.id,
        endpoint=server.endpoint,
        variant=server.variant,
        generation=server.generation,
        container=server.container,
        created_at=0.0,
    )


async def launched(scene: Scene, plan: VariantPlan) -> str | None:
    """Why it failed, or None."""
    try:
        server = await scene.launch(plan)
    except LaunchFailed as failed:
        return failed.reason
    else:
        await scene.launcher.stop(server)
        return None
    finally:
        await scene.close()


@pytest.mark.parametrize("machine", [AMD, ARM])
@pytest.mark.parametrize(
    ("plan", "image", "says"),
    [
        (GRAVITON, AMD, ["is for linux/amd64", "ml.m6g.large has arm64 (Graviton) processors"]),
        (INTEL, ARM, ["is for linux/arm64", "ml.m5.large has x86-64 processors"]),
    ],
)
async def test_an_image_for_another_processor_than_the_instance_s_fails_whatever_runs_here(
    tmp_path: Path, machine: Platform, plan: VariantPlan, image: Platform, says: Sequence[str]
) -> None:
    engine = engine_of(machine, image)
    scene = Scene(engine, tmp_path)
    reason = await launched(scene, plan)
    assert reason is not None
    assert reason.startswith("exec format error")
    assert all(part in reason for part in says)
    assert engine.made == []
    filed = scene.logs.tail("tea")
    assert any(line.endswith("exec serve: exec format error") for line in filed)
    assert any(f"[platform] No container was started: {reason}" in line for line in filed)


@pytest.mark.parametrize("machine", [AMD, ARM])
@pytest.mark.parametrize(("plan", "image"), [(GRAVITON, ARM), (INTEL, AMD)])
async def test_an_image_for_the_instance_s_processor_runs_natively_or_not(
    tmp_path: Path, machine: Platform, plan: VariantPlan, image: Platform
) -> None:
    engine = engine_of(machine, image)
    scene = Scene(engine, tmp_path)
    server = await scene.launch(plan)
    assert server.emulated is (machine is not image)
    await scene.close()
    later = Scene(engine, tmp_path / "later").launcher
    adopted = await later.adopt(record_of(server), plan)
    assert adopted is not None
    assert adopted.emulated is server.emulated
    await later.stop(adopted)
    await later.close()
    assert engine.made[0].spec.platform is image
    graviton = {"QEMU_CPU": "neoverse-n1"} if (machine, image) == (AMD, ARM) else {}
    assert engine.made[0].spec.env == {**plan.env, **graviton}


async def test_serverless_takes_x86_64_and_an_arm64_machine_its_own(tmp_path: Path) -> None:
    assert refusal(PLAN, AMD, machine=AMD) is None
    assert refusal(PLAN, AMD, machine=ARM) is None
    assert refusal(PLAN, ARM, machine=ARM) is None
    reason = await launched(Scene(engine_of(AMD, ARM), tmp_path), PLAN)
    assert reason is not None
    assert "serverless endpoints have x86-64 processors" in reason
    note = serverless_note(1024, Machine(cpus=8, memory_bytes=64 * GIB, platform=ARM))
    assert "x86-64 images only for serverless" in (note or "")


def test_an_asynchronous_endpoint_has_instances_too() -> None:
    asynchronous = replace(GRAVITON, kind=EndpointKind.ASYNC)
    assert refusal(asynchronous, AMD, machine=AMD) is not None
    assert refusal(asynchronous, ARM, machine=AMD) is None


def test_an_instance_type_that_the_table_lacks_is_given_the_benefit_of_the_doubt() -> None:
    assert refusal(replace(REAL_TIME, instance_type="ml.x9.large"), ARM, machine=AMD) is None


async def test_an_emulated_container_is_waited_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.start.emulated.PATIENCE", 100)
    slow = Behaviour(answer=lambda: ready_after(0.6))
    impatient = replace(GRAVITON, startup_timeout_s=0.3)
    scene = Scene(engine_of(AMD, ARM, slow), tmp_path)
    assert await launched(scene, impatient) is None
    scene = Scene(engine_of(ARM, ARM, slow), tmp_path / "native")
    assert "Not ready within 0.3 s" in (await launched(scene, impatient) or "")


def test_that_an_instance_is_emulated_is_said_before_anything_is_timed() -> None:
    here = Machine(cpus=64, memory_bytes=512 * GIB, platform=AMD)
    note = instance_note("ml.c7g.large", here)
    assert "arm64 (Graviton) processors, which this machine emulates" in (note or "")
    assert instance_note("ml.m5.large", here) is None
    assert instance_note("ml.c7g.large", replace(here, platform=ARM)) is None
    both = instance_note("ml.c7g.large", replace(here, cpus=1)) or ""
    assert "emulates" in both
    assert "1 of 2 vCPU" in both


def test_every_instance_type_is_for_a_platform_of_the_lab_s() -> None:
    assert {one.architecture for one in table().values()} == {"x86_64", "arm64"}
    assert table()["ml.m6g.large"].platform is ARM
    assert table()["ml.m5.large"].platform is AMD
    assert table()["ml.p6e-gb200.36xlarge"].processor == "arm64"
