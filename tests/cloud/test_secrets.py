"""No key, token or account id in anything that is written down or raised."""

import json
import logging
import traceback
from pathlib import Path

import pytest

from lab.aws.access.session import open_session
from lab.aws.answers import AnswerPayload
from lab.aws.invoke import AwsEndpoint
from lab.aws.measure.metrics import CloudWatch
from lab.aws.measure.session import measure
from lab.aws.measure.spending import rates_of
from lab.aws.measure.task import MeasureOptions, Task, on_aws
from lab.aws.model import DeploymentNames, PushTarget
from lab.cli import console, main
from lab.errors import LabError
from tests.cloud.pushing import ENDPOINT, FULL, Pusher, carry, goods
from tests.cloud.world import World

ANSWER = json.dumps({"predictions": [{"probabilities": [0.1, 0.9]}]}).encode()


@pytest.fixture
def pusher(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pusher:
    carry(monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return Pusher(goods(tmp_path))


def clean(world: World, text: str, where: str) -> None:
    found = [secret for secret in world.secrets if secret in text]
    assert not found, f"{where} tells {found}: {text[:2000]}"


def quoting(world: World) -> str:
    """As AWS quotes a request whose signature is wrong; it never had the secret key itself."""
    key, _, token, account = world.secrets
    return (
        "The Canonical String for this request should have been 'POST / "
        f"host:sts.amazonaws.com x-amz-date:20261121T000000Z x-amz-security-token:{token} "
        f"host;x-amz-date;x-amz-security-token' Credential={key}/20261121/x/sts/aws4_request "
        f"for arn:aws:iam::{account}:user/someone"
    )


CALLS = (
    "sts:GetCallerIdentity",
    "ecr:DescribeRepositories",
    "cloudformation:CreateStack",
    "s3:PutObject",
    "cloudformation:UpdateStack",
)
"""One of each protocol, early and late."""


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("how", ["deny", "cut", "expire", "quote"])
def test_no_refusal_tells_a_secret_in_any_part_of_its_exception(
    world: World, pusher: Pusher, caplog: pytest.LogCaptureFixture, action: str, how: str
) -> None:
    """Access denied names the caller's ARN, and connections that are lost name a URL."""
    caplog.set_level(logging.INFO)
    match how:
        case "deny":
            world.faults.deny(action)
        case "cut":
            world.faults.cut(action, times=None)
        case "expire":
            world.faults.expire(action)
        case "quote":
            world.faults.refuse(action, "ValidationError", quoting(world))

    try:
        pusher.push()
    except LabError as error:
        clean(world, error.what + error.remedy, "what the user sees")
        clean(world, "".join(traceback.format_exception(error)), "the whole exception")
    clean(world, "\n".join(pusher.progress.notes + pusher.progress.steps), "the progress")
    ours = [one for one in caplog.records if one.name.startswith("lab")]
    clean(world, "\n".join(one.getMessage() for one in ours), "the log")


def test_a_stack_that_fails_quotes_no_account_id(world: World, pusher: Pusher) -> None:
    arn = f"arn:aws:sagemaker:{world.region}:{world.account}:endpoint/{FULL}"
    world.formation.fail("AWS::SageMaker::Endpoint", f"{arn} did not pass the ping health check")

    with pytest.raises(LabError, match="ping") as caught:
        pusher.push()

    clean(world, "".join(traceback.format_exception(caught.value)), "the whole exception")


def test_a_measurements_folder_holds_no_account_id(
    world: World, pusher: Pusher, tmp_path: Path
) -> None:
    pusher.push()
    world.faults.raw("sagemaker:InvokeEndpoint", lambda call: (200, {}, ANSWER))
    with open_session() as aws:
        names = DeploymentNames.of(ENDPOINT, account=aws.account, region=aws.region)
        subject = on_aws(aws, names)
        folder = measure(
            AwsEndpoint(aws, names.endpoint),
            Task(
                subject=subject,
                payload=AnswerPayload(name="any.bin", body=b"x", content_type="image/png"),
                rates=rates_of(PushTarget.AWS, subject.kind, memory_mb=subject.memory_mb),
                options=MeasureOptions(
                    warm_n=2, warm_pause_s=0, cold_n=1, cold_idle_s=0, metrics_wait_s=0
                ),
            ),
            metrics=CloudWatch(aws, names.endpoint),
            progress=pusher.progress,
        )

    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"aws.json", "samples.jsonl", "summary.json"}
    for path in files:
        clean(world, path.read_text(encoding="utf-8"), path.name)
    assert subject.image_digest is not None


def test_the_command_line_shows_no_key_and_only_the_terminal_the_account(
    world: World,
    pusher: Pusher,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pusher.push()
    world.faults.deny("cloudformation:DeleteStack")
    monkeypatch.setattr(console, "_QUIET_STEP_S", -1.0)  # every step leaves its line

    code = main.run(["push", "destroy", "--endpoint", ENDPOINT, "--yes"])

    said = capfd.readouterr()
    assert code == 11
    clean(world, said.err, "standard error")
    for secret in world.secrets[:3]:
        assert secret not in said.out
