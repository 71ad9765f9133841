"""An AWS on this machine: moto on a real port, CloudFormation over it, and a proxy that spoils."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from tests.cloud.faults import Call, Faults, Proxy
from tests.cloud.formation import Formation
from tests.cloud.missing import MISSING

REGION: Final = "eu-central-1"
ACCESS_KEY: Final = "AKIAIOSFODNN7CANARY1"
SECRET: Final = "wJalrXUtnFEMIK7MDENGbPxRfiCYcanarySECRET"
TOKEN: Final = "FwoGZXIvYXdzECANARYsessionTOKENcanary"


@dataclass(kw_only=True)
class World:
    """What a test may look at and turn."""

    url: str
    """Of the proxy: where the lab's boto3 goes."""
    upstream: str
    """Of moto: where tests look."""
    region: str
    account: str
    faults: Faults
    formation: Formation
    env: Mapping[str, str]
    """What boto3's default chain finds."""
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Straight to moto: neither written down nor spoilt."""
        if service not in self._clients:
            self._clients[service] = _client(self.upstream, service, self.region)
        return self._clients[service]

    def direct(self, service: str) -> Any:
        """Through the proxy, as somebody else than the lab: for CloudFormation."""
        return _client(self.url, service, self.region)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let boto3's own chain find it, and nothing else; wait for nothing."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)

    def begin_anew(self) -> None:
        """Nothing exists, nothing was called, nothing goes wrong."""
        moto_api_backend.reset()
        self.formation.forget()
        self.faults.forget()

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.kill(os.getpid(), signal.SIGINT)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written down."""
        return (ACCESS_KEY, SECRET, TOKEN, self.account)

    def endpoints(self) -> Mapping[str, str]:
        """Endpoints that cost money, with their states."""
        found = self.client("sagemaker").list_endpoints()["Endpoints"]
        return {one["EndpointName"]: one["EndpointStatus"] for one in found}

    def left(self) -> list[str]:
        """Everything that exists, of the kinds that a push makes."""
        ecr, s3, iam, sagemaker, cloudwatch, logs, scaling = map(
            self.client,
            (
                "ecr",
                "s3",
                "iam",
                "sagemaker",
                "cloudwatch",
                "logs",
                "application-autoscaling",
            ),
        )
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
        return sorted(
            [
                *(f"repository {r['repositoryName']}" for r in _all(ecr, "repositories")),
                *(f"bucket {one['Name']}" for one in s3.list_buckets()["Buckets"]),
                *(f"role {one['RoleName']}" for one in iam.list_roles()["Roles"]),
                *(f"model {one['ModelName']}" for one in sagemaker.list_models()["Models"]),
                *(
                    f"config {one['EndpointConfigName']}"
                    for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]
                ),
                *(f"endpoint {name}" for name in self.endpoints()),
                *(
                    f"alarm {one['AlarmName']}"
                    for one in cloudwatch.describe_alarms()["MetricAlarms"]
                ),
                *(
                    f"log group {one['logGroupName']}"
                    for one in logs.describe_log_groups()["logGroups"]
                ),
                *(f"scaling {one['ResourceId']}" for one in targets["ScalableTargets"]),
            ]
        )


def _all(ecr: Any, key: str) -> Any:
    return ecr.describe_repositories()[key]


@contextmanager
def moto() -> Iterator[str]:
    """moto's server in this process; its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def world(home: Path, upstream: str, *, region: str = REGION) -> Iterator[World]:
    """A fresh one over a moto. ``home`` holds AWS's configuration files, which are empty."""
    config = home / "config"
    credentials = home / "credentials"
    config.write_text("", encoding="utf-8")
    credentials.write_text("", encoding="utf-8")
    moto_api_backend.reset()
    faults = Faults()
    clients: dict[str, Any] = {}

    def direct(service: str) -> Any:
        if service not in clients:
            clients[service] = _client(upstream, service, region)
        return clients[service]

    formation = Formation(direct, region=region, account=DEFAULT_ACCOUNT_ID)
    try:
        with Proxy(upstream, faults, {**MISSING, "cloudformation": formation}) as proxy:
            yield World(
                url=proxy.url,
                upstream=upstream,
                region=region,
                account=DEFAULT_ACCOUNT_ID,
                faults=faults,
                formation=formation,
                env={
                    "AWS_ENDPOINT_URL": proxy.url,
                    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                    "AWS_SECRET_ACCESS_KEY": SECRET,
                    "AWS_SESSION_TOKEN": TOKEN,
                    "AWS_DEFAULT_REGION": region,
                    "AWS_CONFIG_FILE": str(config),
                    "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
                _clients=clients,
            )
    finally:
        for client in clients.values():
            client.close()


def _client(url: str, service: str, region: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def posted(call: Call) -> str:
    """The body of a call, to look into."""
    return call.body.decode(errors="replace")
