"""The document that Prometheus finds the model containers by."""

from dataclasses import replace
from typing import Any, cast

from lab.endpoint.live import LiveVariant, Pool
from lab.endpoint.metrics.discovery import Discovery
from lab.endpoint.records import EndpointKind, Resource
from tests.unit.endpoint.standins import FakeFleet, FakePool, FakeStore, live, plan, server


def config(**body: Any) -> Resource:
    return Resource(name="e-config", arn="arn", created_at=0.0, body=body)


def test_every_container_is_a_target_with_its_model() -> None:
    fleet, store = FakeFleet(), FakeStore()
    one = fleet.add(live(kind=EndpointKind.SERVERLESS, servers=[server("a"), server("b")]))
    shadow = FakePool(plan=plan(name="w", shadow=True), servers=[server("c", variant="w")])
    shadow.servers[0].address = ("fd00::1", 8080)
    one.shadows = [LiveVariant(name="w", pool=cast("Pool", shadow), weight=1.0)]
    store.add_endpoint_named("e")
    store.made["e-config"] = config(
        ProductionVariants=[{"VariantName": "v", "ModelName": "m1"}],
        ShadowProductionVariants=[{"VariantName": "w", "ModelName": "m2"}],
    )
    found = Discovery(fleet=fleet.as_fleet, store=store.as_store).targets()
    assert found == [
        {
            "targets": [address],
            "labels": {
                "endpoint": "e",
                "variant": variant,
                "server": name,
                "model": model,
                "kind": "serverless",
            },
        }
        for address, variant, name, model in [
            ("10.0.0.1:8080", "v", "a", "m1"),
            ("10.0.0.1:8080", "v", "b", "m1"),
            ("[fd00::1]:8080", "w", "c", "m2"),
        ]
    ]


def test_an_endpoint_whose_configuration_was_deleted_is_still_found() -> None:
    fleet, store = FakeFleet(), FakeStore()
    fleet.add(live())
    store.add_endpoint_named("e")
    (found,) = Discovery(fleet=fleet.as_fleet, store=store.as_store).targets()
    assert found["labels"]["model"] == ""
    variants = {"ProductionVariants": [{"VariantName": "v", "ModelName": "m"}]}
    row = store.lives["e"]
    origins = {row.config_name: {"config": {"body": variants}}}
    store.lives["e"] = replace(row, origins=origins)
    (found,) = Discovery(fleet=fleet.as_fleet, store=store.as_store).targets()
    assert found["labels"]["model"] == "m"


def test_without_endpoints_the_document_is_empty() -> None:
    assert Discovery(fleet=FakeFleet().as_fleet, store=FakeStore().as_store).targets() == []
