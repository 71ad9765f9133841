"""What a container may answer, and what it is sent: the field's cases, byte for byte."""

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from lab.engine.docker.engine import DockerEngine
from lab.images.base import ensure_base
from lab.progress import Progress
from lab.spec import Platform
from tests.docker import known
from tests.docker.endpoint.site import BUCKET, Emulator, Site, realtime, serverless
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.timing import wait_until

pytestmark = pytest.mark.docker

REDIRECT = (
    "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html\r\nLocation: /invocations/\r\n"
    "Content-Length: 16\r\nConnection: close\r\n\r\nmoved, see there"
)
CUT = (
    "HTTP/1.1 413 Too Large\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n"
    "body is too larg"
)
CHUNKED = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    "Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
)
CLOSED = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}"
LONG = "HTTP/1.1 200 OK\r\nX-Debug: PAD\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
NOTES = {
    "SuccessTopic": "arn:aws:sns:us-east-1:000000000000:good",
    "ErrorTopic": "arn:aws:sns:us-east-1:000000000000:bad",
    "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC", "ERROR_NOTIFICATION_TOPIC"],
}


@pytest.fixture(scope="module")
def site(
    engine: DockerEngine, platform: Platform, progress: Progress, emulator: Emulator
) -> Iterator[Site]:
    """One whose containers answer what they are told to, byte for byte."""
    server = Path(__file__).parent / "wire_server.py"
    base = ensure_base(platform, engine, progress).ref
    ref = known.make(engine, base, f"wire-{secrets.token_hex(4)}", server=server)
    yield Site(emulator, ref)
    known.remove(engine, ref)


@pytest.fixture(scope="module")
def endpoint(site: Site) -> Iterator[str]:
    name = site.endpoint(site.config(realtime(site.model(), name="v")))
    yield name
    site.delete(name)


@pytest.fixture(scope="module")
def waiting(site: Site) -> Iterator[str]:
    """An asynchronous endpoint."""
    output = {
        "S3OutputPath": f"s3://{BUCKET}/out",
        "S3FailurePath": f"s3://{BUCKET}/failed",
        "NotificationConfig": NOTES,
    }
    config = site.config(
        realtime(site.model(), name="v"), AsyncInferenceConfig={"OutputConfig": output}
    )
    name = site.endpoint(config)
    yield name
    site.delete(name)


def told(**order: Any) -> str:
    return json.dumps(order)


def asked_later(site: Site, name: str, **order: Any) -> Mapping[str, Any]:
    """Where the result of an asynchronous request will be, or its failure."""
    key = f"in/{secrets.token_hex(4)}.json"
    site.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    answer: Mapping[str, Any] = site.runtime.invoke_endpoint_async(
        EndpointName=name,
        InputLocation=f"s3://{BUCKET}/{key}",
        CustomAttributes=told(**order),
        ContentType="application/json",
    )
    return answer


def come(site: Site, uri: str) -> bytes:
    """The object, as soon as it is there."""
    found = wait_until(
        lambda: site.s3.get_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/")),
        despite=site.s3.exceptions.NoSuchKey,
        otherwise=site.emulator.log.read_text,
    )
    return bytes(found["Body"].read())


def logs(site: Site, name: str) -> str:
    """What ``lab endpoint logs`` shows."""
    return httpx.get(f"{site.emulator.url}/_lab/endpoints/{name}/logs").raise_for_status().text


def counted(site: Site, name: str, metric: str) -> float:
    page = httpx.get(f"{site.emulator.url}/metrics").raise_for_status().text
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == f"sagemaker_{metric}_total" and sample.labels["endpoint"] == name
    )


def refused(site: Site, name: str, body: bytes = b"{}", **order: Any) -> Mapping[str, Any]:
    """A ``ModelError``, as boto3 has it."""
    with pytest.raises(site.runtime.exceptions.ModelError) as caught:
        site.invoke(name, body, CustomAttributes=told(**order))
    response: Mapping[str, Any] = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    return response


# --- redirects -----------------------------------------------------------------------------------


@fidelity(
    "InvokeEndpoint",
    "A container's redirect is a success: 200 with the redirect's own body.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/3238",
)
def test_a_redirect_s_page_is_the_prediction(site: Site, endpoint: str) -> None:
    answer = site.invoke(endpoint, CustomAttributes=told(wire=REDIRECT))
    assert answer["Body"].read() == b"moved, see there"
    assert answer["ContentType"] == "text/html"
    assert "/invocations answers 307 (Location: /invocations/)" in logs(site, endpoint)


@fidelity(
    "InvokeEndpointWithResponseStream",
    "A container's redirect is a stream of the redirect's own body.",
    OURS,
    "as InvokeEndpoint does",
)
def test_a_redirect_s_page_is_the_stream(site: Site, endpoint: str) -> None:
    answer = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=b"{}", CustomAttributes=told(wire=REDIRECT)
    )
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b"moved, see there"


def test_a_redirect_s_page_is_the_asynchronous_result(site: Site, waiting: str) -> None:
    said = asked_later(site, waiting, wire=REDIRECT)
    assert come(site, said["OutputLocation"]) == b"moved, see there"
    assert "SageMaker follows no redirect" in logs(site, waiting)


# --- answers without a length, or with too much of a head ----------------------------------------


@pytest.mark.parametrize("wire", [CHUNKED, CLOSED], ids=["chunked", "closed"])
def test_an_answer_without_a_length_is_fine_in_real_time(
    site: Site, endpoint: str, wire: str
) -> None:
    answer = site.invoke(endpoint, CustomAttributes=told(wire=wire))
    assert answer["Body"].read() == b"{}"


@fidelity(
    "InvokeEndpointAsync",
    "An answer without Content-Length fails, in AWS's words, bare in the object and the log.",
    SEEN,
    "https://github.com/deepjavalibrary/djl-serving/issues/2567",
)
@pytest.mark.parametrize("wire", [CHUNKED, CLOSED], ids=["chunked", "closed"])
def test_an_answer_without_a_length_fails_asynchronously(
    site: Site, waiting: str, wire: str
) -> None:
    said = asked_later(site, waiting, wire=wire)
    sentence = "The response from container primary did not specify the required Content-Length"
    assert come(site, said["FailureLocation"]).decode() == f"{sentence} header"
    line = f"v/data-log {{}} [sagemaker logs] [{said['InferenceId']}] {sentence} header"
    wait_until(lambda: line.partition("{} ")[2] in logs(site, waiting))


@fidelity(
    "InvokeEndpointAsync",
    "An answer with more than 4,096 bytes of headers fails; in real time it does not.",
    SEEN,
    "https://github.com/aws/deep-learning-containers/issues/4668",
)
def test_long_headers_fail_asynchronously_only(site: Site, waiting: str, endpoint: str) -> None:
    said = asked_later(site, waiting, wire=LONG, pad=5000)
    assert b"headers with length greater than 4096 bytes" in come(site, said["FailureLocation"])
    said = asked_later(site, waiting, wire=LONG, pad=3000)
    assert come(site, said["OutputLocation"]) == b"{}"
    answer = site.invoke(endpoint, CustomAttributes=told(wire=LONG, pad=5000))
    assert answer["Body"].read() == b"{}"


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_headers_without_measure_are_told_as_what_they_are(
    site: Site, endpoint: str, size: int
) -> None:
    error = refused(site, endpoint, wire=LONG, pad=size)
    assert error["OriginalStatusCode"] == 0
    assert "The lab knows more: the headers of its answer are longer than" in error["Message"]


# --- bodies that break off -----------------------------------------------------------------------


@fidelity(
    "InvokeEndpoint",
    "A status whose body breaks off survives, with its class and AWS's sentence, though the upload "
    "was left unread.",
    SEEN,
    "https://github.com/huggingface/notebooks/issues/274",
)
@pytest.mark.parametrize("size", [2, 5_000_000], ids=["small", "large"])
@pytest.mark.parametrize("unread", [False, True], ids=["read", "unread"])
def test_a_refusal_that_breaks_off_keeps_its_status(
    site: Site, endpoint: str, size: int, *, unread: bool
) -> None:
    before = counted(site, endpoint, "invocation_4xx_errors")
    error = refused(site, endpoint, bytes(size), wire=CUT, unread=unread)
    assert error["OriginalStatusCode"] == 413
    assert error["Message"].startswith(
        "Received client error (413) from primary and could not load the entire response body."
    )
    assert counted(site, endpoint, "invocation_4xx_errors") == before + 1


def test_a_whole_refusal_is_read_though_the_upload_is_reset(site: Site, endpoint: str) -> None:
    whole = CUT.replace("500", "16\r\nConnection: close")
    error = refused(site, endpoint, bytes(5_000_000), wire=whole, unread=True)
    assert error["OriginalStatusCode"] == 413
    assert error["OriginalMessage"] == "body is too larg"


@fidelity(
    "InvokeEndpointWithResponseStream",
    "A refusal that breaks off is a ModelError before any frame, with its status.",
    SEEN,
    "https://github.com/huggingface/notebooks/issues/274",
)
def test_a_stream_s_refusal_that_breaks_off_keeps_its_status(site: Site, endpoint: str) -> None:
    with pytest.raises(ClientError) as caught:
        site.runtime.invoke_endpoint_with_response_stream(
            EndpointName=endpoint,
            Body=bytes(5_000_000),
            CustomAttributes=told(wire=CUT, unread=True),
        )
    error = caught.value.response
    assert error["Error"]["Code"] == "ModelError"
    assert error["OriginalStatusCode"] == 413
    assert "could not load the entire response body" in error["Message"]


def test_an_asynchronous_refusal_that_breaks_off_keeps_its_status(site: Site, waiting: str) -> None:
    said = asked_later(site, waiting, wire=CUT)
    assert come(site, said["FailureLocation"]) == (
        b"Received client error (413) from primary and could not load the entire response body."
    )


@fidelity(
    "CreateEndpoint",
    "An asynchronous endpoint with topics has a TestNotification sent to each; here it is a line "
    "of its log.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html",
)
def test_topics_are_tried_when_an_endpoint_is_made(site: Site, waiting: str) -> None:
    shown = logs(site, waiting)
    for topic in (NOTES["SuccessTopic"], NOTES["ErrorTopic"]):
        assert f'To {topic} would go: {{"eventVersion":"1.0"' in shown
    assert '"eventName":"TestNotification"' in shown


# --- deaths, and what is said of them ------------------------------------------------------------


@fidelity(
    "InvokeEndpointAsync",
    "A crash reads `Connection reset by peer for the NAME endpoint. Please retry.`, a model's "
    "fault `Received server error (500) from primary with message ...`, both without a prefix.",
    SEEN,
    "https://github.com/deepjavalibrary/djl-serving/issues/2648",
)
def test_asynchronous_failures_are_bare_and_in_the_endpoints_own_log(
    site: Site, waiting: str
) -> None:
    fault = "HTTP/1.1 500 X\r\nContent-Length: 4\r\nConnection: close\r\n\r\nboom"
    said = asked_later(site, waiting, wire=fault)
    text = 'Received server error (500) from primary with message "boom"'
    assert come(site, said["FailureLocation"]).decode() == text
    died = asked_later(site, waiting, die=3)
    reset = f"Connection reset by peer for the {waiting} endpoint. Please retry."
    assert come(site, died["FailureLocation"]).decode() == reset
    notice = f'"inferenceId":"{died["InferenceId"]}"'
    wait_until(lambda: notice in logs(site, waiting))
    shown = logs(site, waiting)
    assert f"[sagemaker logs] [{said['InferenceId']}] {text}" in shown
    assert f"[sagemaker logs] [{died['InferenceId']}] {reset}" in shown
    assert f'"failureReason":"ClientError: {reset}"' in shown
    assert '"responseBody":{"content":"boom","encoding":"UTF-8"}' in shown


@fidelity(
    "InvokeEndpoint",
    "A container that dies is a ModelError of status 0 in AWS's words, and what the lab knows of "
    "the death comes after them.",
    OURS,
    "AWS blames CPU or memory whatever it was",
)
def test_a_container_that_dies_in_a_request_is_told_with_its_exit_code(site: Site) -> None:
    name = site.endpoint(site.config(realtime(site.model(), name="v")))

    def told_of() -> Mapping[str, Any] | None:
        error = refused(site, name, die=3)
        assert error["OriginalStatusCode"] == 0
        assert f"could not get a response from the {name} endpoint" in error["OriginalMessage"]
        assert "The lab knows more: " in error["Message"]
        # The engine takes its time to notice, and a busy machine more than is waited for.
        return error if "3" in error["Message"].partition("The lab knows more: ")[2] else None

    error = wait_until(told_of, otherwise=lambda: logs(site, name))
    assert "dying as told" in error["Message"]
    site.delete(name)


# --- what a container is sent --------------------------------------------------------------------


def sent(answer: Any) -> dict[str, str]:
    """The headers that the container got, those that are the connection's own left out."""
    found = dict(json.loads(answer))
    assert len(found) == len(json.loads(answer)), "one was repeated"
    assert found.pop("Host").endswith(":8080")
    assert found.pop("User-Agent") == "AHC/2.0"
    assert found.pop("Content-Length") == "2"
    return found


FULL = {
    "ContentType": "text/csv",
    "Accept": "application/json",
    "InferenceId": "mine",
    "CustomAttributes": "{}",
}
AS_SENT = {
    "Content-Type": "text/csv",
    "Accept": "application/json",
    "X-Amzn-SageMaker-Custom-Attributes": "{}",
    "X-Amzn-SageMaker-Inference-Id": "mine",
}


@fidelity(
    "Headers",
    "A container gets User-Agent AHC/2.0, Host with its port, Content-Length, and of the caller's "
    "headers those of the API; no Authorization, no X-Amz-Date.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html",
)
@pytest.mark.parametrize("kind", ["real-time", "serverless"])
def test_a_container_is_sent_the_api_s_headers_and_no_others(
    site: Site, endpoint: str, kind: str
) -> None:
    name = endpoint
    if kind == "serverless":
        name = site.endpoint(site.config(serverless(site.model(), most=1)))
    assert sent(site.invoke(name, **FULL)["Body"].read()) == AS_SENT
    bare = site.runtime.invoke_endpoint(EndpointName=name, Body=b"{}")["Body"].read()
    assert sent(bare) == {"Accept": "*/*"}


@fidelity(
    "Headers",
    "A stream's X-Amzn-SageMaker-Accept reaches the container as Accept.",
    DOCUMENTED,
    "botocore: InvokeEndpointWithResponseStreamInput.Accept",
)
def test_a_stream_s_own_header_reaches_the_container_as_accept(site: Site, endpoint: str) -> None:
    answer = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=b"{}", **FULL
    )
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert sent(b"".join(parts)) == AS_SENT


@fidelity(
    "Headers",
    "An asynchronous request always has an inference id, and a content type: the caller's, else "
    "that of the object in S3.",
    OURS,
    "S3 has a type for every object",
)
def test_an_asynchronous_request_has_an_id_and_a_type(site: Site, waiting: str) -> None:
    said = asked_later(site, waiting)
    assert sent(come(site, said["OutputLocation"])) == {
        "Content-Type": "application/json",
        "Accept": "*/*",
        "X-Amzn-SageMaker-Custom-Attributes": "{}",
        "X-Amzn-SageMaker-Inference-Id": said["InferenceId"],
    }
    site.s3.put_object(Bucket=BUCKET, Key="typed", Body=b"{}", ContentType="image/png")
    bare = site.runtime.invoke_endpoint_async(
        EndpointName=waiting, InputLocation=f"s3://{BUCKET}/typed"
    )
    found = sent(come(site, bare["OutputLocation"]))
    assert found["Content-Type"] == "image/png"
