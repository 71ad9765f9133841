"""A container with one worker, whose ``/ping`` has to wait while it works."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.engine.docker.engine import DockerEngine
from tests.docker.endpoint.site import BUCKET, Beside, Site, realtime
from tests.timing import wait_until

pytestmark = pytest.mark.docker

MISSES = 5
"""Pings in a row that are late: more than an idle server may miss."""


def single(site: Site, **config: Any) -> str:
    return site.endpoint(site.config(realtime(site.model(env={"SINGLE": "1"})), **config))


def asynchronous(site: Site) -> str:
    output = {"S3OutputPath": f"s3://{BUCKET}/out", "S3FailurePath": f"s3://{BUCKET}/failures"}
    return single(site, AsyncInferenceConfig={"OutputConfig": output})


def ask_later(site: Site, name: str, order: Mapping[str, Any], **more: Any) -> Callable[[], bytes]:
    """What an asynchronous request comes to, or why it failed, as soon as it is there."""
    key = f"in/{name}"
    site.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(order).encode())
    reply = site.runtime.invoke_endpoint_async(
        EndpointName=name, InputLocation=f"s3://{BUCKET}/{key}", **more
    )

    def outcome() -> bytes | None:
        for place in ("OutputLocation", "FailureLocation"):
            try:
                found = site.s3.get_object(
                    Bucket=BUCKET, Key=reply[place].removeprefix(f"s3://{BUCKET}/")
                )
            except site.s3.exceptions.NoSuchKey:
                continue
            return bytes(found["Body"].read())
        return None

    return lambda: wait_until(outcome)


def suspects(site: Site, name: str) -> float:
    text = httpx.get(f"{site.emulator.url}/metrics", timeout=30).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "sagemaker_containers_suspect" and sample.labels["endpoint"] == name
    )


def until_it_is_late(beside: Beside) -> None:
    wait_until(lambda: list(beside.held()).count("ping") >= MISSES, otherwise=beside.held)


def test_a_long_request_is_not_lost_because_its_worker_has_no_time_for_a_ping(
    site: Site, engine: DockerEngine
) -> None:
    name = single(site)
    beside = Beside(engine, name)
    (before,) = beside.containers()
    # A stream, which may take longest: however slow the machine is, the request is in time.
    streamed = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body=json.dumps({"stream": ["one", "two"], "hold": "work"})
    )
    until_it_is_late(beside)
    assert suspects(site, name) == 1
    beside.open("work")
    parts = [event["PayloadPart"]["Bytes"] for event in streamed["Body"]]
    assert b"".join(parts) == b"onetwo"
    wait_until(lambda: suspects(site, name) == 0)
    assert [one.id for one in beside.containers()] == [before.id]
    site.delete(name)


def test_a_long_asynchronous_request_is_not_lost_either(site: Site, engine: DockerEngine) -> None:
    name = asynchronous(site)
    beside = Beside(engine, name)
    (before,) = beside.containers()
    result = ask_later(site, name, {"hold": "work"})
    until_it_is_late(beside)
    beside.open("work")
    assert json.loads(result())["count"] == 1
    assert [one.id for one in beside.containers()] == [before.id]
    site.delete(name)


def test_a_worker_that_hangs_is_replaced_when_the_time_for_its_request_is_over(
    site: Site, engine: DockerEngine
) -> None:
    name = asynchronous(site)
    beside = Beside(engine, name)
    (before,) = beside.containers()
    result = ask_later(site, name, {"hang": 1}, InvocationTimeoutSeconds=1)
    assert b"timed out" in result()
    wait_until(lambda: [one.id for one in beside.containers()] not in ([before.id], []))
    site.delete(name)
