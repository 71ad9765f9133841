"""A container that ends before it is ready: started again, for how long, and what is said."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.endpoint.launch.restarts import LONGEST_PAUSE_S, Ending, Restarts
from lab.endpoint.live import STARTED_AGAIN, LaunchFailed
from lab.spec import EngineKind, Phase
from lab.start.cause import Cause, CauseKind
from lab.start.explain import Explanation, explain
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.timing import wait_until
from tests.unit.endpoint.launching import PLAN, REAL_TIME, Scene
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.servers import ready_after

NO_MODULE = "ModuleNotFoundError: No module named 'xgboost'"
EXISTS = "FileExistsError: [Errno 17] File exists: '/cache'"


def death(log: str = "ValueError: no weights", code: int = 1) -> Cause:
    found: Explanation | None = explain(log, exit_code=code)
    assert found is not None
    return Cause(
        kind=CauseKind.EARLY_EXIT,
        message=f"The container exited before it was ready with code {code}: {found.words}.",
        exit_code=code,
        explanation=found,
    )


def restarts(*, most: int | None = None) -> Restarts:
    return Restarts(endpoint="tea", most=most, first_pause_s=0.5)


def endings(*deaths: Cause, every_s: float = 10.0, most: int | None = None) -> Sequence[Ending]:
    """What came of each of these, one after the other, on a clock of their own."""
    made, left_s = restarts(most=most), 480.0
    found = []
    for one in deaths:
        left_s -= every_s
        found.append(made.ended(one, after_s=every_s, left_s=left_s, limit_s=480))
        left_s -= found[-1].pause_s or 0
    return found


@fidelity(
    "Containers",
    "A container that ends before its first /ping 200 is started again, on the same file system, "
    "until the limit of its health check is over.",
    SEEN,
    "https://github.com/aws-samples/"
    "amazon-sagemaker-asynchronous-inference-computer-vision/issues/5 "
    "https://github.com/aws/sagemaker-python-sdk/issues/1554",
)
def test_it_is_started_again_until_the_limit_is_over() -> None:
    found = endings(*[death()] * 60)
    last = next(one for one in found if one.pause_s is None)
    assert found.index(last) > 15
    assert last.verdict == f"It ended at each of {found.index(last) + 1} starts within 480 s."


@fidelity(
    "Containers",
    "Between starts that fail the lab waits 0.5 s, then twice as long each time, at most 15 s.",
    OURS,
    "AWS publishes no figure; as a container engine's own restart policy does.",
)
def test_the_pause_grows_up_to_a_limit() -> None:
    found = endings(*[death()] * 8, every_s=0.1)
    assert [one.pause_s for one in found] == [0.5, 1, 2, 4, 8, *[LONGEST_PAUSE_S] * 3]


@fidelity(
    "Containers",
    "That a container ended, of what, how often and how long it will go on is in the endpoint's "
    "log at once, and in the StatusMessage of DescribeEndpoint's PendingDeploymentSummary.",
    OURS,
    "So that nobody waits for AWS's eight minutes without knowing why.",
)
def test_the_first_end_is_told_with_its_cause_its_cure_and_the_time_that_is_left() -> None:
    (one,) = endings(death(), every_s=0.4)
    assert one.note == (
        "The container exited before it was ready with code 1: ValueError: no weights. Mend what "
        "the log's error names; `docker run --rm -p 8080:8080 IMAGE serve` shows it without the "
        "lab. (start 1, 400 ms after it began) As on AWS it is started again, on the same file "
        "system, until it answers /ping or 480 s are over: 8 min 0 s left, in which AWS refuses to "
        "delete the endpoint. Here `lab endpoint delete tea` ends it."
    )
    assert one.status.startswith(STARTED_AGAIN)
    assert "no weights" in one.status


def test_the_same_end_is_told_in_few_words_and_another_in_full() -> None:
    _, same, other = endings(death(), death(), death(EXISTS))
    assert (
        same.note
        == "It ended again, of the same (start 2, 10.0 s after it began); 7 min 40 s left."
    )
    assert "File exists" in other.note
    assert "(start 3, " in other.note


@fidelity(
    "Containers",
    "A container that died twice in a row of the same that no further start can mend (serve is not "
    "found, a module or library is missing, another processor's program) is not started again: "
    "the lab fails the endpoint then, and says for how long AWS would go on.",
    OURS,
    "Eight minutes of hopeless starts teach nobody anything.",
)
@pytest.mark.parametrize(
    "log", [NO_MODULE, "exec /serve: exec format error", "sh: 1: exec: serve: not found"]
)
def test_what_is_wrong_in_the_image_ends_it_at_the_second_start(log: str) -> None:
    first, second = endings(death(log), death(log), every_s=1)
    assert first.pause_s is not None
    assert second.pause_s is None
    assert second.verdict == (
        "Start 1 ended of the same, and no further one can mend it. "
        "AWS would go on starting it for 7 min 58 s."
    )


def test_an_error_that_only_differs_in_its_numbers_is_the_same() -> None:
    _, same = endings(death("ValueError: at 12:00:01"), death("ValueError: at 12:00:02"))
    assert same.note.startswith("It ended again, of the same")


def test_another_end_in_between_is_not_twice_in_a_row() -> None:
    found = endings(death(NO_MODULE), death(), death(NO_MODULE), death(NO_MODULE))
    assert [one.pause_s is None for one in found] == [False, False, False, True]


def test_the_user_may_want_fewer_starts() -> None:
    first, second = endings(death(), death(), most=2)
    assert first.pause_s is not None
    assert second.pause_s is None
    assert "LAB_START_TRIES=2" in second.verdict
    assert "AWS would go on starting it for 7 min 40 s" in second.verdict


def test_a_first_start_that_ended_otherwise_is_told_with_the_last() -> None:
    *_, last = endings(death(), death(EXISTS), most=2)
    assert "The first start ended otherwise: the container exited" in last.verdict
    assert "no weights" in last.verdict


def test_of_one_that_runs_at_the_limit_the_starts_before_are_told() -> None:
    made = restarts()
    assert made.unready(left_s=0) == ""
    made.ended(death(), after_s=1, left_s=400, limit_s=480)
    said = made.unready(left_s=0)
    assert said.startswith("This was start 2; the one before: the container exited")


# --- on an engine ------------------------------------------------------------------------------


@pytest.fixture
def does() -> Behaviour:
    return Behaviour(answer=lambda: ready_after(0), log="serving")


@pytest.fixture
def engine(does: Behaviour) -> FakeEngine:
    return FakeEngine(does)


@pytest.fixture
async def scene(engine: FakeEngine, tmp_path: Path) -> Scene:
    return Scene(engine, tmp_path, tries=None)


pytestmark = pytest.mark.anyio


async def test_a_first_start_that_fails_is_followed_by_one_that_succeeds(
    scene: Scene, does: Behaviour
) -> None:
    does.ends = [(1, "the first start fails")]
    server = await scene.launch(REAL_TIME)
    assert await scene.launcher.ping(server)
    (container,) = scene.engine_made
    assert len(container.starts) == 2
    await scene.launcher.stop(server)
    filed = [line.split(" ", 2)[2] for line in scene.logs.tail("tea")]
    assert filed[0] == "the first start fails"
    assert filed[1].startswith("[platform] The container exited before it was ready with code 1")
    assert "started again" in filed[1]
    assert filed[2:] == ["serving"]
    await scene.close()


@pytest.mark.parametrize("kind", list(EngineKind))
async def test_the_time_of_starts_that_failed_counts_and_the_phases_add_up(
    does: Behaviour, tmp_path: Path, kind: EngineKind
) -> None:
    scene = Scene(FakeEngine(does, kind=kind), tmp_path, tries=None)
    does.ends = [(1, "no")] * 3
    server = await scene.launch(REAL_TIME)
    assert server.setup is not None
    (container,) = scene.engine_made
    span_s = (container.starts[-1] - container.starts[0]) / 1e9
    assert server.setup.phases_s[Phase.BOOT] >= span_s
    assert sum(server.setup.phases_s.values()) <= server.setup.total_s + 0.05
    await scene.launcher.stop(server)
    await scene.close()


async def test_an_earlier_start_s_error_is_not_taken_for_the_last_one_s(
    engine: FakeEngine, tmp_path: Path, does: Behaviour
) -> None:
    scene = Scene(engine, tmp_path, tries=2)
    does.ends = [(1, NO_MODULE), (0, "bye")]
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch(replace(REAL_TIME, startup_timeout_s=600))
    last, _, first = failed.value.reason.partition("The first start ended otherwise:")
    assert "came to its end without an error" in last
    assert "xgboost" in first
    assert scene.folders == []
    await scene.close()


@fidelity(
    "Serverless",
    "A cold start of an endpoint in service whose container ends is given three starts, then the "
    "request fails with the cause.",
    OURS,
    "AWS publishes nothing; a request must not hang for the three minutes of a start.",
)
async def test_a_request_does_not_wait_for_minutes(scene: Scene, does: Behaviour) -> None:
    patient = replace(PLAN, startup_timeout_s=600)
    await scene.launcher.stop(await scene.launch(patient))
    does.ends = [(1, "no")] * 10_000
    with pytest.raises(LaunchFailed, match="A request waits for it"):
        await scene.launch(patient, server_id="s-2")
    assert len(scene.engine_made[-1].starts) == 3
    await scene.close()


async def test_whoever_gives_it_up_need_not_wait(scene: Scene, does: Behaviour) -> None:
    does.ends = [(1, "no")] * 10_000
    launching = asyncio.create_task(scene.launch(replace(REAL_TIME, startup_timeout_s=600)))
    await asyncio.to_thread(wait_until, lambda: scene.launcher.troubles("tea"))
    scene.launcher.give_up("coffee")
    scene.launcher.give_up("tea")
    with pytest.raises(LaunchFailed, match="given up by `lab endpoint delete`: AWS would go on"):
        await launching
    assert scene.folders == []
    await scene.close()


async def test_one_that_never_answers_can_be_given_up_too(scene: Scene, does: Behaviour) -> None:
    does.answer = lambda: ready_after(600)
    launching = asyncio.create_task(scene.launch(replace(REAL_TIME, startup_timeout_s=600)))
    await asyncio.to_thread(wait_until, lambda: scene.engine_made and scene.engine_made[0].starts)
    scene.launcher.give_up("tea")
    with pytest.raises(LaunchFailed, match=r"Not ready within .*given up"):
        await launching
    await scene.close()


async def test_it_is_given_up_at_once_when_nobody_wants_it_any_more(
    scene: Scene, does: Behaviour
) -> None:
    does.ends = [(1, "no")] * 10_000
    launching = asyncio.create_task(scene.launch(replace(REAL_TIME, startup_timeout_s=600)))
    await asyncio.to_thread(wait_until, lambda: scene.launcher.troubles("tea"))
    assert "AllTraffic" in scene.launcher.troubles("tea")
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert all(one.removed for one in scene.engine_made)
    assert scene.launcher.troubles("tea") == {}
    assert scene.folders == []
    await scene.close()


async def test_a_container_that_the_engine_refuses_is_not_tried_again(
    scene: Scene, does: Behaviour
) -> None:
    does.refuses = 'exec: "serve": executable file not found in $PATH'
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch(PLAN)
    assert failed.value.refused
    assert scene.engine_made[0].starts == []
    await scene.close()


@fidelity(
    "Containers",
    "The limit for the start is 8 minutes, or the variant's "
    "ContainerStartupHealthCheckTimeoutInSeconds; it counts from the first start.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html "
    "botocore: ProductionVariant.ContainerStartupHealthCheckTimeoutInSeconds",
)
async def test_the_limit_counts_from_the_first_start(scene: Scene, does: Behaviour) -> None:
    does.ends = [(1, "no")]
    does.answer = lambda: ready_after(600)
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch(replace(REAL_TIME, startup_timeout_s=1.0))
    assert "1 s" in failed.value.reason
    await scene.close()
