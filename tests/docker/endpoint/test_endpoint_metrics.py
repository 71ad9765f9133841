"""What Prometheus sees of endpoints that boto3 uses."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from tests.docker.endpoint.site import Site
from tests.timing import wait_until

pytestmark = pytest.mark.docker


def series(site: Site, endpoint: str) -> dict[str, float]:
    """An endpoint's samples, by name and what labels they have beside the dimensions."""
    page = httpx.get(f"{site.emulator.url}/metrics").text
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            more = dict(sample.labels)
            if more.pop("endpoint", None) == endpoint:
                more.pop("variant", None)
                found[":".join([sample.name.removeprefix("sagemaker_"), *more.values()])] = (
                    sample.value
                )
    return found


def seen(site: Site, endpoint: str, true: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The same, once it is so: resources are sampled every few seconds."""

    found: dict[str, float] = {}

    def so() -> bool:
        nonlocal found
        found = series(site, endpoint)
        return true(found)

    wait_until(so, otherwise=lambda: found)
    return found


def targets(site: Site, endpoint: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{site.emulator.url}/_lab/targets").json()
    return [one for one in found if one["labels"]["endpoint"] == endpoint]


def test_a_serverless_endpoint_is_counted_measured_and_forgotten(site: Site) -> None:
    model = site.model()
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 4}
    config = site.config(
        {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": serverless}
    )
    name = site.endpoint(config)
    httpx.post(f"{site.emulator.url}/_lab/endpoints/{name}/scale-to-zero", timeout=60)
    assert targets(site, name) == []

    site.invoke(name)
    with pytest.raises(ClientError):
        site.runtime.invoke_endpoint(EndpointName=name, Body=b'{"status": 500}')
    (target,) = targets(site, name)
    assert target["labels"]["model"] == model
    assert target["labels"]["variant"] == "AllTraffic"
    assert httpx.get(f"http://{target['targets'][0]}/ping").status_code == 200

    found = seen(site, name, lambda all_of: "cpu_utilization_ratio:maximum" in all_of)
    assert found["invocations_total"] == 2
    assert found["invocation_5xx_errors_total"] == 1
    assert found["invocation_model_errors_total"] == 1
    assert found["invocation_4xx_errors_total"] == 0
    assert found["cold_starts_total"] == 1
    assert found["container_starts_total"] == 2, "one to verify, one for the request"
    assert found["containers"] == 1
    assert found["concurrent_executions"] == 0
    assert found["serverless_concurrent_executions_utilization_ratio"] == 0
    assert 0 < found["model_setup_time_seconds_sum"] <= found["overhead_latency_seconds_sum"]
    assert found["container_start_phase_seconds_count:start"] == 2
    assert 0.001 < found["memory_utilization_ratio:maximum"] < 0.5

    site.sagemaker.delete_endpoint(EndpointName=name)
    site.wait(name, "endpoint_deleted")
    seen(site, name, lambda all_of: not all_of)
