"""A boto3 client, the control plane, its store and the fleet, with only the engine pretended."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.endpoint.control.operations import Control
from lab.endpoint.deploy.fleet import EndpointFleet
from lab.endpoint.plans import plans_of
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.controlled import MACHINE, FakeArtifacts, client, instance, serverless
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.scripted import ScriptedLauncher
from tests.unit.endpoint.standins import Metered

pytestmark = pytest.mark.anyio


class _Life:
    def __init__(self, folder: Path, launcher: ScriptedLauncher | None = None) -> None:
        self.clock = ManualClock()
        self.launcher = (
            ScriptedLauncher(self.clock) if launcher is None else launcher.after_kill(self.clock)
        )
        settings = EmulatorSettings(state=folder)
        self.store = SqliteStore(folder / "state.sqlite3")
        self.fleet = EndpointFleet(
            store=self.store,
            launcher=self.launcher,
            clock=self.clock,
            meter=Metered(),
            settings=settings,
            plans=partial(plans_of, store=self.store, settings=settings, machine=MACHINE),
        )
        control = Control(
            store=self.store,
            fleet=self.fleet,
            clock=self.clock,
            settings=settings,
            machine=MACHINE,
            artifacts=FakeArtifacts(),
        )
        self.client = client(control)

    def given(self, config: str, *variants: dict[str, Any], model: str = "m") -> None:
        self.client.create_model(ModelName=model, PrimaryContainer={"Image": "image"})
        self.client.create_endpoint_config(
            EndpointConfigName=config, ProductionVariants=list(variants)
        )

    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_endpoint(EndpointName="e")
        return found

    async def end(self, *, stop_servers: bool) -> None:
        await self.fleet.close(stop_servers=stop_servers)
        self.store.close()


async def test_an_endpoint_s_life_as_boto3_sees_it(tmp_path: Path) -> None:
    life = _Life(tmp_path)
    life.given("one", instance(InitialInstanceCount=2))
    life.client.create_endpoint(EndpointName="e", EndpointConfigName="one")
    assert life.described()["EndpointStatus"] == "Creating"
    await life.clock.advance(1)
    assert life.described()["EndpointStatus"] == "InService"
    life.client.update_endpoint_weights_and_capacities(
        EndpointName="e",
        DesiredWeightsAndCapacities=[
            {"VariantName": "v", "DesiredWeight": 3, "DesiredInstanceCount": 3}
        ],
    )
    assert life.described()["EndpointStatus"] == "Updating"
    await life.clock.advance(1)
    [variant] = life.described()["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (3, 3.0)
    life.given("two", instance(ModelName="m2"), model="m2")
    life.launcher.refuse("v", "exit code 1")
    life.client.update_endpoint(EndpointName="e", EndpointConfigName="two")
    await life.clock.advance(1)
    found = life.described()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "one")
    assert "exit code 1" in found["FailureReason"]
    life.client.update_endpoint(
        EndpointName="e", EndpointConfigName="two", RetainAllVariantProperties=True
    )
    await life.clock.advance(1)
    found = life.described()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "two")
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    life.client.delete_endpoint(EndpointName="e")
    await life.clock.advance(0)
    assert not life.client.list_endpoints()["Endpoints"]
    assert not life.launcher.containers
    assert not life.store.servers()
    await life.end(stop_servers=True)


async def test_an_endpoint_outlives_the_emulator_and_what_it_was_made_from(tmp_path: Path) -> None:
    life = _Life(tmp_path)
    life.given("one", serverless(most=2))
    life.client.create_endpoint(EndpointName="e", EndpointConfigName="one")
    await life.clock.advance(1)
    life.client.update_endpoint_weights_and_capacities(
        EndpointName="e",
        DesiredWeightsAndCapacities=[
            {"VariantName": "v", "ServerlessUpdateConfig": {"MaxConcurrency": 7}}
        ],
    )
    await life.clock.advance(0)
    life.client.delete_endpoint_config(EndpointConfigName="one")
    life.client.delete_model(ModelName="m")
    await life.end(stop_servers=False)
    following = _Life(tmp_path, life.launcher)
    await following.fleet.start()
    await following.clock.advance(0)
    assert following.described()["EndpointStatus"] == "InService"
    live = following.fleet.live("e")
    assert live is not None
    [variant] = live.variants
    assert variant.pool.plan.max_concurrency == 7
    assert variant.pool.try_acquire() is not None
    assert not following.launcher.launched
    await following.end(stop_servers=True)
    assert not following.launcher.containers
