"""Endpoints of an emulator whose engine is a script: what is loaded, and what is known of it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.endpoint.protocol.sigv4 import SKEW_S
from lab.errors import EndpointError, UsageError
from lab.load.arrivals.schedule import Schedule
from lab.load.requests import Requests
from lab.loadtest import runner
from lab.loadtest.record import TargetKind
from lab.loadtest.runner import LoadPlan
from lab.loadtest.targets.api import LoadPayload
from lab.loadtest.targets.endpoint import (
    RENEW_S,
    endpoint_target,
    refuse_what_does_not_answer,
)
from lab.progress import Silent
from tests.unit.services.endpoint.standing import Standing, standing


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("state")) as one:
        one.endpoint("eye")
        one.endpoint("spark", ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 2})
        yield one


@pytest.fixture
def client(lab: Standing) -> Iterator[EmulatorClient]:
    addresses = Addresses(sagemaker=f"http://127.0.0.1:{lab.port}", s3="")
    with closing(EmulatorClient(addresses)) as one:
        yield one


def load(client: EmulatorClient, name: str, *instants: float, body: bytes = b"{}") -> Requests:
    schedule = Schedule(said="by hand", instants=np.asarray(instants), horizon_s=1.0)
    payload = LoadPayload(name="x", body=body, content_type="application/json")
    plan = LoadPlan(schedule=schedule, payloads=[payload])
    with endpoint_target(client, name) as target:
        return runner.run(target, plan, progress=Silent()).requests()


def test_a_serverless_endpoint_is_recorded_with_its_size_and_its_limit(
    client: EmulatorClient,
) -> None:
    with endpoint_target(client, "spark") as target:
        record = target.record
    assert (record.kind, record.name, record.image) == (TargetKind.ENDPOINT, "spark", "image")
    assert (record.size, record.memory_mb, record.max_concurrency) == ("2048", 2048, 2)
    assert record.serverless
    assert str(record) == "spark at 2048 MB"


def test_a_real_time_endpoint_is_recorded_with_its_instance_type(client: EmulatorClient) -> None:
    with endpoint_target(client, "eye") as target:
        record = target.record
    assert (record.size, record.serverless, record.max_concurrency) == ("ml.m5.large", False, None)


def test_the_first_request_after_it_is_emptied_is_cold_and_the_next_is_not(
    client: EmulatorClient,
) -> None:
    client.scale_to_zero("spark")
    found = load(client, "spark", 0.0, 1.0)
    assert found.answered.all()
    assert found.cold.tolist() == [1, 0]


def test_requests_above_its_concurrency_are_throttled_and_not_failed(
    client: EmulatorClient,
) -> None:
    found = load(client, "spark", 0.0, 0.0, 0.0, 0.0, body=b'{"sleep": 0.5}')
    assert (int(found.answered.sum()), int(found.throttled.sum())) == (2, 2)
    assert not found.failed.any()
    assert {one for one in found.error if one} == {"ThrottlingException"}


def test_its_pool_is_what_the_emulator_says(client: EmulatorClient) -> None:
    with endpoint_target(client, "eye") as target:
        assert target.pool() == (1, 0, None)
        assert target.cause() is None


def test_requests_are_signed_anew_long_before_a_signature_is_old(client: EmulatorClient) -> None:
    assert RENEW_S <= SKEW_S / 2
    with endpoint_target(client, "eye") as target:
        assert target.route.renew_s == RENEW_S


def test_an_endpoint_that_is_not_there_is_refused_with_those_that_are(
    client: EmulatorClient,
) -> None:
    with pytest.raises(UsageError, match="eye, spark"), endpoint_target(client, "ear"):
        pytest.fail("it is there")


def test_one_that_was_deleted_in_the_middle_says_so(lab: Standing, client: EmulatorClient) -> None:
    lab.endpoint("brief")
    with endpoint_target(client, "brief") as target:
        client.call("delete_endpoint", EndpointName="brief")
        while client.find("describe_endpoint", EndpointName="brief") is not None:
            pass
        assert target.cause() == "There is no endpoint brief any more."


def test_one_that_failed_is_refused_with_the_reason() -> None:
    failed = {"EndpointName": "x", "EndpointStatus": "Failed", "FailureReason": "no such image"}
    with pytest.raises(EndpointError, match="x is Failed: no such image"):
        refuse_what_does_not_answer(failed)


def test_an_asynchronous_one_is_refused_since_nobody_waits_for_its_answers() -> None:
    described = {
        "EndpointName": "x",
        "EndpointStatus": "InService",
        "AsyncInferenceConfig": {"a": 1},
    }
    with pytest.raises(UsageError, match="asynchronously"):
        refuse_what_does_not_answer(described)
