"""boto3's waiters and paginators, and the orders in which deployment tools call."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.docker.endpoint.site import Site, answered, realtime
from tests.fidelity import DOCUMENTED, SEEN, fidelity


@fidelity(
    "Clients",
    "boto3's waiters see an endpoint come into service and go, and its paginators find it.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/boto3/latest/reference/services/sagemaker/waiter/"
    "EndpointInService.html",
)
def test_boto3_waits_for_an_endpoint_and_finds_it(site: Site) -> None:
    name = site.endpoint(site.config(realtime(site.model())), wait=False)
    waiter = {"Delay": 1, "MaxAttempts": 300}
    site.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=waiter)
    pages = site.sagemaker.get_paginator("list_endpoints").paginate(
        NameContains=name, StatusEquals="InService"
    )
    assert [row["EndpointName"] for page in pages for row in page["Endpoints"]] == [name]
    site.sagemaker.delete_endpoint(EndpointName=name)
    site.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=waiter)


@pytest.mark.long
@fidelity(
    "Clients",
    "boto3's waiter for an endpoint in service ends at once where it failed or is not there, with "
    "the description or the refusal as its last response.",
    DOCUMENTED,
    "botocore: waiters-2.json EndpointInService",
)
def test_a_waiter_ends_at_once_where_it_waits_in_vain(site: Site) -> None:
    name = site.endpoint(site.config(realtime(site.model(env={"FAIL": "exit"}))), wait=False)
    with pytest.raises(WaiterError) as failed:
        site.wait(name)
    assert failed.value.last_response["EndpointStatus"] == "Failed"
    assert "no such file: weights.bin" in failed.value.last_response["FailureReason"]
    site.delete(name)
    with pytest.raises(WaiterError) as absent:
        site.wait(name)
    assert absent.value.last_response["Error"]["Code"] == "ValidationException"


@pytest.mark.long
@fidelity(
    "Clients",
    "boto3's paginators of models, configurations, endpoints and tags give every row once, "
    "whatever the page size, the filters and the order.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/boto3/latest/guide/paginators.html",
)
@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
def test_every_list_is_paged_whole(site: Site, size: int, order: str) -> None:
    mark = uuid.uuid4().hex[:8]
    model = site.model()
    made = [f"{mark}-{number}" for number in range(5)]
    variants = [realtime(model)]
    tags = [{"Key": name, "Value": "x"} for name in made]
    for name in made:
        site.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=variants, Tags=tags
        )
    config = site.sagemaker.describe_endpoint_config(EndpointConfigName=made[0])

    def listed(operation: str, member: str, size: int = size, **asked: Any) -> list[Any]:
        pages = site.sagemaker.get_paginator(operation).paginate(
            **asked, PaginationConfig={"PageSize": size}
        )
        return [row for page in pages for row in page[member]]

    for sort in ("Name", "CreationTime"):
        rows = listed(
            "list_endpoint_configs",
            "EndpointConfigs",
            NameContains=mark,
            SortBy=sort,
            SortOrder=order,
        )
        names = [row["EndpointConfigName"] for row in rows]
        assert names == (made if order == "Ascending" else made[::-1])
    found = listed("list_tags", "Tags", 50, ResourceArn=config["EndpointConfigArn"])  # the least
    assert sorted(tag["Key"] for tag in found) == made
    models = listed("list_models", "Models", NameContains=model, SortOrder=order)
    assert [row["ModelName"] for row in models] == [model]


@pytest.mark.long
@fidelity(
    "Clients",
    "The CreationTime of a row, given back as a filter, finds that row.",
    DOCUMENTED,
    "botocore: ListModelsInput.CreationTimeAfter",
)
def test_a_row_s_own_time_finds_it(site: Site) -> None:
    name = site.model()
    at = site.sagemaker.describe_model(ModelName=name)["CreationTime"]
    found = site.sagemaker.list_models(
        NameContains=name,
        CreationTimeAfter=at,
        CreationTimeBefore=at + timedelta(milliseconds=1),
    )
    assert [row["ModelName"] for row in found["Models"]] == [name]


@pytest.mark.long
@fidelity(
    "Clients",
    "What is missing is named by its ARN, in every operation that names it, and nothing else is "
    "changed.",
    SEEN,
    "https://github.com/getmoto/moto/blob/master/tests/test_sagemaker/test_sagemaker_endpoint.py",
)
def test_what_is_missing_is_named_as_another_emulator_s_suite_expects(site: Site) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    endpoint = site.endpoint(site.config(realtime(site.model(), name="only")))
    before = _told(site, endpoint)

    def refused(operation: str, **asked: Any) -> str:
        with pytest.raises(ClientError) as error:
            getattr(site.sagemaker, operation)(**asked)
        assert error.value.response["Error"]["Code"] == "ValidationException"
        return str(error.value.response["Error"]["Message"])

    config = f'Could not find endpoint configuration "{arn}:endpoint-config/gone".'
    missing = f'Could not find endpoint "{arn}:endpoint/gone".'
    weight = [{"VariantName": "other", "DesiredWeight": 1.5}]
    assert refused(
        "create_endpoint_config", EndpointConfigName="x", ProductionVariants=[realtime("gone")]
    ).startswith(f'Could not find model "{arn}:model/gone"')
    assert refused("create_endpoint", EndpointName="x", EndpointConfigName="gone") == config
    assert refused("update_endpoint", EndpointName=endpoint, EndpointConfigName="gone") == config
    assert refused("describe_endpoint_config", EndpointConfigName="gone") == config
    assert refused("delete_endpoint_config", EndpointConfigName="gone") == config
    assert refused("delete_endpoint", EndpointName="gone") == missing
    weigh = "update_endpoint_weights_and_capacities"
    assert refused(weigh, EndpointName="gone", DesiredWeightsAndCapacities=weight) == missing
    said = refused(weigh, EndpointName=endpoint, DesiredWeightsAndCapacities=weight)
    assert said.startswith('The variant name(s) "other" is/are not present within')
    assert _told(site, endpoint) == before
    site.delete(endpoint)


@pytest.mark.long
@fidelity(
    "Clients",
    "In CloudFormation's order a stack is made, updated by replacements that are cleaned up last, "
    "and deleted; what one step deleted is missed by none after it.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
    "using-cfn-updating-stacks-update-behaviors.html",
)
def test_a_stack_lives_in_cloudformation_s_order(site: Site) -> None:
    one = site.model(env={"NAME": "one"})
    first = site.config(realtime(one))
    endpoint = site.endpoint(first)
    two = site.model(env={"NAME": "two"})
    second = site.config(realtime(two))
    site.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=second)
    assert site.settled(endpoint)["EndpointConfigName"] == second
    site.sagemaker.delete_endpoint_config(EndpointConfigName=first)  # the clean-up
    site.sagemaker.delete_model(ModelName=one)
    assert answered(site.invoke(endpoint))["name"] == "two"
    site.sagemaker.delete_endpoint(EndpointName=endpoint)
    site.wait(endpoint, "endpoint_deleted")
    site.sagemaker.delete_endpoint_config(EndpointConfigName=second)
    site.sagemaker.delete_model(ModelName=two)


@pytest.mark.long
@fidelity(
    "Clients",
    "A configuration and a model may be deleted while their endpoint is being deleted: Terraform "
    "does, for which an endpoint is gone as soon as it is Deleting.",
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sagemaker/"
    "endpoint.go",
)
def test_a_configuration_goes_while_its_endpoint_is_being_deleted(site: Site) -> None:
    model = site.model()
    config = site.config(realtime(model))
    endpoint = site.endpoint(config)
    site.sagemaker.delete_endpoint(EndpointName=endpoint)
    site.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    site.sagemaker.delete_model(ModelName=model)
    site.wait(endpoint, "endpoint_deleted")


def _told(site: Site, endpoint: str) -> Any:
    return {key: value for key, value in site.describe(endpoint).items() if key[0] != "R"}
