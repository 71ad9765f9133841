import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lab.endpoint.live import LiveVariant
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime.sessions import NEW, Sessions
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import ContainerAnswer, NotSentError
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.scene import Scene, request
from tests.unit.endpoint.standins import OK, FakePool, live, plan, server

pytestmark = pytest.mark.anyio

Make = Callable[..., Scene]

IN_10_MIN = "2027-01-15T08:10:00Z"
"""By the scene's clock."""


@pytest.fixture
def make(store: SqliteStore) -> Make:
    return partial(Scene, store)


def says(**headers: str) -> ContainerAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ContainerAnswer(status=200, headers=named, body=b"{}")


def opens(session_id: str = "s1", expires: str = IN_10_MIN) -> ContainerAnswer:
    return says(x_amzn_sagemaker_new_session_id=f"{session_id}; Expires={expires}")


CLOSES = says(x_amzn_sagemaker_closed_session_id="s1")


async def ask(scene: Scene, session_id: str, **headers: Any) -> dict[str, str]:
    asked = request(x_amzn_sagemaker_session_id=session_id, **headers)
    return dict((await scene.invoker.invoke(asked)).headers)


async def stream(scene: Scene, session_id: str) -> None:
    reply = await scene.invoker.stream(request(x_amzn_sagemaker_session_id=session_id))
    assert [frame async for frame in reply.frames]
    await reply.close()


async def refused(scene: Scene, session_id: str = "s1", **headers: Any) -> str:
    with pytest.raises(ApiError) as error:
        await ask(scene, session_id, **headers)
    assert (error.value.code, error.value.status) == ("ValidationError", 400)
    assert scene.pool.in_flight == 0
    return str(error.value.message)


async def opened_at_the_second(scene: Scene) -> None:
    """The first server is busier when the session is opened, and idle afterwards."""
    first, _ = scene.pool.servers
    first.in_flight += 1
    await ask(scene, NEW)
    first.in_flight -= 1
    scene.transport.addresses.clear()


# --- from its opening to its end ---------------------------------------------------------------


@fidelity(
    "Routing",
    "Calls with a session's id go to the instance where it was opened, streamed ones too.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html",
)
async def test_a_session_stays_with_its_instance(make: Make) -> None:
    scene = make(opens(), OK)
    await opened_at_the_second(scene)
    for _ in range(5):
        await ask(scene, "s1")
        await stream(scene, "s1")
    assert set(scene.transport.addresses) == {("127.0.0.1", 8002)}
    assert scene.transport.calls[-1].headers["X-Amzn-SageMaker-Session-Id"] == "s1"
    await scene.invoker.invoke(request())
    assert scene.transport.addresses[-1] == ("127.0.0.1", 8001)


@fidelity(
    "InvokeEndpoint",
    "NewSessionId is what the container said, its Expires included.",
    DOCUMENTED,
    "botocore: InvokeEndpointOutput.NewSessionId",
)
async def test_the_caller_gets_the_id_with_its_expiry(make: Make) -> None:
    headers = await ask(make(opens()), NEW)
    assert headers["X-Amzn-SageMaker-New-Session-Id"] == f"s1; Expires={IN_10_MIN}"


@fidelity(
    "Routing",
    "A container may open a session with X-Amzn-SageMaker-Session-Id as well; the caller sees "
    "NewSessionId.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html, "
    "https://github.com/deepjavalibrary/djl-serving/pull/2886",
)
async def test_a_container_may_use_the_name_of_the_developer_guide(make: Make) -> None:
    said = f"s1; Expires={IN_10_MIN}"
    scene = make(says(x_amzn_sagemaker_session_id=said), OK)
    assert (await ask(scene, NEW))["X-Amzn-SageMaker-New-Session-Id"] == said
    assert "X-Amzn-SageMaker-New-Session-Id" not in await ask(scene, "s1")


@fidelity(
    "Routing",
    "A session that its container closed is refused from then on; the caller sees ClosedSessionId.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html",
)
async def test_a_closed_session_is_refused(make: Make) -> None:
    scene = make(opens(), CLOSES, OK)
    await ask(scene, NEW)
    assert (await ask(scene, "s1"))["X-Amzn-SageMaker-Closed-Session-Id"] == "s1"
    assert "s1 of endpoint eye was closed" in await refused(scene)


async def test_a_stream_may_close_a_session(make: Make) -> None:
    scene = make(opens(), CLOSES, OK)
    await ask(scene, NEW)
    await stream(scene, "s1")
    assert "was closed" in await refused(scene)


@fidelity(
    "Routing",
    "A session ends at the instant that its container gave as Expires.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html",
)
async def test_a_session_expires(make: Make) -> None:
    scene = make(opens(), OK)
    await ask(scene, NEW)
    await scene.clock.advance(599)
    await ask(scene, "s1")
    await scene.clock.advance(1)
    assert f"expired at {IN_10_MIN}" in await refused(scene)


@fidelity(
    "Routing",
    "An id that no container has opened is refused as a ValidationError, HTTP 400.",
    SEEN,
    "https://www.besthub.dev/articles/"
    "how-sagemaker-sticky-sessions-reuse-kv-cache-to-accelerate-llm-inference-7625f6d5f01e",
)
@fidelity(
    "Routing",
    "The sentences that refuse a session id say that they are the lab's.",
    OURS,
    "SageMaker's are not published",
)
async def test_an_unknown_session_is_refused_before_a_container_is_asked(make: Make) -> None:
    scene = make(OK)
    said = await refused(scene)
    assert "s1 of endpoint eye is not known" in said
    assert "Open another with SessionId NEW_SESSION" in said
    assert "the lab's" in said
    assert scene.transport.calls == []


async def test_the_ids_of_another_endpoint_are_unknown(make: Make) -> None:
    scene = make(opens(), OK)
    await ask(scene, NEW)
    scene.fleet.add(live("ear"))
    with pytest.raises(ApiError, match="s1 of endpoint ear is not known"):
        await scene.invoker.invoke(request(endpoint="ear", x_amzn_sagemaker_session_id="s1"))


# --- its instance ------------------------------------------------------------------------------


@fidelity(
    "Routing",
    "A session ends with its instance: a death, a scale-in or an update makes its id unknown.",
    OURS,
    "what it remembers is gone; AWS says nothing of it, and another instance would answer wrongly",
)
async def test_a_session_whose_instance_is_gone_is_refused(make: Make) -> None:
    scene = make(opens(), OK)
    await opened_at_the_second(scene)
    del scene.pool.servers[1]
    assert "ended with its instance i-2" in await refused(scene)
    assert scene.transport.addresses == []


@fidelity(
    "Routing",
    "Sessions survive that instances are added.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html",
)
async def test_a_session_does_not_mind_new_instances(make: Make) -> None:
    scene = make(opens(), OK)
    await opened_at_the_second(scene)
    scene.pool.servers.insert(0, server("i-3", endpoint="eye"))
    await ask(scene, "s1")
    assert scene.transport.addresses == [("127.0.0.1", 8002)]


async def test_a_request_that_its_instance_did_not_take_waits_for_that_instance(
    make: Make,
) -> None:
    scene = make(opens(), NotSentError("refused"), OK)
    await opened_at_the_second(scene)
    asked = asyncio.create_task(ask(scene, "s1"))
    await scene.clock.advance(1)
    assert not asked.done()
    scene.pool.servers[1].healthy = True
    await scene.clock.advance(1)
    await asked
    assert set(scene.transport.addresses) == {("127.0.0.1", 8002)}


async def test_an_instance_that_is_looked_at_for_too_long_is_no_answer(make: Make) -> None:
    scene = make(opens(), OK)
    await opened_at_the_second(scene)
    scene.pool.servers[1].healthy = False
    asked = asyncio.create_task(ask(scene, "s1"))
    await scene.clock.advance(61)
    with pytest.raises(ApiError, match="could not get a response"):
        await asked


# --- variants ----------------------------------------------------------------------------------


def with_another_variant(scene: Scene, weight: float = 0.0) -> FakePool:
    other = FakePool(plan=plan(name="w", endpoint="eye"), servers=[server("i-9", variant="w")])
    other.servers[0].address = ("127.0.0.1", 8009)
    scene.live.variants = [
        *scene.live.variants,
        LiveVariant(name="w", pool=other, weight=weight),
    ]
    return other


@fidelity(
    "Routing",
    "A session stays with its variant, whatever the weights and the TargetVariant are; a "
    "TargetVariant that is another is refused.",
    OURS,
    "the developer guide's instance is one of one variant",
)
async def test_a_session_stays_with_its_variant(make: Make) -> None:
    scene = make(opens(), OK)
    with_another_variant(scene)
    reply = await ask(scene, NEW, x_amzn_sagemaker_target_variant="w")
    assert reply["x-Amzn-Invoked-Production-Variant"] == "w"
    reply = await ask(scene, "s1")
    assert reply["x-Amzn-Invoked-Production-Variant"] == "w"
    await ask(scene, "s1", x_amzn_sagemaker_target_variant="w")
    said = await refused(scene, x_amzn_sagemaker_target_variant="v")
    assert "is one of variant w, not v" in said
    scene.live.variants = scene.live.variants[:1]
    assert "ended with its variant w" in await refused(scene)


@fidelity(
    "Routing",
    "A call with a SessionId is not copied to shadow variants.",
    OURS,
    "a shadow's answers are dropped, and with them the id of a session of its own",
)
async def test_shadows_get_no_session(make: Make) -> None:
    scene = make(opens(), OK)
    shadow = FakePool(plan=plan(name="shadow"), servers=[server("s")])
    scene.live.shadows = [LiveVariant(name="shadow", pool=shadow, weight=1.0)]
    await ask(scene, NEW)
    await ask(scene, "s1")
    for _ in range(10):
        await asyncio.sleep(0)
    assert shadow.leased == 0


# --- what containers get wrong -----------------------------------------------------------------


async def test_a_container_without_sessions_answers_as_ever(make: Make) -> None:
    scene = make(OK)
    assert "X-Amzn-SageMaker-New-Session-Id" not in await ask(scene, NEW)


@fidelity(
    "Routing",
    "A new id that is not ID; Expires=YYYY-MM-DDTHH:MM:SSZ reaches the caller and opens nothing.",
    OURS,
    "it is the service model's pattern of NewSessionId; what AWS does with another is not known",
)
@pytest.mark.parametrize(
    "said",
    [
        "s1",
        "s1;Expires=2027-01-15T08:10:00Z",
        "s1; Expires=Fri, 15 Jan 2027 08:10:00 GMT",
        "s1; Expires=2027-01-15T08:10:00.000Z",
        "s1; Expires=2027-02-30T08:10:00Z",
        "s1; Max-Age=600",
    ],
)
async def test_a_session_without_a_proper_expiry_is_not_opened(make: Make, said: str) -> None:
    scene = make(says(x_amzn_sagemaker_new_session_id=said), OK)
    assert (await ask(scene, NEW))["X-Amzn-SageMaker-New-Session-Id"] == said
    told = await refused(scene)
    assert f'its container answered "{said}"' in told
    assert "ID; Expires=YYYY-MM-DDTHH:MM:SSZ" in told


async def test_a_session_that_has_expired_when_it_opens_is_refused(make: Make) -> None:
    scene = make(opens(expires="2027-01-15T07:00:00Z"), OK)
    await ask(scene, NEW)
    assert "expired at 2027-01-15T07:00:00Z" in await refused(scene)


@fidelity(
    "Routing",
    "Only an answer to NEW_SESSION opens a session.",
    OURS,
    "the developer guide opens them so, and says nothing of ids that nobody asked for",
)
async def test_a_session_that_nobody_asked_for_is_not_opened(make: Make) -> None:
    scene = make(opens(), OK)
    await scene.invoker.invoke(request())
    assert "is not known" in await refused(scene)


async def test_an_error_opens_and_closes_nothing(make: Make) -> None:
    failed = ContainerAnswer(status=500, headers=CLOSES.headers, body=b"")
    scene = make(opens(), failed, OK)
    await ask(scene, NEW)
    with pytest.raises(ApiError, match="500"):
        await ask(scene, "s1")
    await ask(scene, "s1")


@fidelity(
    "Routing",
    "Of two instances that open the same id, the later one has it; the log warns.",
    OURS,
    "its caller is the one who was told of it last; ids are the container's to keep unique",
)
async def test_the_last_instance_to_open_an_id_has_it(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    scene = make(opens(), opens(), OK)
    await ask(scene, NEW)
    await opened_at_the_second(scene)
    await ask(scene, "s1")
    assert scene.transport.addresses == [("127.0.0.1", 8002)]
    assert "was opened at i-1 and now again at i-2" in caplog.text


async def test_an_instance_closes_no_session_of_another(make: Make) -> None:
    scene = make(opens(), CLOSES, OK)
    await opened_at_the_second(scene)
    await scene.invoker.invoke(request())
    assert scene.transport.addresses == [("127.0.0.1", 8001)]
    await ask(scene, "s1")


# --- where there are none ----------------------------------------------------------------------


@fidelity(
    "Routing",
    "A stream cannot open a session: NEW_SESSION is no SessionId there.",
    DOCUMENTED,
    "botocore: InvokeEndpointWithResponseStreamInput.SessionId",
)
async def test_a_stream_does_not_open_a_session(make: Make) -> None:
    with pytest.raises(ApiError, match="at 'sessionId' failed to satisfy constraint"):
        await stream(make(opens()), NEW)


@fidelity(
    "Serverless",
    "A SessionId is refused.",
    OURS,
    "sessions are documented for instances; a serverless container goes when it is idle",
)
@pytest.mark.parametrize("session_id", [NEW, "s1"])
async def test_a_serverless_endpoint_has_no_sessions(make: Make, session_id: str) -> None:
    scene = make(opens(), kind=EndpointKind.SERVERLESS)
    assert "needs an endpoint with instances" in await refused(scene, session_id)


def test_so_many_sessions_are_remembered_and_those_that_ended_go_first() -> None:
    clock = ManualClock()
    sessions = Sessions(clock, most=3)
    eye = live("eye")

    def hear(answer: ContainerAnswer) -> None:
        sessions.heard(eye, eye.variants[0], "i-1", asked=NEW, answer=answer.headers)

    def known(session_id: str) -> bool:
        try:
            return sessions.find(eye, session_id, None) is not None
        except ApiError as error:
            return "is not known" not in str(error)

    for number in (1, 2, 3):
        hear(opens(f"s{number}"))
    sessions.heard(
        eye,
        eye.variants[0],
        "i-1",
        asked="s2",
        answer={"x-amzn-sagemaker-closed-session-id": "s2"},
    )
    hear(opens("s4"))
    assert [known(f"s{number}") for number in (1, 2, 3, 4)] == [True, False, True, True]
    hear(opens("s5"))
    assert [known(f"s{number}") for number in (1, 3, 4, 5)] == [False, True, True, True]
