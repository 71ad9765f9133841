import traceback
from pathlib import Path

import pytest

from lab.aws.access.errors import CallError
from lab.aws.access.session import open_session
from lab.awserrors import ErrorKind
from tests.cloud.world import World
from tests.ports import free_port
from tests.unit.aws.quota_answers import quotas


@pytest.fixture(autouse=True)
def _few_attempts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")


def test_who_asks_is_asked_once(world: World) -> None:
    with open_session() as aws:
        assert aws.identity().account == world.account == aws.account
        assert aws.identity().region == world.region
        assert aws.identity().partition == "aws"
    assert world.faults.names == ["sts:GetCallerIdentity"]


def test_what_is_not_there_is_found_to_be_nothing_by_every_service(world: World) -> None:
    with open_session() as aws:
        assert aws.find("cloudformation", "describe_stacks", StackName="inference-lab-x") is None
        assert aws.find("ecr", "describe_repositories", repositoryNames=["inference-lab/x"]) is None
        assert aws.find("s3", "head_bucket", Bucket="inference-lab-x") is None
        assert aws.find("s3", "head_object", Bucket="inference-lab-x", Key="k") is None
        assert aws.find("iam", "get_role", RoleName="inference-lab-x") is None
        assert aws.find("sagemaker", "describe_endpoint", EndpointName="inference-lab-x") is None
        assert aws.find("logs", "filter_log_events", logGroupName="inference-lab-x") is None


def test_all_pages_of_a_listing_are_read(world: World) -> None:
    world.faults.answer("service-quotas:ListServiceQuotas", quotas("one", "two", "three"))
    with open_session() as aws:
        found = aws.every(
            "service-quotas", "list_service_quotas", "Quotas", ServiceCode="sagemaker"
        )
    assert [row["QuotaName"] for row in found] == ["one", "two", "three"]
    assert world.faults.names == ["service-quotas:ListServiceQuotas"] * 3


def test_throttling_that_passes_is_not_noticed(world: World) -> None:
    world.faults.throttle("ecr:DescribeRepositories", times=1)
    with open_session() as aws:
        assert aws.find("ecr", "describe_repositories", repositoryNames=["inference-lab/x"]) is None
    assert world.faults.names.count("ecr:DescribeRepositories") == 2


def test_throttling_that_stays_says_to_come_back(world: World) -> None:
    world.faults.throttle("ecr:DescribeRepositories")
    with open_session() as aws, pytest.raises(CallError) as caught:
        aws.call("ecr", "describe_repositories", doing="Looking at the repository")
    assert caught.value.kind is ErrorKind.THROTTLED
    assert caught.value.what.startswith("Looking at the repository: throttled")


def test_a_client_of_one_attempt_hides_no_retry(world: World) -> None:
    world.faults.throttle("sagemaker:InvokeEndpoint", times=1)
    with open_session() as aws:
        client = aws.client("sagemaker-runtime", attempts=1)
        with pytest.raises(CallError), aws.translating("Asking"):
            client.invoke_endpoint(EndpointName="inference-lab-x", Body=b"")
        assert client is aws.client("sagemaker-runtime", attempts=1)
        assert client is not aws.client("sagemaker-runtime")
    assert world.faults.names == ["sagemaker:InvokeEndpoint"]


def test_a_cut_connection_says_that_the_same_command_goes_on(world: World) -> None:
    world.faults.cut("ecr:DescribeRepositories", times=None)
    with open_session() as aws, pytest.raises(CallError) as caught:
        aws.call("ecr", "describe_repositories")
    assert caught.value.kind is ErrorKind.CONNECTION
    assert "goes on" in caught.value.remedy


def test_a_refusal_keeps_account_and_keys_out_of_the_traceback(world: World) -> None:
    world.faults.deny("ecr:DescribeRepositories")
    with open_session() as aws, pytest.raises(CallError) as caught:
        aws.call("ecr", "describe_repositories")
    assert caught.value.kind is ErrorKind.DENIED
    shown = "".join(traceback.format_exception(caught.value))
    for secret in world.secrets:
        assert secret not in shown


def test_a_page_of_html_instead_of_an_answer_is_somebodys_breakdown(world: World) -> None:
    page = b"<!doctype html><title>Sign in to the hotel's network</title>"
    world.faults.raw("sts:GetCallerIdentity", lambda _: (200, {"Content-Type": "text/html"}, page))
    with open_session() as aws, pytest.raises(CallError) as caught:
        aws.identity()
    assert caught.value.kind is ErrorKind.SERVICE


def test_a_region_that_is_none_is_told_from_a_network_that_is_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with open_session(region="us-est-1") as aws, pytest.raises(CallError) as caught:
        aws.identity()
    assert caught.value.kind is ErrorKind.REGION
    with open_session(region="us-east-1") as aws, pytest.raises(CallError) as caught:
        aws.identity()
    assert caught.value.kind is ErrorKind.CONNECTION


def test_a_token_that_expired_names_the_profile_that_the_environment_chose(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = "[profile work]\nregion = eu-west-1\n"
    Path(world.env["AWS_CONFIG_FILE"]).write_text(profile, encoding="utf-8")
    monkeypatch.setenv("AWS_PROFILE", "work")
    world.faults.expire()
    with open_session() as aws, pytest.raises(CallError) as caught:
        aws.identity()
    assert aws.profile == "work"
    assert "aws sso login --profile work" in caught.value.remedy


def test_a_profile_that_assumes_a_role_may_ask_for_its_credentials(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = world.client("iam").create_role(RoleName="deployer", AssumeRolePolicyDocument="{}")
    profile = f"[profile work]\nrole_arn = {role['Role']['Arn']}\ncredential_source = Environment\n"
    Path(world.env["AWS_CONFIG_FILE"]).write_text(profile, encoding="utf-8")
    with open_session(profile="work", read_only=True) as aws:
        assert ":assumed-role/deployer/" in aws.identity().arn
    assert world.faults.names == ["sts:AssumeRole", "sts:GetCallerIdentity"]


def test_an_upload_by_boto3s_transfer_is_translated_too(world: World) -> None:
    with open_session() as aws, pytest.raises(CallError) as caught, aws.translating("Sending"):
        aws.client("s3").upload_file(__file__, "inference-lab-x", "k")
    assert caught.value.kind is ErrorKind.ABSENT
