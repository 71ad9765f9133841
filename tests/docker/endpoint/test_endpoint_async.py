"""InvokeEndpointAsync as boto3 sees it: S3 in, S3 out, and a queue that survives a kill."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from lab.engine.docker.engine import DockerEngine
from tests.docker.endpoint.site import BUCKET, INSTANCE_TYPE, Beside, Emulator, Site
from tests.timing import wait_until

pytestmark = pytest.mark.docker


def asynchronous(site: Site, *, at_once: int = 2, output: Mapping[str, Any] | None = None) -> str:
    """An asynchronous endpoint in service."""
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": site.model(),
        "InstanceType": INSTANCE_TYPE,
        "InitialInstanceCount": 1,
    }
    config = site.config(
        variant,
        AsyncInferenceConfig={
            "OutputConfig": output
            or {"S3OutputPath": f"s3://{BUCKET}/out", "S3FailurePath": f"s3://{BUCKET}/failures"},
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": at_once},
        },
    )
    return site.endpoint(config)


def upload(site: Site, order: Mapping[str, Any]) -> str:
    key = f"in/{time.time_ns()}"
    body = json.dumps(order).encode()
    site.s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="application/json")
    return f"s3://{BUCKET}/{key}"


def read(site: Site, uri: str) -> bytes:
    """The object, as soon as it is there."""
    key = uri.removeprefix(f"s3://{BUCKET}/")
    answer = wait_until(
        lambda: site.s3.get_object(Bucket=BUCKET, Key=key),
        despite=site.s3.exceptions.NoSuchKey,
        otherwise=lambda: f"{uri} did not come; {site.emulator.log}",
    )
    return bytes(answer["Body"].read())


@pytest.fixture(scope="module")
def endpoint(site: Site) -> Iterator[str]:
    name = asynchronous(site)
    yield name
    site.sagemaker.delete_endpoint(EndpointName=name)


def test_an_input_in_s3_becomes_a_result_in_s3(site: Site, endpoint: str) -> None:
    reply = site.runtime.invoke_endpoint_async(
        EndpointName=endpoint,
        InputLocation=upload(site, {"id": "first"}),
        ContentType="application/json",
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="mine",
    )
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert reply["InferenceId"] == "mine"
    assert reply["FailureLocation"].startswith(f"s3://{BUCKET}/failures/")
    result = json.loads(read(site, reply["OutputLocation"]))
    assert result["id"] == "first"
    headers = result["headers"]
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "mine"


def test_a_body_in_the_call_needs_no_input_in_s3(site: Site, endpoint: str) -> None:
    reply = site.runtime.invoke_endpoint_async(
        EndpointName=endpoint, Body=b'{"say": "inline"}', Filename="named.txt"
    )
    assert reply["OutputLocation"] == f"s3://{BUCKET}/out/named.txt"
    assert read(site, reply["OutputLocation"]) == b"inline"


def test_a_models_error_is_found_at_the_failure_location(site: Site, endpoint: str) -> None:
    reply = site.runtime.invoke_endpoint_async(
        EndpointName=endpoint, InputLocation=upload(site, {"status": 500, "say": "boom"})
    )
    text = read(site, reply["FailureLocation"]).decode()
    assert 'Received server error (500) from primary with message "boom"' in text


def test_a_request_that_takes_too_long_is_a_failure(site: Site, endpoint: str) -> None:
    reply = site.runtime.invoke_endpoint_async(
        EndpointName=endpoint,
        InputLocation=upload(site, {"hang": 1}),
        InvocationTimeoutSeconds=1,
    )
    assert b"timed out while waiting" in read(site, reply["FailureLocation"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"Body": b"x", "InputLocation": f"s3://{BUCKET}/in"},
        {"Body": b"x" * 128_001},
        {"Body": b"x", "RequestTTLSeconds": 21_601},
        {"Body": b"x", "InvocationTimeoutSeconds": 3601},
        {"Body": b"x", "Filename": "two.dots.txt"},
    ],
)
def test_what_aws_refuses_is_refused(
    site: Site, endpoint: str, arguments: Mapping[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        site.runtime.invoke_endpoint_async(EndpointName=endpoint, **arguments)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_an_asynchronous_endpoint_takes_no_other_calls(site: Site, endpoint: str) -> None:
    with pytest.raises(ClientError, match="asynchronous") as caught:
        site.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}")
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_a_container_gets_no_more_at_a_time_than_configured(
    site: Site, engine: DockerEngine
) -> None:
    name = asynchronous(site, at_once=2)
    beside = Beside(engine, name)
    gates = [f"gate-{number}" for number in range(8)]
    replies = [
        site.runtime.invoke_endpoint_async(
            EndpointName=name, InputLocation=upload(site, {"id": number, "hold": gate})
        )
        for number, gate in enumerate(gates)
    ]
    for number, gate in enumerate(gates):
        beside.until_held(*gates[number : number + 2])
        beside.open(gate)
    results = [json.loads(read(site, reply["OutputLocation"])) for reply in replies]
    assert [result["id"] for result in results] == list(range(8))
    assert max(result["most_at_once"] for result in results) == 2
    assert max(result["count"] for result in results) == 8
    site.sagemaker.delete_endpoint(EndpointName=name)


def test_the_metrics_have_cloudwatchs_dimension_only(site: Site, endpoint: str) -> None:
    reply = site.runtime.invoke_endpoint_async(EndpointName=endpoint, Body=b"{}")
    read(site, reply["OutputLocation"])

    def idle() -> dict[str, float] | None:
        page = httpx.get(f"{site.emulator.url}/metrics").text
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.labels == {"endpoint": endpoint}
        }
        return values if values.get("sagemaker_async_approximate_backlog_size") == 0 else None

    values = wait_until(idle)
    assert values["sagemaker_async_invocations_processed_total"] >= 1
    assert values["sagemaker_async_total_processing_time_seconds_count"] >= 1


def test_a_killed_emulator_goes_on_with_what_it_had_accepted(
    site: Site, emulator: Emulator, engine: DockerEngine
) -> None:
    name = asynchronous(site, at_once=1)
    beside = Beside(engine, name)
    orders = [{"id": number, **({"hold": "kill"} if number else {})} for number in range(6)]
    replies = [
        site.runtime.invoke_endpoint_async(EndpointName=name, InputLocation=upload(site, order))
        for order in orders
    ]
    read(site, replies[0]["OutputLocation"])
    beside.until_held("kill")
    emulator.kill()
    emulator.start()
    beside.open("kill")
    for number, reply in enumerate(replies):
        assert json.loads(read(site, reply["OutputLocation"]))["id"] == number
    site.sagemaker.delete_endpoint(EndpointName=name)
