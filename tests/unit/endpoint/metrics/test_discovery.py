"""The document that Prometheus finds the model containers by."""

from dataclasses import replace
from typing import Any

import pytest

from lab.endpoint.live import LiveVariant
from lab.endpoint.metrics.discovery import targets
from lab.endpoint.records import EndpointKind, Origin, Resource
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.standins import FakeFleet, FakePool, add_endpoint, live, plan, server


def config(**body: Any) -> Resource:
    return Resource(name="e-config", arn="arn", created_at=0.0, body=body)


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


def test_every_container_is_a_target_with_its_model(fleet: FakeFleet, store: SqliteStore) -> None:
    one = fleet.add(live(kind=EndpointKind.SERVERLESS, servers=[server("a"), server("b")]))
    shadow = FakePool(plan=plan(name="w", shadow=True), servers=[server("c", variant="w")])
    shadow.servers[0].address = ("fd00::1", 8080)
    one.shadows = [LiveVariant(name="w", pool=shadow, weight=1.0)]
    add_endpoint(store, "e")
    store.put(
        "config",
        config(
            ProductionVariants=[{"VariantName": "v", "ModelName": "m1"}],
            ShadowProductionVariants=[{"VariantName": "w", "ModelName": "m2"}],
        ),
    )
    found = targets(fleet, store)
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


def test_an_endpoint_whose_configuration_was_deleted_is_still_found(
    fleet: FakeFleet, store: SqliteStore
) -> None:
    fleet.add(live())
    row = add_endpoint(store, "e")
    (found,) = targets(fleet, store)
    assert found["labels"]["model"] == ""
    variants = {"ProductionVariants": [{"VariantName": "v", "ModelName": "m"}]}
    origins = {row.config_name: Origin(config=config(**variants), models={}, tags={})}
    store.change_endpoint("e", lambda row: replace(row, origins=origins))
    (found,) = targets(fleet, store)
    assert found["labels"]["model"] == "m"


def test_without_endpoints_the_document_is_empty(fleet: FakeFleet, store: SqliteStore) -> None:
    assert targets(fleet, store) == []
