"""Invocations as boto3 sends them and sees them answered."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EventStreamError

from lab.engine.docker.engine import DockerEngine
from tests.docker.endpoint.site import (
    ACCOUNT,
    REGION,
    Beside,
    Site,
    answered,
    realtime,
    serverless,
)
from tests.timing import wait_until


@pytest.fixture(scope="module")
def always(site: Site) -> Iterator[str]:
    """A real-time endpoint."""
    name = site.endpoint(site.config(realtime(site.model())))
    yield name
    site.delete(name)


@pytest.fixture(scope="module")
def small(site: Site) -> Iterator[str]:
    """A serverless endpoint with two containers at most."""
    name = site.endpoint(site.config(serverless(site.model(), most=2)))
    yield name
    site.delete(name)


def order(**what: Any) -> bytes:
    return json.dumps(what).encode()


def failed(site: Site, endpoint: str, body: bytes, **more: Any) -> Any:
    with pytest.raises(ClientError) as caught:
        site.invoke(endpoint, body, **more)
    return caught.value.response


def test_the_first_answer_of_an_emptied_endpoint_waited_for_a_container_and_the_next_did_not(
    site: Site, small: str
) -> None:
    url = site.emulator.url
    httpx.post(f"{url}/_lab/endpoints/{small}/scale-to-zero", timeout=60).raise_for_status()
    assert httpx.get(f"{url}/_lab/endpoints/{small}/pool").json()["serving"] == 0
    cold, warm = (
        httpx.post(f"{url}/endpoints/{small}/invocations", content=b"{}", timeout=300)
        for _ in range(2)
    )
    assert (cold.status_code, warm.status_code) == (200, 200)
    assert 0 < float(cold.headers["x-lab-cold-start"]) <= cold.elapsed.total_seconds()
    assert warm.headers["x-lab-cold-start"] == "0"
    assert httpx.get(f"{url}/_lab/endpoints/{small}/pool").json()["serving"] == 1


def test_the_container_sees_the_headers_of_the_contract_and_no_others(
    site: Site, always: str
) -> None:
    answer = site.invoke(
        always,
        order(),
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="abc-1",
        TargetVariant="AllTraffic",
    )
    headers = answered(answer)["headers"]
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "abc-1"
    allowed = {"host", "content-length", "content-type", "accept", "connection", "user-agent"}
    others = {name for name in headers if not name.startswith("x-amzn-sagemaker-")} - allowed
    assert others <= {"accept-encoding"}
    assert answer["CustomAttributes"] == "trace=1"
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    meta = answer["ResponseMetadata"]
    assert re.fullmatch(r"[0-9a-f-]{36}", meta["RequestId"])
    assert "x-internal" not in meta["HTTPHeaders"]


def test_a_model_that_answers_an_error_is_a_model_error(site: Site, always: str) -> None:
    error = failed(site, always, order(status=500, say="boom"))
    assert error["Error"]["Code"] == "ModelError"
    assert error["Error"]["Message"] == (
        'Received server error (500) from primary with message "boom". See '
        f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
        f"#logEventViewer:group=/aws/sagemaker/Endpoints/{always} in account {ACCOUNT} for more "
        "information."
    )
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (500, "boom")
    assert error["LogStreamArn"].startswith(f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    client = failed(site, always, order(status=415, say="no tea"))
    assert client["Error"]["Message"].startswith("Received client error (415) from primary")


@pytest.mark.parametrize("how", [{"close": 1}, {"garbage": 1}])
def test_a_container_that_does_not_answer_is_a_model_error(
    site: Site, always: str, how: dict[str, int]
) -> None:
    error = failed(site, always, order(**how))
    assert error["Error"]["Code"] == "ModelError"
    assert error["Error"]["Message"].startswith("Received server error (0) from primary")
    assert error["OriginalStatusCode"] in {0, 500}


def test_a_body_that_is_too_large_is_refused_by_kind(site: Site, always: str, small: str) -> None:
    four = b"x" * (4 * 1024 * 1024)
    assert answered(site.invoke(small, four))["bytes"] == len(four)
    error = failed(site, small, four + b"x")
    assert error["Error"]["Code"] == "ValidationError"
    assert "has oversize body" in error["Error"]["Message"]
    assert answered(site.invoke(always, four + b"x"))["bytes"] == len(four) + 1
    error = failed(site, always, b"x" * (25 * 1024 * 1024 + 1))
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_the_variant_must_exist(site: Site, always: str) -> None:
    assert failed(site, always, b"{}", TargetVariant="Nobody")["Error"]["Code"] == "ValidationError"


def test_fifty_clients_against_two_containers_get_two_answers_and_forty_eight_refusals(
    site: Site, small: str, engine: DockerEngine
) -> None:
    beside = Beside(engine, small)
    with ThreadPoolExecutor(2) as pool:  # both containers are warm
        warm = [pool.submit(site.invoke, small, order(hold="warm")) for _ in range(2)]
        beside.until_held("warm", "warm")
        beside.open("warm")
        for each in warm:
            each.result()
    barrier = threading.Barrier(50)

    def one(number: int) -> tuple[str, Any]:
        barrier.wait()
        try:
            return "answered", answered(site.invoke(small, order(id=number, hold="fifty")))
        except ClientError as error:
            return error.response["Error"]["Code"], error.response

    with ThreadPoolExecutor(50) as pool:
        clients = [pool.submit(one, number) for number in range(50)]
        wait_until(lambda: sum(client.done() for client in clients) == 48)
        beside.until_held("fifty", "fifty")
        beside.open("fifty")
        outcomes = [client.result() for client in clients]
    assert Counter(kind for kind, _ in outcomes) == {"answered": 2, "ThrottlingException": 48}
    for number, (kind, said) in enumerate(outcomes):
        if kind == "answered":
            assert said["id"] == number
            assert said["most_at_once"] == 1
        else:
            assert said["ResponseMetadata"]["HTTPStatusCode"] == 400
            assert said["Error"].get("Message") is None
    logs = f"{site.emulator.url}/_lab/endpoints/{small}/logs"

    def invoked() -> Counter[str]:
        lines = httpx.get(logs, params={"lines": 500}).text.splitlines()
        return Counter(line.rpartition("invoked ")[2] for line in lines if "invoked " in line)

    expected = [str(number) for number, (kind, _) in enumerate(outcomes) if kind == "answered"]
    wait_until(lambda: invoked().total() >= len(expected))  # what was logged comes a little later
    assert invoked() == Counter(expected)


def test_a_serverless_endpoint_scales_to_zero_and_starts_cold_again(site: Site, small: str) -> None:
    site.invoke(small)
    before = answered(site.invoke(small))
    answer = httpx.post(f"{site.emulator.url}/_lab/endpoints/{small}/scale-to-zero")
    assert answer.is_success
    servers = f"{site.emulator.url}/_lab/endpoints/{small}/servers"
    wait_until(lambda: not httpx.get(servers).json())
    after = answered(site.invoke(small))
    assert (after["host"] != before["host"], after["count"]) == (True, 1)
    page = httpx.get(f"{site.emulator.url}/metrics").text
    (line,) = [
        line
        for line in page.splitlines()
        if line.startswith("sagemaker_model_setup_time_seconds_count") and small in line
    ]
    assert float(line.rpartition(" ")[2]) >= 2


def test_a_stream_comes_in_parts_that_add_up(site: Site, always: str) -> None:
    lines = [json.dumps({"token": number}) + "\n" for number in range(40)]
    answer = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=always,
        Body=order(stream=lines, pause=0.005),
        ContentType="application/json",
        Accept="application/jsonlines",
    )
    assert answer["ContentType"] == "application/jsonlines"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == "".join(lines).encode()
    assert parts != [line.encode() for line in lines]


def test_a_stream_arrives_while_the_model_still_writes(
    site: Site, always: str, engine: DockerEngine
) -> None:
    answer = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=always, Body=order(stream=["one", "two"], hold="stream")
    )
    parts = (event["PayloadPart"]["Bytes"] for event in answer["Body"])
    beside = Beside(engine, always)
    try:
        first = b""
        while len(first) < len("one"):
            first += next(parts)
        assert first == b"one"
        beside.until_held("stream")
    finally:
        beside.open("stream")
    assert b"".join(parts) == b"two"
    answer["Body"].close()


def test_a_stream_that_breaks_ends_in_an_error_after_its_parts(site: Site, always: str) -> None:
    answer = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=always, Body=order(**{"stream": ["so far"], "break": 1, "pause": 0.1})
    )
    got: list[bytes] = []
    parts = (event["PayloadPart"]["Bytes"] for event in answer["Body"])
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        got.extend(parts)
    assert b"".join(got) == b"so far"
    answer["Body"].close()  # botocore does not, and the socket would be somebody's warning later


def test_variants_share_by_weight_and_are_chosen_by_name(site: Site) -> None:
    models = {name: site.model(env={"NAME": name}) for name in "ab"}
    name = site.endpoint(
        site.config(
            realtime(models["a"], "A", InitialVariantWeight=3),
            realtime(models["b"], "B", InitialVariantWeight=1),
        )
    )
    seen = Counter(site.invoke(name)["InvokedProductionVariant"] for _ in range(200))
    assert 120 <= seen["A"] <= 180  # six standard deviations around 150
    answer = site.invoke(name, TargetVariant="B")
    assert (answer["InvokedProductionVariant"], answered(answer)["name"]) == ("B", "b")
    site.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "A", "DesiredWeight": 0},
            {"VariantName": "B", "DesiredWeight": 1},
        ],
    )
    site.wait(name)
    assert {site.invoke(name)["InvokedProductionVariant"] for _ in range(20)} == {"B"}
    site.delete(name)


def test_a_shadow_sees_every_request_and_answers_none(site: Site) -> None:
    name = site.endpoint(
        site.config(
            realtime(site.model(env={"NAME": "real"}), "Real"),
            ShadowProductionVariants=[realtime(site.model(env={"NAME": "shadow"}), "Shadow")],
        )
    )
    for number in range(5):
        assert answered(site.invoke(name, order(id=f"s{number}")))["name"] == "real"
    logs = f"{site.emulator.url}/_lab/endpoints/{name}/logs"

    def invoked(variant: str) -> int:
        lines = httpx.get(logs).text.splitlines()
        return len([line for line in lines if "invoked s" in line and variant in line])

    for variant in ("Shadow", "Real"):
        wait_until(lambda: invoked(variant) == 5, otherwise=lambda: httpx.get(logs).text)  # noqa: B023
    site.delete(name)
