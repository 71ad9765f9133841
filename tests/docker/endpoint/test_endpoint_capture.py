"""Data capture through boto3: what was asked and answered is found in S3 as JSON lines."""

import base64
import json
import re
from typing import Any

import pytest

from lab.engine.docker.engine import DockerEngine
from tests.docker.endpoint.site import BUCKET, INSTANCE_TYPE, Emulator, Site
from tests.fidelity import OURS, fidelity

pytestmark = pytest.mark.docker


def lines(site: Site, endpoint: str) -> list[dict[str, Any]]:
    pattern = rf"capture/{endpoint}/AllTraffic/\d{{4}}/\d\d/\d\d/\d\d/[^/]+\.jsonl"
    found = []
    for row in site.s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/").get("Contents", ()):
        assert re.fullmatch(pattern, row["Key"]), row["Key"]
        body = site.s3.get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read()
        found += [json.loads(line) for line in body.decode().splitlines()]
    return found


@fidelity(
    "Data capture",
    "What was captured is in S3 at the latest when the emulator ends.",
    OURS,
    "AWS's own service does not end",
)
def test_requests_and_answers_are_found_in_s3_at_the_latest_when_the_emulator_ends(
    engine: DockerEngine, s3_url: str, network: str, obedient: str, tmp_path: Any
) -> None:
    emulator = Emulator(state=tmp_path / "state", engine=engine.address, s3=s3_url, network=network)
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    emulator.start()
    site = Site(emulator, obedient)
    try:
        config = site.config(
            {
                "VariantName": "AllTraffic",
                "ModelName": site.model(),
                "InstanceType": INSTANCE_TYPE,
                "InitialInstanceCount": 1,
            },
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{BUCKET}/capture",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            },
        )
        endpoint = site.endpoint(config)
        for body, kind in ((b'{"say": "one"}', "application/json"), (b"\x00\xff", "image/png")):
            site.invoke(endpoint, body, ContentType=kind, InferenceId="mine")
    finally:
        code = emulator.stop()
    assert code == 0, emulator.log.read_text()
    first, second = lines(site, endpoint)
    assert first["captureData"] == {
        "endpointInput": {
            "observedContentType": "application/json",
            "mode": "INPUT",
            "data": '{"say": "one"}',
            "encoding": "JSON",
        },
        "endpointOutput": {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": "one",
            "encoding": "JSON",
        },
    }
    assert first["eventVersion"] == "0"
    assert first["eventMetadata"]["inferenceId"] == "mine"
    binary = second["captureData"]["endpointInput"]
    assert (binary["encoding"], base64.b64decode(binary["data"])) == ("BASE64", b"\x00\xff")
