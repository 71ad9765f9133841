"""What a model may answer to an asynchronous request, and what is said of it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lab.endpoint.records import Origin, Resource
from lab.endpoint.transport import ContainerAnswer, ContainerCall, TransportError, UnreadableError
from tests.fidelity import ABSENT, DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.async_scene import World
from tests.unit.endpoint.standins import add_endpoint, dies

pytestmark = pytest.mark.anyio

Make = Callable[..., World]


@fidelity(
    "Asynchronous",
    'A model\'s fault reads `Received server error (500) from primary with message "..."`, bare.',
    SEEN,
    "https://github.com/awsdocs/amazon-sagemaker-developer-guide/issues/203",
)
async def test_a_models_error_is_written_to_the_failure_path(world: World) -> None:
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=500, headers={}, body=b"boom"
    )
    reply = await world.accept(b"x")
    await world.settled()
    assert list(world.objects.kept) == [reply.failure_location]
    assert reply.failure_location is not None
    reason, kind = world.objects.kept[reply.failure_location]
    assert reason == b'Received server error (500) from primary with message "boom"'
    assert kind == "text/plain"
    assert world.count("invocation_failures") == 1
    assert world.count("invocations_processed") == 0


@fidelity(
    "Asynchronous",
    "A failure is a line `[sagemaker logs] [INFERENCE-ID] REASON` of the endpoint's data-log.",
    SEEN,
    "https://github.com/awsdocs/amazon-sagemaker-developer-guide/issues/203",
)
async def test_what_a_model_said_is_one_short_line_of_the_endpoints_log(world: World) -> None:
    said = b"boom\nWARNING face: another line\n" + b"x" * 60_000
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=500, headers={}, body=said
    )
    reply = await world.accept(b"x")
    await world.settled()
    assert said in world.reason(reply)
    (line,) = [one for one in world.logs.lines if "sagemaker logs" in one]
    assert line.startswith(f"e/v [sagemaker logs] [{reply.inference_id}] Received server error")
    assert "boom WARNING face: another line" in line
    assert "\n" not in line
    assert len(line) < 2_100


def never(call: ContainerCall, timeout_s: float) -> Any:
    raise TimeoutError


def broken(status: int) -> ContainerAnswer:
    """Half of what it said it would send."""
    headers = {"content-length": "500"}
    cut = TransportError("cut")
    return ContainerAnswer(status=status, headers=headers, body=b"half", broken=cut)


def unreadable(call: ContainerCall, timeout_s: float) -> Any:
    raise UnreadableError("it did not answer in HTTP: Expected HTTP/")


@fidelity(
    "Asynchronous",
    "A container that closes the connection or dies is `Connection reset by peer for the NAME "
    "endpoint. Please retry.`, bare.",
    SEEN,
    "https://github.com/deepjavalibrary/djl-serving/issues/2648",
)
@fidelity(
    "Asynchronous",
    "An error's body that breaks off is `Received client error (413) from primary and could not "
    "load the entire response body.`, bare.",
    SEEN,
    "https://github.com/huggingface/notebooks/issues/274",
)
@fidelity(
    "Asynchronous",
    "A success that breaks off in its body fails as if the connection had been reset.",
    OURS,
    "half a prediction is none; AWS publishes nothing",
)
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda *_: broken(200), "Connection reset by peer for the e endpoint. Please retry."),
        (
            lambda *_: broken(413),
            "Received client error (413) from primary and could not load the entire response body.",
        ),
        (
            unreadable,
            "The lab could not read the answer of container primary: it did not answer in HTTP",
        ),
        (never, "Your invocation timed out while waiting for a response from container primary."),
        (dies, "Connection reset by peer for the e endpoint. Please retry."),
    ],
)
async def test_a_container_that_does_not_answer_is_asked_once(
    world: World, answer: Any, text: str
) -> None:
    world.transport.answer = answer
    reply = await world.accept(b"x")
    await world.settled()
    assert text in world.reason(reply).decode()
    assert len(world.transport.calls) == 1


# --- answers with a length, without one, with too much around them ------------------------------


@fidelity(
    "Asynchronous",
    "An answer without Content-Length (chunked, or ended by closing) is a failure: `The response "
    "from container primary did not specify the required Content-Length header`.",
    SEEN,
    "https://github.com/deepjavalibrary/djl-serving/issues/2567",
)
@pytest.mark.parametrize(
    "headers", [{"transfer-encoding": "chunked"}, {"connection": "close"}, {}], ids=str
)
async def test_an_answer_without_a_length_is_a_failure(
    world: World, headers: Mapping[str, str]
) -> None:
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=200, headers=headers, body=b"{}"
    )
    reply = await world.accept(b"x")
    await world.settled()
    said = b"The response from container primary did not specify the required Content-Length header"
    assert world.reason(reply) == said
    assert reply.output_location not in world.objects.kept
    (cure,) = [line for line in world.logs.lines if "The lab knows more: " in line]
    assert "answer with a whole body and its length" in cure


@fidelity(
    "Asynchronous",
    "An answer whose headers are longer than 4,096 bytes is a failure, in AWS's words.",
    SEEN,
    "https://github.com/aws/deep-learning-containers/issues/4668",
)
async def test_an_answer_with_long_headers_is_a_failure(world: World) -> None:
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=200, headers={"content-length": "0"}, body=b"", head_bytes=4097
    )
    reply = await world.accept(b"x")
    await world.settled()
    assert world.reason(reply) == (
        b"Response received from the primary container has headers with length greater than 4096 "
        b"bytes. Reduce the length of your container's response headers and update your endpoint."
    )


async def test_headers_of_just_so_many_bytes_are_taken(world: World) -> None:
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=200, headers={"content-length": "2"}, body=b"ok", head_bytes=4096
    )
    reply = await world.accept(b"x")
    await world.settled()
    assert world.objects.kept[reply.output_location][0] == b"ok"


@fidelity(
    "Asynchronous",
    "A redirect is a result: its page is the object at OutputLocation, and the log says so.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/3238",
)
async def test_a_redirects_page_is_the_result_and_the_log_says_so(world: World) -> None:
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=307, headers={"content-length": "5", "location": "/invocations/"}, body=b"moved"
    )
    reply = await world.accept(b"x")
    await world.settled()
    assert world.objects.kept[reply.output_location][0] == b"moved"
    (line,) = [line for line in world.logs.lines if "redirect" in line]
    assert "/invocations answers 307 (Location: /invocations/)" in line


async def test_the_log_says_what_the_container_died_of(world: World) -> None:
    world.transport.answer = dies
    world.pool.died = "The container exited with code 3."
    reply = await world.accept(b"x")
    await world.settled()
    assert world.reason(reply) == b"Connection reset by peer for the e endpoint. Please retry."
    (line,) = [line for line in world.logs.lines if "knows more" in line]
    assert line.endswith("The lab knows more: the container exited with code 3.")


async def test_a_request_that_expired_is_told_with_why_no_instance_came(world: World) -> None:
    world.pool.servers = []
    world.pool.last_failure = "The model data s3://box/gone.tar.gz is not there."
    await world.accept(b"x", RequestTTLSeconds="60")
    await world.clock.advance(61.0)
    await world.settled()
    assert any("gone.tar.gz is not there" in line for line in world.logs.lines)


# --- notifications -------------------------------------------------------------------------------

TOPICS = {"SuccessTopic": "arn:ok", "ErrorTopic": "arn:bad"}


def notice(world: World) -> Mapping[str, Any]:
    """The message that would have been published."""
    (said,) = [line for line in world.logs.lines if "SNS is not emulated" in line]
    found: Mapping[str, Any] = json.loads(said.partition("would go: ")[2])
    return found


def telling(make: Make, *included: str) -> World:
    config = {**TOPICS, **({"IncludeInferenceResponseIn": list(included)} if included else {})}
    failures = "s3://box/failures"
    return make(
        output={
            "S3OutputPath": "s3://box/out",
            "S3FailurePath": failures,
            "NotificationConfig": config,
        }
    )


@fidelity(
    "Asynchronous",
    "A notification has AWS's members, and none of what the request did not say.",
    SEEN,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html",
)
@fidelity(
    "Asynchronous",
    "Nothing is published to SNS: the endpoint's data-log has the message and its topic.",
    ABSENT,
    "the lab has no SNS",
)
@pytest.mark.parametrize("fails", [False, True])
async def test_notifications_go_to_the_endpoints_log(make: Make, *, fails: bool) -> None:
    world = telling(make)
    if fails:
        world.transport.answer = dies

    await world.accept(b"x", Content_Type="text/csv", Inference_Id="i")
    await world.settled()
    (said,) = [line for line in world.logs.lines if "SNS" in line]
    topic = f"arn:{'bad' if fails else 'ok'}"
    assert said.startswith(f"e/v [platform] SNS is not emulated. To {topic} would go: {{")
    message = notice(world)
    assert message["invocationStatus"] == ("Failed" if fails else "Completed")
    assert message["inferenceId"] == "i"
    assert message["eventName"] == "InferenceResult"
    assert message["requestParameters"]["endpointName"] == "e"
    assert message["requestParameters"]["contentType"] == "text/csv"
    assert "accept" not in message["requestParameters"]
    if fails:
        reset = "Connection reset by peer for the e endpoint. Please retry."
        assert message["failureReason"] == f"ClientError: {reset}"
        assert message["responseParameters"]["failureLocation"].startswith("s3://box/failures/")
    else:
        assert message["responseParameters"]["contentType"] == "text/plain"
        assert message["responseParameters"]["outputLocation"].startswith("s3://box/out/")


@fidelity(
    "Asynchronous",
    "IncludeInferenceResponseIn puts an answer of up to 128 KB into the notification.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AsyncInferenceNotificationConfig.html",
)
@fidelity(
    "Asynchronous",
    "The included answer is `responseBody`: its content and its encoding, UTF-8 or BASE64.",
    OURS,
    "AWS publishes no form of it",
)
@pytest.mark.parametrize(
    ("status", "body", "embedded"),
    [
        (200, b"1,2", {"content": "1,2", "encoding": "UTF-8"}),
        (200, b"\xff\x00", {"content": "/wA=", "encoding": "BASE64"}),
        (200, b"x" * 131_072, {"content": "x" * 131_072, "encoding": "UTF-8"}),
        (200, b"x" * 131_073, None),
        (500, b"boom", {"content": "boom", "encoding": "UTF-8"}),
    ],
)
async def test_the_answer_goes_into_the_notification_where_it_is_asked_for(
    make: Make, status: int, body: bytes, embedded: Mapping[str, str] | None
) -> None:
    world = telling(make, "SUCCESS_NOTIFICATION_TOPIC", "ERROR_NOTIFICATION_TOPIC")
    world.transport.answer = lambda call, timeout_s: ContainerAnswer(
        status=status, headers={"content-length": str(len(body))}, body=body
    )
    await world.accept(b"x")
    await world.settled()
    assert notice(world)["responseParameters"].get("responseBody") == embedded


async def test_the_answer_stays_out_of_a_notification_that_does_not_ask_for_it(make: Make) -> None:
    world = telling(make, "ERROR_NOTIFICATION_TOPIC")
    await world.accept(b"x")
    await world.settled()
    assert "responseBody" not in notice(world)["responseParameters"]


@fidelity(
    "Asynchronous",
    "CreateEndpoint, UpdateEndpoint and UpdateEndpointWeightsAndCapacities send a TestNotification "
    "to each topic.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html",
)
@pytest.mark.parametrize(
    ("topics", "lines"), [(TOPICS, 2), ({"SuccessTopic": "arn:ok", "ErrorTopic": "arn:ok"}, 1)]
)
async def test_each_topic_is_tried_once(
    world: World, topics: Mapping[str, str], lines: int
) -> None:
    body = {
        "ProductionVariants": [{"VariantName": "v"}],
        "AsyncInferenceConfig": {"OutputConfig": {"NotificationConfig": topics}},
    }
    config = Resource(name="c", arn="arn", created_at=0.0, body=body)
    made_from = {"c": Origin(config=config, models={}, tags={})}
    add_endpoint(world.store, "made", config_name="c", origins=made_from)
    world.queue.announce("made")
    world.queue.announce("never-made")
    assert len(world.logs.lines) == lines
    assert world.logs.lines[0] == (
        "made/v [platform] SNS is not emulated. To arn:ok would go: "
        '{"eventVersion":"1.0","eventSource":"aws:sagemaker","eventName":"TestNotification"}'
    )
