"""The face as boto3 and plain HTTP meet it."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from botocore.exceptions import ClientError, EventStreamError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face.answers import encoded
from face.settings import read
from lab.endpoint.log_files import LogFiles
from lab.errors import UsageError
from tests.fidelity import DOCUMENTED, OURS, fidelity
from tests.timing import PATIENCE_S, wait_until
from tests.unit.services.endpoint.standing import ROLE, Standing, standing

PATH = "/endpoints/eye/invocations"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("state")) as one:
        one.endpoint("eye")
        one.endpoint("spark", ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 2})
        yield one


def invoke(lab: Standing, endpoint: str = "eye", **asked: object) -> dict[str, object]:
    runtime = lab.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=json.dumps(asked))
    return {**answer, "Body": answer["Body"].read()}


def url(lab: Standing, path: str) -> str:
    return f"http://127.0.0.1:{lab.port}{path}"


def test_boto3_gets_the_answer_its_variant_and_a_request_id(lab: Standing) -> None:
    answer = invoke(lab, say="hello", headers={"Content-Type": "text/plain"})
    assert answer["Body"] == b"hello"
    assert answer["ContentType"] == "text/plain"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36  # type: ignore[index]


def test_boto3_raises_a_model_error_with_its_fields(lab: Standing) -> None:
    with pytest.raises(ClientError) as error:
        invoke(lab, status=500, say="boom")
    answer = error.value.response
    assert answer["Error"]["Code"] == "ModelError"
    assert 'Received server error (500) from primary with message "boom"' in str(error.value)
    assert answer["OriginalStatusCode"] == 500
    assert answer["OriginalMessage"] == "boom"
    assert ":log-stream:AllTraffic/i-" in answer["LogStreamArn"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_boto3_says_none_where_aws_sends_a_null_message(lab: Standing) -> None:
    outcomes: Counter[str] = Counter()

    def client() -> None:
        try:
            invoke(lab, "spark", sleep=0.5)
            outcomes["answered"] += 1
        except ClientError as error:
            outcomes[str(error)] += 1

    threads = [threading.Thread(target=client) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (throttled,) = set(outcomes) - {"answered"}
    assert outcomes == {"answered": 2, throttled: 8}
    assert "(ThrottlingException)" in throttled
    assert throttled.endswith("None")


def test_boto3_reads_a_stream(lab: Standing) -> None:
    runtime = lab.client("sagemaker-runtime")
    body = json.dumps({"parts": ["data: one\n\n", "data: two\n\n"]})
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="eye", Body=body)
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b"data: one\n\ndata: two\n\n"


def test_boto3_raises_when_the_stream_breaks_off_after_what_had_come(lab: Standing) -> None:
    runtime = lab.client("sagemaker-runtime")
    body = json.dumps({"parts": ["first"], "cut": True})
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="eye", Body=body)
    got = b""
    with pytest.raises(EventStreamError, match="ModelStreamError"):  # noqa: PT012
        for event in answer["Body"]:
            got += event["PayloadPart"]["Bytes"]
    answer["Body"].close()  # botocore does not, and the socket would be somebody's warning later
    assert got == b"first"


@fidelity(
    "Streams",
    "A stream whose reader goes away is ended: the container's connection is closed.",
    OURS,
    "it would hold its server for 8 minutes for nobody",
)
def test_a_stream_whose_reader_goes_away_is_ended(lab: Standing) -> None:
    runtime = lab.client("sagemaker-runtime")
    body = json.dumps({"parts": ["first"], "endless": True})
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="eye", Body=body)
    next(iter(answer["Body"]))
    answer["Body"].close()
    assert lab.container.left.wait(PATIENCE_S)


@fidelity(
    "Headers",
    "Without a Content-Type or custom attributes of the container's, the caller gets none.",
    OURS,
    "no page says that AWS makes them up",
)
def test_what_the_container_does_not_say_is_not_made_up(lab: Standing) -> None:
    answer = invoke(lab, say="hello")
    assert "ContentType" not in answer
    assert "CustomAttributes" not in answer


@fidelity(
    "Headers",
    "Custom attributes of an answer are passed on as they are, longer than 1,024 or not in ASCII.",
    OURS,
    "AWS documents the limits, and not what becomes of an answer that breaks them",
)
@pytest.mark.parametrize("value", ["a" * 2000, "caf\u00e9"])
def test_an_answer_s_custom_attributes_are_passed_on_as_they_are(lab: Standing, value: str) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": value}
    raw = json.dumps({"say": "x", "headers": headers}, ensure_ascii=True)
    answer = httpx.post(url(lab, PATH), content=raw)
    found = dict(answer.headers.raw)
    name = next(one for one in found if one.lower() == b"x-amzn-sagemaker-custom-attributes")
    assert found[name].decode() == value


@pytest.mark.parametrize("status", [302, 307])
def test_boto3_gets_the_page_of_a_redirect(lab: Standing, status: int) -> None:
    answer = invoke(lab, status=status, say="moved", headers={"Location": "/elsewhere"})
    assert answer["Body"] == b"moved"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200  # type: ignore[index]
    said = httpx.get(url(lab, "/_lab/endpoints/eye/logs")).text
    assert "AllTraffic/lab " in said
    assert f"[platform] /invocations answers {status} (Location: /elsewhere)" in said


def test_a_container_that_hangs_up_is_a_model_error_and_is_asked_once(lab: Standing) -> None:
    before = len(lab.container.seen)
    with pytest.raises(ClientError, match="could not get a response from the eye endpoint"):
        invoke(lab, hang_up=True)
    assert len(lab.container.seen) == before + 1


def test_a_body_may_come_in_chunks(lab: Standing) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"say": '
        yield b'"chunked"}'

    assert httpx.post(url(lab, PATH), content=chunks()).content == b"chunked"


def test_a_client_that_expects_100_is_told_to_continue(lab: Standing) -> None:
    with socket.create_connection(("127.0.0.1", lab.port), timeout=5) as connection:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_a_body_beyond_every_limit_is_read_on_and_refused(lab: Standing) -> None:
    answer = httpx.post(url(lab, PATH), content=bytes(30 << 20), timeout=20)
    assert answer.status_code == 413
    assert "x-amzn-errortype" not in answer.headers
    assert answer.json() == {"message": "HTTP content length exceeded 26214400 bytes."}


def test_a_client_that_goes_away_leaves_no_lease(lab: Standing) -> None:
    with socket.create_connection(("127.0.0.1", lab.port), timeout=5) as connection:
        body = b'{"sleep": 0.3}'
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(0.1)
    servers = url(lab, "/_lab/endpoints/eye/servers")
    wait_until(lambda: httpx.get(servers).json()[0]["in_flight"] == 0)


def test_the_pool_says_how_many_answer_and_how_many_wait_for_one(lab: Standing) -> None:
    seen = httpx.get(url(lab, "/_lab/endpoints/eye/pool")).json()
    assert seen == {"serving": 1, "waiting": 0, "memory_bytes": None}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("POST", "/endpoints/eye/other", 404),
        ("POST", "/endpoints/", 404),
        ("POST", "/endpoints/eye%2Fx/invocations", 400),
        ("GET", "/", 405),
        ("GET", "/nothing", 404),
        ("POST", "/", 404),
        ("GET", "/_lab/endpoints/none/logs", 404),
        ("GET", "/_lab/endpoints/none/servers", 404),
        ("GET", "/_lab/endpoints/none/pool", 404),
        ("GET", "/_lab/endpoints/eye/logs?lines=-1", 422),
    ],
)
def test_what_is_not_there_is_refused_in_json(
    lab: Standing, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, url(lab, path))
    assert answer.status_code in {status, 400}
    said = answer.json()
    assert said.keys() & {"message", "Message", "detail"}


@fidelity(
    "InvokeEndpoint",
    "A name with a slash is a ValidationError that names the pattern, as for every other name.",
    DOCUMENTED,
    "botocore: sagemaker-runtime EndpointName",
)
@fidelity(
    "InvokeEndpointWithResponseStream",
    "A name with a slash is a ValidationError for a stream as for InvokeEndpoint.",
    DOCUMENTED,
    "botocore: sagemaker-runtime EndpointName",
)
@fidelity(
    "InvokeEndpointAsync",
    "A name with a slash is a ValidationError for an asynchronous call as for InvokeEndpoint.",
    DOCUMENTED,
    "botocore: sagemaker-runtime EndpointName",
)
@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("invoke_endpoint", {"Body": b""}),
        ("invoke_endpoint_with_response_stream", {"Body": b""}),
        ("invoke_endpoint_async", {"InputLocation": "s3://b/k"}),
    ],
)
def test_a_name_with_a_slash_is_refused_with_words(
    lab: Standing, operation: str, asked: dict[str, object]
) -> None:
    call = getattr(lab.client("sagemaker-runtime"), operation)
    with pytest.raises(ClientError) as caught:
        call(EndpointName="eye/x", **asked)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert "Value 'eye/x' at 'endpointName' failed to satisfy constraint" in error["Message"]


@fidelity(
    "Other services",
    "A path that no operation has is a 404 that says which there are.",
    OURS,
    "AWS answers UnknownOperationException without words",
)
def test_an_unknown_path_says_which_there_are(lab: Standing) -> None:
    said = httpx.post(url(lab, "/eye/invocations")).json()["message"]
    assert "POST /eye/invocations" in said
    assert "POST /endpoints/NAME/invocations" in said
    said = httpx.post(url(lab, "/endpoints/eye/x/invocations")).json()["Message"]
    assert "/endpoints/eye/x/invocations" in said
    assert "%2F" in said


def test_logs_of_an_unknown_endpoint_name_those_that_exist(lab: Standing) -> None:
    said = httpx.get(url(lab, "/_lab/endpoints/none/logs")).json()["message"]
    assert said == "There is no endpoint none. There are: eye, spark."


def test_what_only_the_lab_takes_is_said_in_the_answer_and_once_in_the_log(
    lab: Standing, caplog: pytest.LogCaptureFixture
) -> None:
    sagemaker = lab.client("sagemaker")
    answers = [
        sagemaker.create_model(
            ModelName=f"said{number}", PrimaryContainer={"Image": "said"}, ExecutionRoleArn=ROLE
        )
        for number in range(2)
    ]
    note = "The image said has a local name; AWS takes names of Amazon ECR's only."
    for answer in answers:
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-lab-note"] == note
    assert [record.getMessage() for record in caplog.records].count(note) == 1
    assert "x-lab-note" not in sagemaker.list_models()["ResponseMetadata"]["HTTPHeaders"]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "\u0663"])
def test_a_ceiling_of_instances_is_a_whole_number(tmp_path: Path, text: str) -> None:
    env = {"LAB_STATE": str(tmp_path)}
    assert read(env).emulator.max_instances == 20
    assert read({**env, "LAB_MAX_INSTANCES": "3"}).emulator.max_instances == 3
    with pytest.raises(UsageError, match="LAB_MAX_INSTANCES"):
        read({**env, "LAB_MAX_INSTANCES": text})


def test_the_private_api_answers(lab: Standing) -> None:
    assert httpx.get(url(lab, "/_lab/health")).json() == {"status": "ok"}
    targets = httpx.get(url(lab, "/_lab/targets")).json()
    assert {target["labels"]["endpoint"] for target in targets} >= {"eye"}
    assert "sagemaker_invocations_total" in httpx.get(url(lab, "/metrics")).text
    assert httpx.get(url(lab, "/_lab/endpoints/eye/logs")).status_code == 200
    invoke(lab, "spark")
    stopped = httpx.post(url(lab, "/_lab/endpoints/spark/scale-to-zero")).json()["stopped"]
    assert stopped >= 1
    assert httpx.get(url(lab, "/_lab/endpoints/spark/servers")).json() == []


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"a": NaN}', b"\xff", b"[" * 100_000])
def test_a_control_request_that_is_no_json_object_is_refused(lab: Standing, body: bytes) -> None:
    headers = {"x-amz-target": "SageMaker.CreateModel"}
    answer = httpx.post(url(lab, "/"), content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["__type"] in {"SerializationException", "ValidationException"}
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"


def test_an_operation_that_is_none_is_refused(lab: Standing) -> None:
    for target in ("SageMaker.Nothing", "Nothing", ""):
        answer = httpx.post(url(lab, "/"), content=b"{}", headers={"x-amz-target": target})
        assert answer.status_code in {400, 404}
        assert answer.json()["__type"]


NAMES = st.sampled_from(
    [
        "accept", "content-type", "authorization", "x-amz-date", "x-amz-content-sha256", "expect",
        "x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-inference-id", "x-unknown",
        "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-session-id",
        "x-amzn-sagemaker-inputlocation", "x-amzn-sagemaker-requestttlseconds",
    ]
)  # fmt: skip
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")).map(
    str.strip
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    name=st.text(st.characters(min_codepoint=1, max_codepoint=1000), max_size=70),
    operation=st.sampled_from(
        ["invocations", "invocations-response-stream", "async-invocations", "x", ""]
    ),
    headers=st.dictionaries(NAMES, VALUES, max_size=5),
    body=st.binary(max_size=100),
)
def test_nothing_odd_is_answered_with_500(
    lab: Standing, method: str, name: str, operation: str, headers: dict[str, str], body: bytes
) -> None:
    raw = {key.encode(): value.encode("latin-1") for key, value in headers.items()}
    path = url(lab, f"/endpoints/{quote(name)}/{operation}")
    answer = httpx.request(method, path, headers=raw, content=body, timeout=10)
    assert answer.status_code < 500


@pytest.mark.parametrize(
    "path", [b"/endpoints/\xff/invocations", b"/endpoints/%ff/invocations", b"//"]
)
def test_bytes_that_are_no_text_are_not_answered_with_500(lab: Standing, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", lab.port), timeout=5) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(1000)[9:12] in {b"400", b"404"}


def test_with_a_key_only_its_signature_is_admitted(tmp_path: Path) -> None:
    with standing(tmp_path, access_keys={"AKID": "secret"}) as lab:
        calls: dict[str, tuple[str, dict[str, object]]] = {
            "sagemaker": ("list_endpoints", {}),
            "sagemaker-runtime": ("invoke_endpoint", {"EndpointName": "x", "Body": b""}),
        }
        for service, (operation, parameters) in calls.items():
            for key, secret, code in (
                ("AKID", "wrong", "InvalidSignatureException"),
                ("other", "x", "UnrecognizedClientException"),
            ):
                call = getattr(lab.client(service, key=key, secret=secret), operation)
                with pytest.raises(ClientError) as error:
                    call(**parameters)
                assert error.value.response["Error"]["Code"] == code
        assert (
            lab.client("sagemaker", key="AKID", secret="secret").list_endpoints()["Endpoints"] == []
        )
        with pytest.raises(ClientError, match="not found"):
            lab.client("sagemaker-runtime", key="AKID", secret="secret").invoke_endpoint(
                EndpointName="x", Body=b""
            )
        assert httpx.post(url(lab, PATH)).json() == {"Message": "Missing Authentication Token"}
        assert httpx.get(url(lab, "/_lab/health")).status_code == 200


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%00b", "x" * 300, "-", "a_b"])
def test_logs_are_looked_for_under_the_names_of_endpoints_only(lab: Standing, name: str) -> None:
    with socket.create_connection(("127.0.0.1", lab.port)) as sock:  # a client would tidy the path
        head = f"GET /_lab/endpoints/{name}/logs HTTP/1.1\r\nHost: x\r\nConnection: close"
        sock.sendall(f"{head}\r\n\r\n".encode())
        status = sock.makefile("rb").readline().split()[1]
    assert status == b"404"


def test_who_follows_logs_and_goes_away_is_not_read_for_any_longer(
    lab: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    follow = LogFiles.follow

    async def followed(self: LogFiles, endpoint: str, *, lines: int = 0) -> AsyncIterator[str]:
        try:
            async for line in follow(self, endpoint, lines=lines):
                yield line
        finally:
            ended.set()

    monkeypatch.setattr(LogFiles, "follow", followed)
    path = url(lab, "/_lab/endpoints/eye/logs?follow=true&lines=0")
    with httpx.stream("GET", path) as answer:
        assert answer.status_code == 200
    assert ended.wait(30)


def test_a_header_carries_any_place_in_s3_and_no_second_header() -> None:
    headers = encoded({"X-Place": "s3://b/\u4e2d\r\nX-Other: \ud800é"}, "r")
    assert headers[0] == (b"x-place", b"s3://b/%E4%B8%AD%0D%0AX-Other: %3F\xe9")


@pytest.mark.parametrize(("text", "tries"), [("", None), ("1", 1), ("12", 12)])
def test_how_often_a_container_is_started_can_be_set(
    tmp_path: Path, text: str, tries: int | None
) -> None:
    env = {"LAB_STATE": str(tmp_path), "LAB_START_TRIES": text}
    assert read(env).emulator.start_tries == tries


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "often"])
def test_a_number_of_starts_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=f"LAB_START_TRIES={text} is not a whole number above 0"):
        read({"LAB_STATE": str(tmp_path), "LAB_START_TRIES": text})


def test_a_secret_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    env = {
        "LAB_STATE": str(tmp_path),
        "LAB_ACCESS_KEY_ID": "me",
        "LAB_SECRET_ACCESS_KEY_FILE": str(tmp_path / "key"),
    }
    with pytest.raises(UsageError, match="cannot be read: it is no text"):
        read(env)
