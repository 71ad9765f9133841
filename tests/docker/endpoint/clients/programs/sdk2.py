"""What users of the SageMaker Python SDK 2 write: ``python sdk2.py STEP JSON``.

Where things are is told by the environment alone. Each step says as JSON what it was answered.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
import numpy as np
import sagemaker
from botocore.exceptions import ClientError
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import BytesDeserializer, JSONDeserializer, StringDeserializer
from sagemaker.exceptions import AsyncInferenceModelError
from sagemaker.model import Model
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.pipeline import PipelineModel
from sagemaker.predictor import Predictor
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import (
    CSVSerializer,
    IdentitySerializer,
    JSONLinesSerializer,
    JSONSerializer,
    NumpySerializer,
)
from sagemaker.serverless import ServerlessInferenceConfig
from sagemaker.utils import sts_regional_endpoint

POLL_S = 0.2


def predict(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """Deploy and predict, the shortest way."""
    session = sagemaker.Session()
    predictor = deployed(session, image, role, instance_type=instance_type)
    seen = predictor.predict({"id": "sdk2"})
    predictor.delete_model()
    predictor.delete_endpoint()
    return {"bucket": session.default_bucket(), "seen": seen}


def serializers(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """One payload by each of them: what the container says it got, and what comes back as what."""
    session = sagemaker.Session()
    predictor = deployed(session, image, role, instance_type=instance_type)
    got = {}
    rows = [[1, 2], [3, 4]]
    for serializer, data in (
        (JSONSerializer(), {"id": "json"}),
        (JSONLinesSerializer(), [{"a": 1}, {"a": 2}]),
        (CSVSerializer(), rows),
        (NumpySerializer(), np.array(rows)),
        (IdentitySerializer(content_type="image/jpeg"), b"\xff\xd8\xff"),
    ):
        predictor.serializer = serializer
        got[type(serializer).__name__] = predictor.predict(data)
    predictor.serializer = JSONSerializer()
    predictor.deserializer = StringDeserializer()
    text = predictor.predict({"say": "words"})
    predictor.deserializer = BytesDeserializer()
    raw = predictor.predict({"say": "bytes"})
    predictor.deserializer = JSONDeserializer()
    named = predictor.predict(
        {"id": "named"},
        initial_args={"CustomAttributes": "trace=1"},
        target_variant="AllTraffic",
        inference_id="mine",
    )
    predictor.delete_endpoint(delete_endpoint_config=True)
    return {"got": got, "text": text, "raw": raw.decode(), "named": named}


def asynchronous(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """Results, failures, and what is asked for before it is there."""
    session = sagemaker.Session()
    predictor = deployed(
        session,
        image,
        role,
        instance_type=instance_type,
        async_inference_config=AsyncInferenceConfig(max_concurrent_invocations_per_instance=2),
    )
    patience = WaiterConfig(delay=1, max_attempts=120)
    waited = predictor.predict({"id": "waited"}, waiter_config=patience)
    answer = predictor.predict_async({"id": "later"})
    later = answer.get_result(patience)
    predictor.deserializer = StringDeserializer()  # it is asked to read failures, too
    try:
        predictor.predict({"status": 500, "say": "no"}, waiter_config=patience)
    except AsyncInferenceModelError as error:
        failed = str(error)
    else:
        failed = ""
    predictor.delete_model()
    predictor.delete_endpoint()
    return {"waited": waited, "later": later, "output": answer.output_path, "failed": failed}


def serverless(image: str, role: str) -> dict[str, Any]:
    """Serverless, with the SDK's own defaults for memory and concurrency."""
    session = sagemaker.Session()
    predictor = deployed(
        session, image, role, serverless_inference_config=ServerlessInferenceConfig()
    )
    seen = predictor.predict({"id": "serverless"})
    config = described(session, predictor.endpoint_name)["ProductionVariants"][0]
    predictor.delete_endpoint()
    return {"seen": seen, "config": config["CurrentServerlessConfig"]}


def capture(image: str, role: str, instance_type: str, bucket: str) -> dict[str, Any]:
    """Predictions, captured, and read again once the file is there."""
    session = sagemaker.Session()
    where = f"s3://{bucket}/captured"
    predictor = deployed(
        session,
        image,
        role,
        instance_type=instance_type,
        data_capture_config=DataCaptureConfig(
            enable_capture=True, sampling_percentage=100, destination_s3_uri=where
        ),
    )
    predictor.predict({"say": '{"grade": 1}'}, inference_id="captured-1")
    name = predictor.endpoint_name
    while not (files := S3Downloader.list(f"{where}/{name}")):
        time.sleep(5)
    predictor.delete_endpoint()
    return {
        "endpoint": name,
        "files": files,
        "lines": [
            json.loads(line) for file in files for line in S3Downloader.read_file(file).splitlines()
        ],
    }


def update(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """Another model and another number of instances behind the same predictor."""
    session = sagemaker.Session()
    predictor = deployed(session, image, role, instance_type=instance_type)
    before = predictor.predict({})["name"]
    second = Model(image_uri=image, role=role, env={"NAME": "second"}, sagemaker_session=session)
    session.create_model(
        name="sdk2-second",
        role=role,
        container_defs=second.prepare_container_def(instance_type),
    )
    predictor.update_endpoint(
        initial_instance_count=2,
        instance_type=instance_type,
        model_name="sdk2-second",
        wait=False,
    )
    session.wait_for_endpoint(predictor.endpoint_name, poll=POLL_S)
    after = predictor.predict({})["name"]
    count = described(session, predictor.endpoint_name)["ProductionVariants"][0]
    attached = Predictor(
        predictor.endpoint_name,
        sagemaker_session=session,
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
    )
    again = attached.predict({})["name"]
    attached.delete_endpoint()
    return {
        "names": [before, after, again],
        "instances": count["CurrentInstanceCount"],
    }


def archive(image: str, role: str, instance_type: str, folder: str) -> dict[str, Any]:
    """Model data, uploaded to the default bucket and found in the container."""
    session = sagemaker.Session()
    data = session.upload_data(f"{folder}/model.tar.gz", key_prefix="sdk2/model")
    predictor = deployed(session, image, role, instance_type=instance_type, model_data=data)
    seen = predictor.predict({})
    predictor.delete_model()
    predictor.delete_endpoint()
    return {"data": data, "seen": seen}


def failing(image: str, role: str, instance_type: str) -> dict[str, Any]:
    """A container that ends at once: what ``deploy`` raises."""
    try:
        deployed(
            sagemaker.Session(), image, role, instance_type=instance_type, env={"FAIL": "exit"}
        )
    except sagemaker.exceptions.UnexpectedStatusException as error:
        return {"status": error.actual_status, "said": str(error)}
    return {"status": "InService", "said": ""}


def options(image: str, role: str, instance_type: str, bucket: str) -> dict[str, Any]:
    """What ``deploy`` takes besides, and capture switched on and off by the predictor."""
    session = sagemaker.Session()
    predictor = deployed(
        session,
        image,
        role,
        instance_type=instance_type,
        tags=[{"Key": "team", "Value": "lab"}],
        volume_size=30,
        model_data_download_timeout=600,
        container_startup_health_check_timeout=600,
    )
    config = current(session, predictor)["ProductionVariants"][0]
    predictor.update_data_capture_config(
        DataCaptureConfig(enable_capture=True, destination_s3_uri=f"s3://{bucket}/options")
    )
    on = current(session, predictor)["DataCaptureConfig"]["EnableCapture"]
    predictor.disable_data_capture()
    off = current(session, predictor)["DataCaptureConfig"]["EnableCapture"]
    arn = described(session, predictor.endpoint_name)["EndpointArn"]
    tags = session.sagemaker_client.list_tags(ResourceArn=arn)["Tags"]
    predictor.delete_endpoint()
    return {"variant": config, "capture": [on, off], "tags": tags}


def refused(image: str, role: str, instance_type: str, bucket: str) -> dict[str, Any]:
    """What the emulator does not do: which call says so, and how."""
    session = sagemaker.Session()
    plain = {"image_uri": image, "role": role, "sagemaker_session": session}
    many = MultiDataModel("sdk2-many", f"s3://{bucket}/many/", **plain)
    chain = PipelineModel([Model(**plain), Model(**plain)], role, sagemaker_session=session)
    private = Model(**plain, vpc_config={"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]})
    at = {"initial_instance_count": 1, "instance_type": instance_type, "wait": False}
    attempts: dict[str, Callable[[], Any]] = {
        "several models": lambda: many.deploy(**at),
        "several containers": lambda: chain.deploy(**at),
        "a VPC": lambda: private.deploy(**at),
        "a key": lambda: Model(**plain).deploy(**at, kms_key="alias/mine"),
        "a GPU": lambda: Model(**plain).deploy(**{**at, "instance_type": "ml.g5.xlarge"}),
    }
    said = {}
    for what, attempt in attempts.items():
        try:
            attempt()
        except ClientError as error:
            said[what] = {"operation": error.operation_name, **error.response["Error"]}
        else:
            said[what] = {}
    return said


def account(image: str, role: str) -> dict[str, Any]:
    """Where the SDK asks for the account, and what boto3 is told of it."""
    return {
        "asked": sts_regional_endpoint(boto3.Session().region_name),
        "boto3": boto3.client("sts").get_caller_identity()["Account"],
    }


def deployed(
    session: Any,
    image: str,
    role: str,
    *,
    env: dict[str, str] | None = None,
    model_data: str | None = None,
    **how: Any,
) -> Any:
    """Wait as ``deploy`` does, but look more often than every 30 s."""
    model = Model(
        image_uri=image,
        role=role,
        env={"NAME": "first", **(env or {})},
        model_data=model_data,
        predictor_cls=Predictor,
        sagemaker_session=session,
    )
    if "instance_type" in how:
        how["initial_instance_count"] = 1
    predictor = model.deploy(
        serializer=JSONSerializer(), deserializer=JSONDeserializer(), wait=False, **how
    )
    session.wait_for_endpoint(predictor.endpoint_name, poll=POLL_S)
    return predictor


def current(session: Any, predictor: Any) -> Any:
    """The configuration behind the endpoint, once it is in service."""
    name = session.wait_for_endpoint(predictor.endpoint_name, poll=POLL_S)["EndpointConfigName"]
    return session.sagemaker_client.describe_endpoint_config(EndpointConfigName=name)


def described(session: Any, endpoint: str) -> Any:
    """As the SDK's own client has it."""
    return session.sagemaker_client.describe_endpoint(EndpointName=endpoint)


if __name__ == "__main__":
    step: Callable[..., dict[str, Any]] = globals()[sys.argv[1]]
    print("\n" + json.dumps(step(**json.loads(sys.argv[2])), default=str), flush=True)
    os._exit(0)  # a failed asynchronous prediction leaves a thread that waits on for its result
