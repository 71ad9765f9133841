"""Configurations and models that are deleted, or made anew, behind an endpoint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.endpoint.records import EndpointRecord, Pin, Status
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.controlled import ARN, Plane, instance, serverless

WEIGHT = [{"VariantName": "v", "DesiredWeight": 2.0}]
DIGEST = f"sha256:{'ab' * 32}"


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Plane]:
    """An endpoint whose configuration is gone, and another configuration."""
    plane = Plane(tmp_path)
    plane.given_model()
    plane.given_config("old")
    plane.given_endpoint("e", "old")
    plane.given_config("new")
    plane.client.delete_endpoint_config(EndpointConfigName="old")
    yield plane
    plane.store.close()


def refusal(plane: Plane, config: str = "new") -> str:
    with pytest.raises(ClientError) as caught:
        plane.client.update_endpoint(EndpointName="e", EndpointConfigName=config)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


def described(plane: Plane) -> dict[str, Any]:
    found: dict[str, Any] = plane.client.describe_endpoint(EndpointName="e")
    return found


def resolved(plane: Plane, config: str) -> None:
    """As the deployment does it."""
    pin = Pin(image_id="sha256:1", resolved_image=f"image@{DIGEST}", resolved_at=1_800_000_600.0)

    def changed(row: EndpointRecord) -> EndpointRecord:
        known = replace(row.origins[config], pins={"v": pin})
        return replace(row, origins={**row.origins, config: known})

    plane.store.change_endpoint("e", changed)


@fidelity(
    "UpdateEndpoint",
    "An endpoint whose own configuration was deleted is not updated: the refusal names the old "
    "configuration, though the new one exists.",
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/issues/40048",
)
def test_an_update_is_refused_when_the_current_configuration_was_deleted(hosted: Plane) -> None:
    said = refusal(hosted)
    assert said.startswith(f'Could not find endpoint configuration "{ARN}:endpoint-config/old".')
    assert "The lab adds: " in said
    assert "Make one of that name again" in said
    assert described(hosted)["EndpointStatus"] == "InService"
    assert described(hosted)["EndpointConfigName"] == "old"


def test_making_one_of_that_name_again_lets_the_update_through(hosted: Plane) -> None:
    hosted.given_config("old", instance(InitialInstanceCount=3))
    hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="new")
    hosted.fleet.work()
    assert described(hosted)["EndpointConfigName"] == "new"


@fidelity(
    "DeleteEndpointConfig",
    "A configuration in use can be deleted, though the reference says that it must not be; its "
    "endpoint goes on, and can be described, scaled and deleted.",
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/issues/48997",
)
def test_an_endpoint_without_its_configuration_is_described_scaled_and_deleted(
    hosted: Plane,
) -> None:
    (variant,) = described(hosted)["ProductionVariants"]
    assert variant["DesiredInstanceCount"] == 1
    hosted.client.update_endpoint_weights_and_capacities(
        EndpointName="e", DesiredWeightsAndCapacities=WEIGHT
    )
    hosted.fleet.work()
    assert described(hosted)["ProductionVariants"][0]["CurrentWeight"] == 2.0
    hosted.client.delete_endpoint(EndpointName="e")


@fidelity(
    "Versions",
    "A configuration that is deleted and made anew with other content does not change an endpoint "
    "that uses it, and that endpoint cannot be updated to it: names are compared, not contents.",
    OURS,
    "AWS documents only that a configuration in use must not be deleted.",
)
def test_another_configuration_of_the_same_name_changes_nothing(hosted: Plane) -> None:
    hosted.given_config("old", instance("other", InitialInstanceCount=3))
    (variant,) = described(hosted)["ProductionVariants"]
    assert (variant["VariantName"], variant["DesiredInstanceCount"]) == ("v", 1)
    assert "currently in use" in refusal(hosted, "old")


@fidelity(
    "DeleteModel",
    "Only the entry goes: an endpoint that was made of the model lives on, and another model of "
    "the same name does not change it.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteModel.html",
)
def test_another_model_of_the_same_name_changes_nothing(hosted: Plane) -> None:
    hosted.client.delete_model(ModelName="m")
    hosted.client.create_model(ModelName="m", PrimaryContainer={"Image": "other"})
    (variant,) = described(hosted)["ProductionVariants"]
    assert variant["DeployedImages"][0]["SpecifiedImage"] == "image"


@fidelity(
    "Clients",
    "Terraform's order with create_before_destroy works: new configuration, update, old "
    "configuration deleted once the endpoint is in service.",
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/pull/42843",
)
def test_terraforms_order_of_calls_works_again_and_again(hosted: Plane) -> None:
    hosted.given_config("old")
    for before, after in (("old", "new"), ("new", "newer"), ("newer", "old")):
        if after == "newer":
            hosted.given_config("newer")
        if after == "old":
            hosted.given_config("old")
        hosted.client.update_endpoint(EndpointName="e", EndpointConfigName=after)
        hosted.fleet.work()
        assert described(hosted)["EndpointConfigName"] == after
        hosted.client.delete_endpoint_config(EndpointConfigName=before)


@fidelity(
    "DescribeEndpoint",
    "While it is created, an endpoint whose configuration is deleted is described all the same.",
    OURS,
    "AWS documents only that visibility of the instance type may be lost.",
)
@pytest.mark.parametrize("variant", [instance(), serverless()])
def test_a_configuration_deleted_while_its_endpoint_is_created(
    tmp_path: Path, variant: dict[str, Any]
) -> None:
    plane = Plane(tmp_path)
    plane.given_model()
    plane.given_config("c", variant)
    plane.client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    plane.client.delete_endpoint_config(EndpointConfigName="c")
    plane.client.delete_model(ModelName="m")
    (coming,) = described(plane)["PendingDeploymentSummary"]["ProductionVariants"]
    assert coming["VariantName"] == "v"
    plane.fleet.work()
    assert described(plane)["EndpointStatus"] == "InService"
    plane.store.close()


@fidelity(
    "DescribeEndpoint",
    "DeployedImages shows the image as it was asked for, what that was resolved to as "
    "REGISTRY/REPOSITORY@sha256:..., and when.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeployedImage.html",
)
def test_what_is_deployed_is_described_by_digest(hosted: Plane) -> None:
    resolved(hosted, "old")
    (image,) = described(hosted)["ProductionVariants"][0]["DeployedImages"]
    assert image["SpecifiedImage"] == "image"
    assert image["ResolvedImage"] == f"image@{DIGEST}"
    assert image["ResolutionTime"].timestamp() == 1_800_000_600.0


def test_what_is_not_resolved_yet_is_described_as_it_was_asked_for(hosted: Plane) -> None:
    hosted.given_config("old")
    hosted.client.update_endpoint(EndpointName="e", EndpointConfigName="new")
    (coming,) = described(hosted)["PendingDeploymentSummary"]["ProductionVariants"]
    assert coming["DeployedImages"] == [{"SpecifiedImage": "image"}]
    resolved(hosted, "new")
    (coming,) = described(hosted)["PendingDeploymentSummary"]["ProductionVariants"]
    assert coming["DeployedImages"][0]["ResolvedImage"] == f"image@{DIGEST}"


def test_each_deployment_resolves_anew_also_to_a_configuration_it_had_before(
    hosted: Plane,
) -> None:
    resolved(hosted, "old")
    hosted.given_config("old")
    for config in ("new", "old"):
        hosted.client.update_endpoint(EndpointName="e", EndpointConfigName=config)
        hosted.fleet.work()
    row = hosted.store.endpoint("e")
    assert row is not None
    assert row.status is Status.IN_SERVICE
    assert row.origins["old"].pins == {}
