"""An endpoint on the AWS of this machine: errors told apart, and a bound on the cost."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lab.aws.access.errors import CallError
from lab.aws.access.session import AwsSession, open_session
from lab.aws.measure.record import Rates
from lab.cli import main
from lab.errors import UsageError
from lab.load.arrivals.schedule import Schedule
from lab.loadtest import runner
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import TargetKind
from lab.loadtest.runner import LoadPlan
from lab.loadtest.targets.api import CallAnswer, LoadPayload
from lab.loadtest.targets.aws import AwsTarget, Spending, SpentError, aws_target
from lab.progress import Silent
from tests.cloud.world import World

NAME = "inference-lab-eye"
INVOKE = "sagemaker:InvokeEndpoint"
PAYLOAD = LoadPayload(name="x", body=b"{}", content_type="application/json")
NOTHING = Rates(second_usd=0.0, hour_usd=0.0, byte_usd=0.0, metric_usd=0.0)


@pytest.fixture
def aws(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setenv("LAB_BUSY", "ignore")
    sagemaker = world.client("sagemaker")
    sagemaker.create_model(ModelName=NAME, ExecutionRoleArn="arn:aws:iam::123456789012:role/any")
    sagemaker.create_endpoint_config(
        EndpointConfigName=NAME,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": NAME,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    with open_session() as session:
        yield session


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request is taken for one that takes no minute."""
    monkeypatch.setattr("lab.loadtest.targets.aws.SLOWEST_S", 0.1)


@pytest.fixture
def target(aws: AwsSession) -> Iterator[AwsTarget]:
    with aws_target(aws, NAME, max_usd=1.0) as one:
        yield one


def call(target: AwsTarget) -> CallAnswer:
    return target.route.call(PAYLOAD)


def test_it_is_recorded_as_sagemaker_describes_it(target: AwsTarget) -> None:
    record = target.record
    assert (record.kind, record.name, record.size) == (TargetKind.AWS, NAME, "ml.m5.large")
    assert not record.serverless


def test_a_good_answer_is_counted_in_bytes_and_money(world: World, target: AwsTarget) -> None:
    world.faults.raw(INVOKE, lambda _: (200, {}, b"yes"))
    assert call(target) == CallAnswer(status=200, received_bytes=3)
    assert 0 < target.spending.usd < 0.01


def test_what_is_throttled_is_told_apart_and_not_repeated(world: World, target: AwsTarget) -> None:
    world.faults.throttle(INVOKE)
    assert call(target).error == "ThrottlingException"
    assert world.faults.names.count(INVOKE) == 1


def test_an_error_of_the_model_has_the_model_s_status_and_its_words(
    world: World, target: AwsTarget
) -> None:
    said = b'{"Message": "no", "OriginalStatusCode": 415, "OriginalMessage": "no pictures here"}'
    world.faults.raw(INVOKE, lambda _: (424, {"x-amzn-errortype": "ModelError"}, said))
    answer = call(target)
    assert (answer.status, answer.error, answer.body) == (415, "ModelError", b"no pictures here")


def test_a_connection_that_is_cut_is_no_answer(world: World, target: AwsTarget) -> None:
    world.faults.vanish(INVOKE, times=None)
    answer = call(target)
    assert answer.status == 0
    assert answer.error


def test_what_would_be_refused_again_ends_the_load(world: World, target: AwsTarget) -> None:
    world.faults.deny(INVOKE)
    with pytest.raises(CallError, match="permission denied"):
        call(target)


def test_nothing_more_is_sent_once_it_could_cost_more_than_the_bound(
    world: World, aws: AwsSession, quick: None
) -> None:
    world.faults.raw(INVOKE, lambda _: (200, {}, b"yes"))
    instants = np.linspace(0.0, 60.0, 600)
    schedule = Schedule(said="by hand", instants=instants, horizon_s=60.0)
    with aws_target(aws, NAME, max_usd=1.0, hour_usd=3600.0 * 0.9) as target:
        with pytest.raises(SpentError, match="bound of 1 USD"):
            runner.run(target, LoadPlan(schedule=schedule, payloads=[PAYLOAD]), progress=Silent())
        assert target.spending.usd > 0
    kept = LoadFolder.find("latest").requests()
    assert len(kept)
    assert kept.answered.all()
    assert kept.sent_s.max() < 1 / 0.9, "none began when the dollar was spent"


def test_what_is_under_way_counts_as_the_slowest_so_far() -> None:
    spending = Spending(rates(second_usd=0.001), 0.1)
    with spending.request(0), pytest.raises(SpentError), spending.request(0):
        pytest.fail("60 s each of a thousandth of a dollar are more than a tenth")


def test_what_earlier_sittings_cost_counts(world: World, aws: AwsSession) -> None:
    world.faults.raw(INVOKE, lambda _: (200, {}, b"yes"))
    schedule = Schedule(said="by hand", instants=np.asarray([0.0]), horizon_s=1.0)
    with aws_target(aws, NAME, max_usd=1.0) as target:
        plan = LoadPlan(schedule=schedule, payloads=[PAYLOAD])
        before = runner.run(target, plan, progress=Silent()).requests()
    assert Spending(rates(second_usd=1.0), 1.0, before=before).usd > 0


def rates(*, second_usd: float) -> Rates:
    return NOTHING.model_copy(update={"second_usd": second_usd})


def test_an_endpoint_that_is_not_there_is_refused_with_those_that_are(aws: AwsSession) -> None:
    with pytest.raises(UsageError, match=NAME), aws_target(aws, "ear", max_usd=1.0):
        pytest.fail("it is there")


def test_an_instance_without_a_price_is_not_loaded_without_being_told_one(
    world: World, aws: AwsSession
) -> None:
    sagemaker = world.client("sagemaker")
    variant = {"VariantName": "v", "ModelName": NAME, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="dear",
        ProductionVariants=[{**variant, "InstanceType": "ml.p3.16xlarge"}],
    )
    sagemaker.create_endpoint(EndpointName="dear", EndpointConfigName="dear")
    with pytest.raises(UsageError, match="--hour-usd"), aws_target(aws, "dear", max_usd=1.0):
        pytest.fail("its cost is bounded")


def test_the_bound_ends_a_load_with_its_report_and_how_to_go_on(
    world: World, aws: AwsSession, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.faults.raw(INVOKE, lambda _: (200, {}, b"yes"))
    payload = tmp_path / "question.json"
    payload.write_text("{}")
    words = ["load", f"aws:{NAME}", "constant:rate=10,for=60s", "--payload", str(payload)]
    code = main.run([*words, "--hour-usd", "3240", "--max-usd", "1"])
    assert code in {0, 16}  # 16: this machine kept the generator waiting
    said = " ".join(capsys.readouterr().err.split())
    folder = LoadFolder.find("latest")
    assert "Raise --max-usd to go on." in said
    assert f"lab load --resume {folder.path.name}" in said
    assert (folder.path / "report.html").is_file()
    assert 0 < len(folder.requests()) < 60
