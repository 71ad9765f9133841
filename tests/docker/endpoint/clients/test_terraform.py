"""Terraform with the provider of AWS's, unmodified, from `apply` to `destroy`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docker.endpoint.clients.conftest import Terraform
from tests.docker.endpoint.site import Site, answered
from tests.fidelity import DOCUMENTED, fidelity


@pytest.fixture(name="terraform")
def _terraform(user: Mapping[str, str], obedient: str, tmp_path: Path) -> Terraform:
    return Terraform(tmp_path / "terraform", user, obedient)


@fidelity(
    "Clients",
    "Terraform makes a model, a configuration and an endpoint, finds them again as it wrote them, "
    "and destroys them in the reverse order.",
    DOCUMENTED,
    "https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/sagemaker_endpoint",
)
def test_terraform_finds_what_it_applied_unchanged(site: Site, terraform: Terraform) -> None:
    made = terraform.apply()
    assert answered(site.invoke(made["name"]))["name"] == "first"
    assert terraform.drift() == ""
    terraform.destroy()
    site.wait(made["name"], "endpoint_deleted")
    assert not set(made.values()) & _left(site)


@pytest.mark.long
@fidelity(
    "Clients",
    "Terraform updates an endpoint by a second configuration and deletes the first after it.",
    DOCUMENTED,
    "https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/sagemaker_endpoint_configuration",
)
def test_terraform_updates_by_a_new_configuration_and_then_deletes_the_old_one(
    site: Site, terraform: Terraform
) -> None:
    old = terraform.apply()
    new = terraform.apply(name="second", instances=2)
    assert new["name"] == old["name"]
    seen = site.describe(new["name"])
    assert (seen["EndpointStatus"], seen["EndpointConfigName"]) == ("InService", new["config"])
    assert seen["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert answered(site.invoke(new["name"]))["name"] == "second"
    assert not {old["config"], old["model"]} & _left(site)
    assert terraform.drift() == ""
    terraform.destroy()


@pytest.mark.long
@fidelity(
    "Clients",
    "Terraform finds an asynchronous endpoint unchanged, its client's and its output's settings "
    "included.",
    DOCUMENTED,
    "https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/sagemaker_endpoint_configuration",
)
def test_terraform_finds_an_asynchronous_endpoint_unchanged(terraform: Terraform) -> None:
    terraform.apply(asynchronous=True)
    assert terraform.drift() == ""
    terraform.destroy()


def _left(site: Site) -> set[str]:
    """The names of all that there is."""
    lists = {
        "list_models": ("Models", "ModelName"),
        "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName"),
        "list_endpoints": ("Endpoints", "EndpointName"),
    }
    return {
        row[name]
        for operation, (key, name) in lists.items()
        for page in site.sagemaker.get_paginator(operation).paginate()
        for row in page[key]
    }
