"""What users of the SageMaker Python SDK 3 write: ``python sdk3.py STEP JSON``.

Where things are is told by the environment alone. Each step says as JSON what it was answered.
"""

import json
import sys
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError
from sagemaker.core.deserializers import JSONDeserializer
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.serializers import JSONSerializer
from sagemaker.core.shapes import (
    AsyncInferenceConfig,
    AsyncInferenceOutputConfig,
    ContainerDefinition,
    ProductionVariant,
)
from sagemaker.core.utils.exceptions import FailedStatusError

POLL_S = 1  # the least: the SDK counts whole seconds


def resources(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """The resources of `sagemaker-core`, from creation to deletion, one after the other."""
    endpoint = deployed(image, role, instance_type)
    seen = asked(endpoint, {"id": "core"})
    # The SDK's own invoke_with_response_stream (3.27) cannot read any stream.
    stream = boto3.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName=endpoint.endpoint_name, Body=json.dumps({"stream": ["a", "b"]})
    )
    streamed = [event["PayloadPart"]["Bytes"].decode() for event in stream["Body"]]
    second = configured(image, role, instance_type, NAME="second")
    endpoint.endpoint_config_name = second.endpoint_config_name
    endpoint.update()
    endpoint.wait_for_status("InService", poll=POLL_S)
    renamed = asked(endpoint, {})["name"]
    listed = [one.endpoint_name for one in Endpoint.get_all(name_contains=endpoint.endpoint_name)]
    endpoint.delete()
    endpoint.wait_for_delete(poll=POLL_S)
    return {
        "seen": seen,
        "streamed": "".join(streamed),
        "renamed": renamed,
        "listed": listed == [endpoint.endpoint_name],
        "left": gone(endpoint.endpoint_name),
    }


def serialized(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """An endpoint that serializes by itself."""
    endpoint = deployed(image, role, instance_type)
    endpoint.serializer, endpoint.deserializer = JSONSerializer(), JSONDeserializer()
    body = endpoint.invoke({"id": "serialized"}, content_type="application/json").body
    endpoint.delete()
    return {"seen": body}


def asynchronous(image: str, role: str, instance_type: str, bucket: str) -> dict[str, Any]:
    """A result and a failure, each found where the answer said."""
    where = f"s3://{bucket}/sdk3"
    endpoint = deployed(
        image,
        role,
        instance_type,
        async_inference_config=AsyncInferenceConfig(
            output_config=AsyncInferenceOutputConfig(
                s3_output_path=f"{where}/out", s3_failure_path=f"{where}/failed"
            )
        ),
    )
    s3 = boto3.client("s3")

    def invoked(body: dict[str, Any]) -> Any:
        key = f"sdk3/in/{uuid.uuid4()}"
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(body))
        return endpoint.invoke_async(
            input_location=f"s3://{bucket}/{key}", content_type="application/json"
        )

    def read(uri: str) -> str:
        place = uri.removeprefix("s3://").split("/", 1)
        at = {"Bucket": place[0], "Key": place[1]}
        s3.get_waiter("object_exists").wait(**at, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
        return str(s3.get_object(**at)["Body"].read().decode())

    output = read(invoked({"say": "result"}).output_location)
    failure = read(invoked({"status": 500, "say": "no"}).failure_location)
    endpoint.delete()
    return {"output": output, "failure": failure}


def failing(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """A container that ends at once: what waiting raises."""
    try:
        deployed(image, role, instance_type, FAIL="exit")
    except FailedStatusError as error:
        return {"said": str(error)}
    return {"said": ""}


def builder(image: str, role: str, instance_type: str, data: str) -> dict[str, Any]:
    """``ModelBuilder`` with an image of the user's, built and deployed."""
    from sagemaker.serve import ModelBuilder  # what most of the import's time goes into

    name = f"builder-{uuid.uuid4().hex[:8]}"
    one = ModelBuilder(
        image_uri=image,
        s3_model_data_url=data,
        role_arn=role,
        instance_type=instance_type,
        env_vars={"NAME": "built"},
    )
    model = one.build(model_name=name)
    endpoint = one.deploy(
        endpoint_name=name, instance_type=instance_type, initial_instance_count=1, wait=False
    )
    endpoint.wait_for_status("InService", poll=POLL_S)
    seen = asked(endpoint, {"id": "builder"})
    endpoint.delete()
    return {"model": model.model_name == name, "seen": seen}


def configured(image: str, role: str, instance_type: str, **env_and_more: Any) -> Any:
    """A model and an endpoint configuration of their own."""
    more = {key: value for key, value in env_and_more.items() if key.islower()}
    env = {key: value for key, value in env_and_more.items() if key.isupper()}
    name = f"core-{uuid.uuid4().hex[:8]}"
    Model.create(
        model_name=name,
        primary_container=ContainerDefinition(image=image, environment=env),
        execution_role_arn=role,
    )
    return EndpointConfig.create(
        endpoint_config_name=name,
        production_variants=[
            ProductionVariant(
                variant_name="AllTraffic",
                model_name=name,
                instance_type=instance_type,
                initial_instance_count=1,
            )
        ],
        **more,
    )


def deployed(image: str, role: str, instance_type: str, **more: Any) -> Any:
    """An endpoint in service."""
    config = configured(image, role, instance_type, **more)
    endpoint = Endpoint.create(
        endpoint_name=config.endpoint_config_name,
        endpoint_config_name=config.endpoint_config_name,
    )
    endpoint.wait_for_status("InService", poll=POLL_S)
    return endpoint


def asked(endpoint: Any, body: dict[str, Any]) -> Any:
    """What the container says it got."""
    answer = endpoint.invoke(body=json.dumps(body), content_type="application/json")
    return json.loads(answer.body.read())


def gone(name: str) -> str:
    """What asking for a deleted endpoint says."""
    try:
        Endpoint.get(endpoint_name=name)
    except ClientError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    step: Callable[..., dict[str, Any]] = globals()[sys.argv[1]]
    print("\n" + json.dumps(step(**json.loads(sys.argv[2])), default=str))
