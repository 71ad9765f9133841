"""A measurement over the wire: boto3, SageMaker's runtime, CloudWatch, and what is kept of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lab.aws.access.errors import CallError
from lab.aws.access.session import AwsSession, open_session
from lab.aws.invoke import AwsEndpoint
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.metrics import CloudWatch
from lab.aws.measure.record import Protocol
from lab.aws.measure.session import measure
from lab.aws.measure.task import MeasureOptions
from lab.awserrors import ErrorKind
from lab.progress import Silent
from tests.cloud.world import World
from tests.unit.aws.measure.test_session import SUBJECT, TASK
from tests.unit.aws.scripted import Time

OPTIONS = MeasureOptions(protocols=(Protocol.COLD,), cold_n=3)


@pytest.fixture(name="aws")
def _aws(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    with open_session() as session:
        yield session


@pytest.fixture(name="endpoint")
def _endpoint(world: World, aws: AwsSession) -> AwsEndpoint:
    sagemaker = world.client("sagemaker")
    name, role = SUBJECT.endpoint, "arn:aws:iam::123456789012:role/any"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role)
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return AwsEndpoint(aws, name)


def told(folder: Path) -> dict[str, Any]:
    """What CloudWatch would tell: every request of the folder waited 4 s for a container."""
    samples = MeasureFolder(folder).samples()
    at = [datetime.fromisoformat(one.started_at).replace(second=0) for one in samples]
    values = {"modellatency": 5e4, "overheadlatency": 4.1e6, "modelsetuptime": 4e6}
    return {
        "MetricDataResults": [
            {
                "Id": f"{name}{statistic}",
                "Label": name,
                "Timestamps": [one.replace(microsecond=0) for one in at],
                "Values": [1.0 if statistic == "samplecount" else value for _ in at],
                "StatusCode": "Complete",
            }
            for name, value in values.items()
            for statistic in ("samplecount", "sum")
        ]
    }


def test_cold_requests_are_made_and_told_of_by_cloudwatch(
    world: World, aws: AwsSession, endpoint: AwsEndpoint, tmp_path: Path
) -> None:
    world.faults.answer(
        "cloudwatch:GetMetricData", lambda _: told(next((tmp_path / "runs").iterdir()))
    )
    folder = measure(
        endpoint,
        replace(TASK, options=OPTIONS),
        metrics=CloudWatch(aws, endpoint.name),
        progress=Silent(),
        clock=Time(),
    )
    assert world.faults.names.count("sagemaker:InvokeEndpoint") == 3
    (row,) = json.loads((folder.path / "summary.json").read_text())["rows"]
    assert (row["n"], row["cold"], row["failures"]) == (3, 3, 0)
    assert row["setup_s"]["p50"] == pytest.approx(4.0)
    assert row["overhead_s"]["mean"] == pytest.approx(4.1)


def test_nothing_secret_is_written_down(
    world: World, aws: AwsSession, endpoint: AwsEndpoint, tmp_path: Path
) -> None:
    world.faults.answer(
        "cloudwatch:GetMetricData", lambda _: told(next((tmp_path / "runs").iterdir()))
    )
    says = (
        "Received server error (500) from primary. See https://eu-central-1.console.aws.amazon.com"
        f"/cloudwatch in account {world.account} for more information."
    )
    world.faults.refuse("sagemaker:InvokeEndpoint", "ModelError", says, status=424, times=1)
    folder = measure(
        endpoint,
        replace(TASK, options=OPTIONS),
        metrics=CloudWatch(aws, endpoint.name),
        progress=Silent(),
        clock=Time(),
    )
    text = "".join(path.read_text() for path in folder.path.iterdir())
    assert "Received server error (500)" in text
    assert not [secret for secret in world.secrets if secret in text]


def test_a_token_that_runs_out_between_two_requests_keeps_the_first(
    world: World, aws: AwsSession, endpoint: AwsEndpoint, tmp_path: Path
) -> None:
    world.faults.refuse(
        "sagemaker:InvokeEndpoint", "ExpiredTokenException", "too old", status=403, after=1
    )
    progress = Silent()
    with pytest.raises(CallError) as caught:
        measure(
            endpoint,
            replace(TASK, options=OPTIONS),
            metrics=CloudWatch(aws, endpoint.name),
            progress=progress,
            clock=Time(),
        )
    assert caught.value.kind is ErrorKind.EXPIRED
    (folder,) = (tmp_path / "runs").iterdir()
    assert len(MeasureFolder(folder).samples()) == 1
    assert f"--resume {folder.name}" in progress.notes[-1]
