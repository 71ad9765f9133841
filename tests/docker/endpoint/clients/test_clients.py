"""Each client once, unmodified: what its users call most. All else is in the other ring."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docker.endpoint.clients.conftest import Run, aws
from tests.docker.endpoint.site import ACCOUNT, INSTANCE_TYPE, REGION, Site, realtime
from tests.fidelity import DOCUMENTED, fidelity


@fidelity(
    "Clients",
    "The SageMaker Python SDK 2 deploys a model, predicts with it and deletes both.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/v2/overview.html",
)
def test_sdk_2_deploys_and_predicts(sdk2: Run) -> None:
    said = sdk2("predict", instance_type=INSTANCE_TYPE)
    assert said["seen"]["id"] == "sdk2"
    assert said["bucket"] == f"sagemaker-{REGION}-{ACCOUNT}"


@fidelity(
    "Clients",
    "The SageMaker Python SDK 3 makes a model, a configuration and an endpoint as resources, "
    "waits for them, invokes, updates and deletes them.",
    DOCUMENTED,
    "https://sagemaker.readthedocs.io/en/stable/",
)
def test_sdk_3_goes_from_creation_to_deletion(sdk3: Run) -> None:
    said = sdk3("resources", instance_type=INSTANCE_TYPE)
    assert said["seen"]["id"] == "core"
    assert (said["streamed"], said["renamed"], said["listed"]) == ("ab", "second", True)
    assert 'Could not find endpoint "arn:aws:sagemaker:' in said["left"]


@fidelity(
    "Clients",
    "The AWS command line, version 1 and 2, invokes an endpoint with a file as its body and "
    "writes the answer to a file.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/cli/latest/reference/sagemaker-runtime/invoke-endpoint.html",
)
@pytest.mark.parametrize("version", ["version 1", "version 2"])
def test_the_aws_command_line_invokes(
    site: Site, user: Mapping[str, str], version: str, tmp_path: Path
) -> None:
    command = aws(version, user)
    name = site.endpoint(site.config(realtime(site.model())))
    (tmp_path / "body").write_bytes(b'{"id": "file"}')
    told = command(
        *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", name),
        *("--body", f"fileb://{tmp_path}/body", "--content-type", "application/json"),
        tmp_path / "answer",
    )
    assert told == {"ContentType": "application/json", "InvokedProductionVariant": "AllTraffic"}
    assert json.loads((tmp_path / "answer").read_text())["id"] == "file"
    site.delete(name)
