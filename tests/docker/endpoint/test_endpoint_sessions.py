"""Which of several instances gets a request, and whose a session is, as boto3 sees it."""

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.engine.docker.engine import DockerEngine
from tests.docker.endpoint.site import Beside, Site, answered, realtime, serverless
from tests.fidelity import DOCUMENTED, OURS, fidelity
from tests.timing import wait_until

pytestmark = pytest.mark.docker

LEAST: dict[str, Any] = {"RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}}
NEW_ID = "X-Amzn-SageMaker-New-Session-Id"
CLOSED_ID = "X-Amzn-SageMaker-Closed-Session-Id"


@pytest.fixture(scope="module")
def pair(site: Site) -> Iterator[str]:
    """An endpoint of two instances, with nothing said of routing."""
    name = site.endpoint(site.config(realtime(site.model(), count=2)))
    yield name
    site.delete(name)


def home(site: Site, name: str, **more: Any) -> str:
    """The host name of the container that answers."""
    return str(answered(site.invoke(name, **more))["host"])


def tells(**head: str) -> str:
    return json.dumps({"head": {name.replace("_", "-"): text for name, text in head.items()}})


def opened(site: Site, name: str, *, lasts_s: float = 600, header: str = NEW_ID) -> tuple[str, str]:
    """A new session's id, and its container."""
    session_id = f"s-{uuid.uuid4().hex[:8]}"
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lasts_s))
    said = f"{session_id}; Expires={expires}"
    first = site.invoke(name, tells(**{header: said}), SessionId="NEW_SESSION")
    assert first["NewSessionId"] == said
    return first["NewSessionId"].split(";")[0], answered(first)["host"]


def refused(site: Site, name: str, session_id: str) -> str:
    """What is said to a call of a session that is no more; nothing while it is answered."""
    try:
        site.invoke(name, SessionId=session_id)
    except ClientError as error:
        said = error.response
    else:
        return ""
    assert said["Error"]["Code"] == "ValidationError"
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(said["Error"]["Message"])


def scaled(site: Site, name: str, count: int) -> None:
    site.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "DesiredInstanceCount": count},
        ],
    )
    site.wait(name)


def in_a_row(site: Site, name: str) -> tuple[set[str], int]:
    """The instances of 60 calls one after the other, and how often one came twice in a row."""
    found = [home(site, name) for _ in range(60)]
    return set(found), sum(one == two for one, two in pairwise(found))


def test_instances_are_drawn_at_random_and_no_strategy_is_described(site: Site, pair: str) -> None:
    instances, repeats = in_a_row(site, pair)
    assert len(instances) == 2
    assert repeats > 0
    assert "RoutingConfig" not in site.describe(pair)["ProductionVariants"][0]


def test_the_least_busy_instance_is_chosen_where_that_is_asked_for(site: Site) -> None:
    name = site.endpoint(site.config(realtime(site.model(), count=2, **LEAST)))
    instances, repeats = in_a_row(site, name)
    assert (len(instances), repeats) == (2, 0)
    with ThreadPoolExecutor(2) as callers:
        answers = list(callers.map(lambda _: answered(site.invoke(name)), range(60)))
    assert {one["most_at_once"] for one in answers} == {1}  # two callers never meet
    assert site.describe(name)["ProductionVariants"][0]["RoutingConfig"] == LEAST["RoutingConfig"]
    site.delete(name)


@pytest.mark.parametrize("header", [NEW_ID, "X-Amzn-SageMaker-Session-Id"])
def test_a_session_stays_with_its_instance_until_it_is_closed(
    site: Site, pair: str, header: str
) -> None:
    session_id, at = opened(site, pair, header=header)
    assert {home(site, pair, SessionId=session_id) for _ in range(20)} == {at}
    streamed = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=pair, Body=b"{}", SessionId=session_id
    )
    parts = b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"])
    assert json.loads(parts)["host"] == at
    last = site.invoke(pair, tells(**{CLOSED_ID: session_id}), SessionId=session_id)
    assert last["ClosedSessionId"] == session_id
    assert f"{session_id} of endpoint {pair} was closed" in refused(site, pair, session_id)


def test_ids_that_lead_nowhere_are_refused(site: Site, pair: str) -> None:
    assert "is not known" in refused(site, pair, "s-never")
    assert "NEW_SESSION" in refused(site, pair, "s-never")
    session_id, _ = opened(site, pair, lasts_s=1)
    said = wait_until(lambda: refused(site, pair, session_id))
    assert "expired at 20" in said


def test_a_session_survives_scaling_out_and_ends_with_its_instance(
    site: Site, engine: DockerEngine
) -> None:
    name = site.endpoint(site.config(realtime(site.model(), count=2)))
    session_id, at = opened(site, name)
    scaled(site, name, 3)
    assert {home(site, name, SessionId=session_id) for _ in range(10)} == {at}

    mine = next(one for one in Beside(engine, name).containers() if one.id.startswith(at))
    with pytest.raises(ClientError) as caught:
        site.invoke(name, json.dumps({"die": 3}), SessionId=session_id)
    assert caught.value.response["Error"]["Code"] == "ModelError"
    said = refused(site, name, session_id)
    assert "ended with its instance i-" in said
    wait_until(lambda: mine.id not in {one.id for one in Beside(engine, name).containers()})
    again, at = opened(site, name)
    assert home(site, name, SessionId=again) == at
    site.delete(name)


def test_a_session_ends_with_an_update_and_with_scaling_in(site: Site) -> None:
    name = site.endpoint(site.config(realtime(site.model(), count=2)))
    sessions = dict(opened(site, name) for _ in range(8))
    scaled(site, name, 1)
    left = home(site, name)
    for session_id, at in sessions.items():
        said = refused(site, name, session_id)
        assert ("" if at == left else "ended with its instance") in said
        assert bool(said) is (at != left)
    session_id, _ = opened(site, name)
    green = site.config(realtime(site.model(env={"NAME": "green"})))
    site.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=green)
    site.wait(name)
    assert "ended with its instance" in refused(site, name, session_id)
    site.delete(name)


@fidelity(
    "Routing",
    "The emulator forgets all sessions when it ends, though it takes containers over.",
    OURS,
    "AWS's front end has no restart that a client sees; who is told to open another goes on",
)
def test_a_restart_of_the_emulator_ends_sessions_and_says_so(site: Site, pair: str) -> None:
    session_id, _ = opened(site, pair)
    site.emulator.kill()
    site.emulator.start()
    assert "since the emulator started" in refused(site, pair, session_id)
    again, at = opened(site, pair)
    assert home(site, pair, SessionId=again) == at


def test_serverless_endpoints_have_no_sessions(site: Site) -> None:
    name = site.endpoint(site.config(serverless(site.model())))
    assert "needs an endpoint with instances" in refused(site, name, "NEW_SESSION")
    site.delete(name)


# --- variants ------------------------------------------------------------------------------------


@fidelity(
    "InvokeEndpoint",
    "InvokedProductionVariant names the variant that answered.",
    DOCUMENTED,
    "botocore: InvokeEndpointOutput.InvokedProductionVariant",
)
def test_a_variant_of_weight_0_is_reached_by_its_name_only(site: Site) -> None:
    model = site.model()
    name = site.endpoint(
        site.config(realtime(model, "A"), realtime(model, "B", InitialVariantWeight=0))
    )
    asked = [site.invoke(name)["InvokedProductionVariant"] for _ in range(10)]
    assert set(asked) == {"A"}
    assert site.invoke(name, TargetVariant="B")["InvokedProductionVariant"] == "B"
    with pytest.raises(ClientError) as caught:
        site.invoke(name, TargetVariant="C")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    site.delete(name)
