import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lab.endpoint.live import Death, LaunchFailed, LiveVariant, NotReady, Setup, Throttled
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime.streaming import frames
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import ContainerAnswer, NotSentError, TransportError
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.protocol.test_eventstream import parsed
from tests.unit.endpoint.scene import Scene, request
from tests.unit.endpoint.standins import OK, FakePool, plan, server

pytestmark = pytest.mark.anyio

Make = Callable[..., Scene]


@pytest.fixture
def make(store: SqliteStore) -> Make:
    return partial(Scene, store)


@pytest.fixture
def scene(make: Make) -> Scene:
    return make()


def as_headers(name: str, value: str) -> dict[str, Any]:
    return {name: value}


async def refused(
    scene: Scene, body: bytes = b"body", *, stream: bool = False, **headers: Any
) -> ApiError:
    call = scene.invoker.stream if stream else scene.invoker.invoke
    with pytest.raises(ApiError) as error:
        await call(request(body, **headers))
    assert scene.pool.in_flight == 0
    return error.value


# --- what goes in and comes out ----------------------------------------------------------------


async def test_only_the_documented_headers_reach_the_container(scene: Scene) -> None:
    await scene.invoker.invoke(
        request(
            content_type="image/png",
            accept="text/csv",
            x_amzn_sagemaker_custom_attributes="trace=1",
            x_amzn_sagemaker_inference_id="i1",
            x_amzn_sagemaker_session_id="NEW_SESSION",
            x_amzn_sagemaker_target_variant="v",
            authorization="AWS4-HMAC-SHA256 secret",
            user_agent="Boto3",
            x_forwarded_for="1.2.3.4",
        )
    )
    (call,) = scene.transport.calls
    assert call.body == b"body"
    assert call.headers == {
        "Content-Type": "image/png",
        "Accept": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Inference-Id": "i1",
        "X-Amzn-SageMaker-Session-Id": "NEW_SESSION",
    }
    assert scene.transport.timeouts == [60]


async def test_only_the_documented_headers_come_back_and_the_variant_is_named(make: Make) -> None:
    scene = make(
        ContainerAnswer(
            status=201,
            headers={
                "content-type": "text/csv",
                "x-amzn-sagemaker-custom-attributes": "seen",
                "x-amzn-sagemaker-new-session-id": "s; Expires=2027-01-01T00:00:00Z",
                "x-amzn-sagemaker-closed-session-id": "t",
                "server": "uvicorn",
                "set-cookie": "a=b",
            },
            body=b"1,2",
        )
    )
    reply = await scene.invoker.invoke(request())
    assert reply.body == b"1,2"
    assert reply.headers == {
        "Content-Type": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "seen",
        "X-Amzn-SageMaker-New-Session-Id": "s; Expires=2027-01-01T00:00:00Z",
        "X-Amzn-SageMaker-Closed-Session-Id": "t",
        "x-Amzn-Invoked-Production-Variant": "v",
        "x-lab-cold-start": "0",
    }


async def test_a_streamed_request_takes_accept_from_the_services_own_header(scene: Scene) -> None:
    await streamed(scene, accept="*/*", x_amzn_sagemaker_accept="text/csv", content_type="a/b")
    assert scene.transport.calls[0].headers == {"Accept": "text/csv", "Content-Type": "a/b"}
    assert scene.transport.timeouts == [480]


# --- what is refused before a container sees it ------------------------------------------------


async def test_an_unknown_endpoint_is_not_found_in_the_account(scene: Scene) -> None:
    error = await refused(scene, endpoint="other")
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message == "Endpoint other of account 000000000000 not found."


async def test_names_are_exact(scene: Scene) -> None:
    assert "not found" in str(await refused(scene, endpoint="Eye"))


@fidelity(
    "Serverless",
    "A serverless endpoint that is being created answers ModelNotReadyException (429), also when "
    "its configuration was deleted meanwhile.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html",
)
async def test_a_serverless_endpoint_that_is_being_created_is_not_ready(scene: Scene) -> None:
    # Its configuration may be deleted by now: the endpoint has its own of what it was made of.
    scene.creating(serverless=True)
    error = await refused(scene)
    assert (error.code, error.status) == ("ModelNotReadyException", 429)


async def test_a_real_time_endpoint_that_is_being_created_is_not_found(scene: Scene) -> None:
    scene.creating(serverless=False)
    assert (await refused(scene)).code == "ValidationError"


@fidelity(
    "InvokeEndpoint",
    "An asynchronous endpoint `does not support this inference type`, and a synchronous one not "
    "InvokeEndpointAsync.",
    SEEN,
    "public programs fall back from one operation to the other on these words",
)
async def test_an_asynchronous_endpoint_takes_no_other_calls(make: Make) -> None:
    error = await refused(make(kind=EndpointKind.ASYNC))
    assert error.code == "ValidationError"
    assert error.message == (
        "Endpoint eye of account 000000000000 does not support this inference type. The lab knows "
        "more: it is asynchronous, use InvokeEndpointAsync."
    )


@pytest.mark.parametrize("name", ["-eye", "e" * 64, "e_e", "ä", ""])
async def test_a_name_that_the_model_does_not_allow_is_refused_as_aws_words_it(
    scene: Scene, name: str
) -> None:
    error = await refused(scene, endpoint=name)
    assert error.code == "ValidationError"
    assert "detected: Value '" in str(error)
    assert "at 'endpointName' failed to satisfy constraint: Member must" in str(error)


@pytest.mark.parametrize(
    ("header", "value", "member"),
    [
        ("x_amzn_sagemaker_inference_id", "i" * 65, "inferenceId"),
        ("x_amzn_sagemaker_inference_id", "", "inferenceId"),
        ("x_amzn_sagemaker_custom_attributes", "c" * 1025, "customAttributes"),
        ("x_amzn_sagemaker_custom_attributes", "ü", "customAttributes"),
        ("x_amzn_sagemaker_target_variant", "-", "targetVariant"),
        ("x_amzn_sagemaker_session_id", "a b", "sessionId"),
    ],
)
async def test_headers_are_held_to_the_services_model(
    scene: Scene, header: str, value: str, member: str
) -> None:
    error = await refused(scene, **as_headers(header, value))
    assert error.code == "ValidationError"
    assert f"at '{member}' failed to satisfy constraint" in str(error)
    # What a client calls a secret is not repeated.
    assert (value in str(error).partition(" at ")[0]) is (member != "customAttributes")


@fidelity(
    "InvokeEndpoint",
    "TargetModel on an endpoint of one model: `Endpoint NAME is not a multi-model endpoint and "
    "does not support target model header.`, ErrorCode TARGET_MODEL_HEADER_NOT_SUPPORTED.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/1216",
)
@fidelity(
    "InvokeEndpoint",
    "InferenceComponentName on an endpoint without components: `Inference Component Name header is "
    "not allowed ...`, in AWS's words.",
    SEEN,
    "https://github.com/BerriAI/litellm/pull/37766",
)
@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "x_amzn_sagemaker_target_model",
            "Endpoint eye is not a multi-model endpoint and does not support target model header.",
        ),
        ("x_amzn_sagemaker_target_container_hostname", "The lab: TargetContainerHostname is only"),
        (
            "x_amzn_sagemaker_inference_component",
            "Inference Component Name header is not allowed for endpoints to which you dont plan",
        ),
        ("x_amzn_sagemaker_enable_explanations", "The lab: EnableExplanations is only"),
    ],
)
async def test_headers_of_other_kinds_of_endpoint_are_refused(
    scene: Scene, header: str, message: str
) -> None:
    error = await refused(scene, **as_headers(header, "x"))
    assert error.code == "ValidationError"
    assert str(error.message).startswith(message)
    code = error.fields.get("ErrorCode")
    assert (code == "TARGET_MODEL_HEADER_NOT_SUPPORTED") is header.endswith("target_model")


async def test_a_serverless_request_beyond_4_mb_has_an_oversize_body(make: Make) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    await scene.invoker.invoke(request(bytes(4 * 1024 * 1024)))
    error = await refused(scene, bytes(4 * 1024 * 1024 + 1))
    assert error.code == "ValidationError"
    assert error.message == "Request r-1 has oversize body."


async def test_a_real_time_request_beyond_the_configured_limit_is_a_bare_413(scene: Scene) -> None:
    error = await refused(scene, bytes(25 * 1024 * 1024 + 1))
    assert (error.code, error.status) == ("413", 413)
    assert error.message == "HTTP content length exceeded 26214400 bytes."


# --- what the model does -----------------------------------------------------------------------


@fidelity(
    "Answers",
    "4xx and 5xx of a container are a ModelError (424) with its status and what it said.",
    DOCUMENTED,
    "botocore: ModelError of sagemaker-runtime",
)
@fidelity(
    "Answers",
    "Statuses below 200 and from 600 on are a server's fault.",
    OURS,
    "no page says what AWS makes of them",
)
@pytest.mark.parametrize(
    ("status", "side"),
    [(400, "client"), (499, "client"), (503, "server"), (0, "server"), (600, "server")],
)
async def test_anything_but_success_is_a_model_error_with_what_it_said(
    make: Make, status: int, side: str
) -> None:
    error = await refused(make(ContainerAnswer(status=status, headers={}, body=b"no such thing")))
    assert (error.code, error.status) == ("ModelError", 424)
    assert str(error.message).startswith(
        f'Received {side} error ({status}) from primary with message "no such thing". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logEventViewer:group=/aws/sagemaker/Endpoints/eye in account 000000000000"
    )
    assert error.fields == {
        "OriginalStatusCode": status,
        "OriginalMessage": "no such thing",
        "LogStreamArn": "arn:aws:logs:us-east-1:000000000000:log-group:"
        "/aws/sagemaker/Endpoints/eye:log-stream:v/i-1",
    }


async def test_no_answer_in_time_is_a_model_error_of_status_0(make: Make) -> None:
    scene = make(TimeoutError())
    error = await refused(scene)
    assert error.fields["OriginalStatusCode"] == 0
    assert "Your invocation timed out while waiting for a response from container primary" in str(
        error
    )
    assert scene.counted("invocation_model_errors_total") == 1
    assert scene.pool.servers[0].tainted


async def test_a_server_is_busy_for_as_long_as_its_request_may_take(scene: Scene) -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scene.transport.answer = lambda *_: never
    asked = asyncio.create_task(scene.invoker.invoke(request()))
    await scene.clock.advance(59)
    busy, idle = (one.may_be_busy(scene.clock.monotonic()) for one in scene.pool.servers)
    assert (busy, idle) == (True, False)
    # Its caller goes away: it may go on with the request until the time for that is over.
    asked.cancel()
    await asyncio.wait({asked})
    first = scene.pool.servers[0]
    assert first.may_be_busy(59.9)
    assert not first.may_be_busy(60)


async def test_a_broken_connection_is_a_model_error_and_the_request_is_not_sent_again(
    make: Make,
) -> None:
    scene = make(TransportError("The container hung up"), OK)
    error = await refused(scene)
    assert error.fields["OriginalStatusCode"] == 0
    assert "could not get a response from the eye endpoint" in str(error)
    assert str(error.message).endswith(" The lab knows more: the container hung up.")
    assert len(scene.transport.calls) == 1


@fidelity(
    "Answers",
    "What the lab knows beside AWS's sentence comes last in the Message, and is not in "
    "OriginalMessage.",
    OURS,
    "programs that match AWS's words still do; people see the cause",
)
async def test_a_container_that_died_is_told_with_its_cause_after_all_that_is_awss(
    make: Make,
) -> None:
    scene = make(TransportError("gone"))
    scene.pool.died = "The container exited with code 3."
    error = await refused(scene)
    assert str(error.message).endswith(
        "/aws/sagemaker/Endpoints/eye in account 000000000000 for more information."
        " The lab knows more: the container exited with code 3."
    )
    assert error.fields["OriginalMessage"].endswith("with more CPU capacity or memory.")


@fidelity(
    "Answers",
    "A redirect (300 to 399) is a success with the redirect's own body; it is not followed.",
    SEEN,
    "https://github.com/aws/amazon-sagemaker-examples/issues/3238",
)
@fidelity(
    "Metrics",
    "A redirect counts in InvocationModelErrors, as what is not 2XX, and in no other error metric.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html",
)
@pytest.mark.parametrize("status", [300, 304, 307, 399])
async def test_a_redirects_page_is_the_prediction_and_the_log_says_so_once(
    make: Make, status: int
) -> None:
    scene = make(
        ContainerAnswer(
            status=status,
            headers={"content-type": "text/html", "location": "/invocations/"},
            body=b"moved, see there",
        )
    )
    for _ in range(4):
        reply = await scene.invoker.invoke(request())
    assert reply.body == b"moved, see there"
    assert reply.headers["Content-Type"] == "text/html"
    assert "location" not in {name.lower() for name in reply.headers}
    (line,) = scene.logs.lines
    assert line == (
        f"eye/v [platform] /invocations answers {status} (Location: /invocations/): SageMaker "
        "follows no redirect, the caller gets this page as the prediction."
    )
    assert scene.counted("invocation_model_errors_total") == 4
    assert scene.counted("invocation_5xx_errors_total") == 0


@fidelity(
    "Answers",
    "When an error's body breaks off, status and class survive: `Received client error (413) from "
    "primary and could not load the entire response body.`, bare.",
    SEEN,
    "https://github.com/huggingface/notebooks/issues/274",
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "side", "metric"),
    [(413, "client", "invocation_4xx_errors"), (500, "server", "invocation_5xx_errors")],
)
async def test_an_error_that_breaks_off_keeps_its_status_and_its_class(
    make: Make, status: int, side: str, metric: str, *, stream: bool
) -> None:
    cut = TransportError("cut")
    scene = make(ContainerAnswer(status=status, headers={}, body=b"too lar", broken=cut))
    error = await refused(scene, stream=stream)
    assert str(error.message).startswith(
        f"Received {side} error ({status}) from primary and could not load the entire response "
        "body. See https://us-east-1.console.aws.amazon.com/"
    )
    assert error.fields["OriginalStatusCode"] == status
    assert error.fields["OriginalMessage"] == "too lar"
    assert scene.counted(f"{metric}_total") == 1


@fidelity(
    "Answers",
    "A success that breaks off in its body is no success: status 0, as if nothing had come.",
    OURS,
    "half a prediction is none; AWS publishes nothing",
)
async def test_half_a_prediction_is_none(make: Make) -> None:
    cut = TransportError("The container closed the connection in the middle of its answer")
    scene = make(ContainerAnswer(status=200, headers={}, body=b"half", broken=cut))
    error = await refused(scene)
    assert error.fields["OriginalStatusCode"] == 0
    assert "could not get a response" in error.fields["OriginalMessage"]
    assert "in the middle of its answer" in str(error.message)
    assert scene.counted("invocation_model_errors_total") == 1
    assert scene.counted("invocation_4xx_errors_total") == 0


async def test_a_prediction_that_never_ends_ran_out_of_time(make: Make) -> None:
    scene = make(ContainerAnswer(status=200, headers={}, body=b"half", broken=TimeoutError()))
    error = await refused(scene)
    assert "timed out while waiting" in str(error)
    assert scene.pool.servers[0].tainted


async def test_no_more_of_an_answer_is_read_than_is_passed_on(make: Make) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    await scene.invoker.invoke(request())
    assert scene.transport.calls[0].most_bytes == 4 * 1024 * 1024


async def test_a_request_that_was_never_taken_goes_to_another_server(make: Make) -> None:
    scene = make(NotSentError("refused"), OK)

    asked = asyncio.create_task(scene.invoker.invoke(request()))
    await scene.clock.advance(1)
    assert (await asked).body == b"{}"
    assert scene.transport.addresses == [("127.0.0.1", 8001), ("127.0.0.1", 8002)]
    assert scene.pool.in_flight == 0


async def test_a_request_is_for_the_server_that_was_chosen_and_not_for_its_address(
    make: Make,
) -> None:
    scene = make()
    await scene.invoker.invoke(request())
    (call,) = scene.transport.calls
    assert call.wanted()
    for one in scene.pool.servers:
        one.death = Death("exit code 137")
    assert not call.wanted()


async def test_servers_that_take_nothing_are_tried_for_60_s(make: Make) -> None:
    scene = make(NotSentError("refused"))
    asked = asyncio.create_task(scene.invoker.invoke(request()))
    await scene.clock.advance(59)
    assert not asked.done()
    await scene.clock.advance(2)
    with pytest.raises(ApiError, match="could not get a response"):
        await asked
    assert scene.pool.in_flight == 0


async def test_an_answer_beyond_the_limit_is_a_model_error(make: Make) -> None:
    scene = make(
        ContainerAnswer(status=200, headers={}, body=bytes(5 << 20)), kind=EndpointKind.SERVERLESS
    )
    assert (await refused(scene)).code == "ModelError"


# --- waiting for a server ----------------------------------------------------------------------


async def test_above_max_concurrency_the_client_is_throttled_with_a_null_message(
    make: Make,
) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    scene.pool.now = [Throttled()]
    error = await refused(scene)
    assert (error.code, error.status, error.message) == ("ThrottlingException", 400, None)
    assert scene.counted("throttled_invocations_total") == 1
    assert scene.counted("invocations_total") == 0


async def test_a_cold_start_is_waited_for_and_counted_as_setup(make: Make) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    scene.pool.now = [None]
    scene.pool.setup = Setup(total_s=3.0, phases_s={})
    await scene.invoker.invoke(request())
    assert scene.counted("cold_starts_total") == 1
    assert scene.counted("model_setup_time_seconds_sum") == 3.0


async def test_an_answer_says_for_how_long_its_request_waited_for_a_container_s_start(
    make: Make,
) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    scene.pool.now = [None]
    scene.pool.setup = Setup(total_s=3.0, phases_s={})
    asked = request()
    asked.received = scene.clock.monotonic() - 3.25
    assert (await scene.invoker.invoke(asked)).headers["x-lab-cold-start"] == "3.250000"
    scene.pool.setup = None  # as long, and all of it in our own queue
    asked.received = scene.clock.monotonic() - 3.25
    assert (await scene.invoker.invoke(asked)).headers["x-lab-cold-start"] == "0"


async def test_a_cold_start_that_fails_is_a_model_error_with_the_cause(make: Make) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    scene.pool.now = [None]
    scene.pool.late = LaunchFailed("exit code 3: no such model")
    error = await refused(scene)
    assert error.code == "ModelError"
    assert str(error.message).endswith(" The lab knows more: exit code 3: no such model.")
    assert "exit code" not in error.fields["OriginalMessage"]


async def test_requests_of_one_prefix_go_to_one_server_and_on_to_another_when_it_is_busy(
    scene: Scene,
) -> None:
    scene.pool.plan = replace(scene.pool.plan, prefix_bytes=1024, prefix_at_once=1)
    ids = [f"tenant-{number}" for number in range(20)]
    for each in ids * 2:
        await scene.invoker.invoke(request(x_amzn_sagemaker_prefix_aware_id=each))
    asked = scene.transport.addresses
    assert asked[:20] == asked[20:]
    assert len(set(asked)) == 2
    busy = scene.pool.servers[asked[0][1] - 8001]
    busy.in_flight = 1
    await scene.invoker.invoke(request(x_amzn_sagemaker_prefix_aware_id=ids[0]))
    assert asked[-1] != asked[0]


async def test_a_real_time_request_waits_60_s_for_a_server_and_no_longer(scene: Scene) -> None:
    scene.pool.now = [None]
    scene.pool.never = True
    asked = asyncio.create_task(scene.invoker.invoke(request()))
    await scene.clock.advance(59.9)
    assert not asked.done()
    await scene.clock.advance(0.2)
    with pytest.raises(ApiError, match="could not get a response"):
        await asked


async def test_a_serverless_variant_without_servers_is_not_ready(make: Make) -> None:
    scene = make(kind=EndpointKind.SERVERLESS)
    scene.pool.now = [None]
    scene.pool.late = NotReady()
    assert (await refused(scene)).code == "ModelNotReadyException"


async def test_a_request_that_is_cancelled_while_it_waits_leaves_no_lease(scene: Scene) -> None:
    scene.pool.now = [None]
    scene.pool.never = True
    asked = asyncio.create_task(scene.invoker.invoke(request()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert scene.pool.in_flight == 0


# --- shadows and capture -----------------------------------------------------------------------


async def test_a_shadow_gets_a_copy_and_its_answer_is_dropped(make: Make) -> None:
    scene = make(OK, ContainerAnswer(status=500, headers={}, body=b"shadow"))
    shadow = FakePool(plan=plan(name="shadow"), servers=[server("s")])
    scene.live.shadows = [LiveVariant(name="shadow", pool=shadow, weight=1.0)]
    reply = await scene.invoker.invoke(request())
    for _ in range(10):
        await asyncio.sleep(0)
    # The copy may be sent first or second; the client gets a success or a ModelError by the
    # script's order, so let the shadow's own pool say that it was asked.
    assert reply.body == b"{}"
    assert (shadow.leased, shadow.in_flight) == (1, 0)
    assert scene.counted("invocations_total") == scene.counted("invocations_total", "shadow") == 1


async def test_what_the_model_answered_is_captured_where_it_is_configured(make: Make) -> None:
    scene = make(
        capture={
            "InitialSamplingPercentage": 100,
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "DestinationS3Uri": "s3://box",
        }
    )
    await scene.invoker.invoke(request(x_amzn_sagemaker_inference_id="i7"))
    await scene.capture.close()
    ((lines, _),) = scene.objects.kept.values()
    captured = json.loads(lines)
    assert captured["eventMetadata"]["inferenceId"] == "i7"
    sides = captured["captureData"]
    assert base64.b64decode(sides["endpointInput"]["data"]) == b"body"
    assert base64.b64decode(sides["endpointOutput"]["data"]) == OK.body


# --- streams -----------------------------------------------------------------------------------


async def streamed(
    scene: Scene, **headers: Any
) -> tuple[Mapping[str, str], list[tuple[dict[str, str], bytes]]]:
    reply = await scene.invoker.stream(request(**headers))
    data = b"".join([frame async for frame in reply.frames])
    await reply.close()
    await reply.close()
    assert scene.pool.in_flight == 0
    assert scene.transport.streams_closed == 1
    return reply.headers, parsed(data)


async def test_a_stream_comes_as_parts_that_add_up_to_what_the_model_sent(make: Make) -> None:
    scene = make(
        ContainerAnswer(status=200, headers={"content-type": "text/event-stream"}, body=b"")
    )
    scene.transport.parts = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
    headers, found = await streamed(scene)
    assert headers == {
        "X-Amzn-SageMaker-Content-Type": "text/event-stream",
        "x-Amzn-Invoked-Production-Variant": "v",
    }
    assert b"".join(payload for _, payload in found) == b"data: one\n\ndata: two\n\ndata: three\n\n"
    assert scene.counted("invocations_total") == 1
    assert scene.counted("invocation_model_errors_total") == 0


@fidelity(
    "Streams",
    "A stream that runs out of time ends with ModelStreamError, ModelInvocationTimeExceeded, and "
    "AWS's sentence.",
    SEEN,
    "https://github.com/aws/sagemaker-python-sdk/issues/1119",
)
@fidelity(
    "Streams",
    "A stream that breaks off ends with ModelStreamError, StreamBroken, in the lab's words.",
    DOCUMENTED,
    "botocore: ModelStreamError of sagemaker-runtime",
)
@pytest.mark.parametrize(
    ("failure", "kind", "code", "says"),
    [
        (TransportError("reset"), "ModelStreamError", b"StreamBroken", b"The lab: the model's"),
        (
            TimeoutError(),
            "ModelStreamError",
            b"ModelInvocationTimeExceeded",
            b"Your model primary did not complete sending the inference response in the allotted",
        ),
        (KeyError("bug"), "InternalStreamFailure", b"KeyError", b"The lab could not pass"),
    ],
)
async def test_a_stream_that_breaks_off_says_so_after_what_had_come(
    scene: Scene, failure: Exception, kind: str, code: bytes, says: bytes
) -> None:
    scene.transport.parts = [b"first", failure]
    _, found = await streamed(scene)
    *parts, (headers, payload) = found
    assert b"".join(part for _, part in parts) == b"first"
    assert headers[":exception-type"] == kind
    assert code in payload
    assert says in payload
    assert scene.counted("invocation_model_errors_total") == 1


async def test_a_server_may_be_busy_with_a_stream_whose_caller_went_away(scene: Scene) -> None:
    scene.transport.parts = [b"first", b"second"]
    reply = await scene.invoker.stream(request())
    await anext(reply.frames)
    await reply.close()
    assert scene.pool.in_flight == 0
    assert scene.pool.servers[0].may_be_busy(479)
    assert not scene.pool.servers[0].may_be_busy(480)


@fidelity(
    "Metrics",
    "A stream whose caller went away is no InvocationModelError: the model had answered.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html",
)
async def test_a_caller_who_leaves_a_stream_is_not_the_models_error(scene: Scene) -> None:
    scene.transport.parts = [b"first", b"second"]
    reply = await scene.invoker.stream(request())
    await anext(reply.frames)
    await reply.close()
    assert scene.counted("invocations_total") == 1
    assert scene.counted("invocation_model_errors_total") == 0


async def test_a_stream_that_breaks_off_says_what_the_container_died_of(scene: Scene) -> None:
    scene.transport.parts = [b"first", TransportError("reset")]
    scene.pool.died = "The container exited with code 3."
    _, found = await streamed(scene)
    assert b'broke off: The container exited with code 3."' in found[-1][1]


async def test_an_error_before_the_stream_is_an_ordinary_model_error(make: Make) -> None:
    scene = make(ContainerAnswer(status=500, headers={}, body=b"no"))
    error = await refused(scene, stream=True)
    assert error.fields["OriginalStatusCode"] == 500
    assert scene.transport.streams_closed == 1


async def test_a_stream_that_nobody_reads_gives_its_server_back(scene: Scene) -> None:
    reply = await scene.invoker.stream(request())
    await reply.close()
    assert scene.pool.in_flight == 0


async def test_a_slow_model_does_not_keep_what_it_has_said_waiting() -> None:
    async def slow(end: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"hello"
        await end.wait()

    end = asyncio.Event()
    got = b""

    async def alive() -> None:
        return None

    framed: Any = frames(slow(end), rng=random.Random(1), container="primary", autopsy=alive)
    while got != b"hello":
        ((_, payload),) = parsed((await anext(framed)).frame)
        got += payload
    end.set()
    await framed.aclose()
