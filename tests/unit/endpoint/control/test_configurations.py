"""Endpoint configurations as they are told of."""

from tests.fidelity import DOCUMENTED, fidelity
from tests.unit.endpoint.controlled import Plane, instance


@fidelity(
    "DescribeEndpointConfig",
    "A configuration is described as it was made; a variant without a weight has 1.",
    DOCUMENTED,
    "botocore: ProductionVariant.InitialVariantWeight",
)
def test_a_configuration_is_described_as_it_was_made(plane: Plane) -> None:
    plane.given_model()
    plane.given_config("c", instance("heavy", InitialVariantWeight=3.0), instance("light"))
    found = plane.client.describe_endpoint_config(EndpointConfigName="c")["ProductionVariants"]
    assert [(one["VariantName"], one["InitialVariantWeight"]) for one in found] == [
        ("heavy", 3.0),
        ("light", 1.0),
    ]


@fidelity(
    "ListEndpointConfigs",
    "Configurations are listed newest first, a page of MaxResults at a time, and found by a part "
    "of their name.",
    DOCUMENTED,
    "botocore: ListEndpointConfigsInput",
)
def test_configurations_are_listed_a_page_at_a_time(plane: Plane) -> None:
    plane.given_model()
    for name in ("spring", "summer", "autumn"):
        plane.given_config(name)
    pages = plane.client.get_paginator("list_endpoint_configs").paginate(
        NameContains="m", PaginationConfig={"PageSize": 1}
    )
    found = [[row["EndpointConfigName"] for row in page["EndpointConfigs"]] for page in pages]
    assert sorted(found) == [["autumn"], ["summer"]]
