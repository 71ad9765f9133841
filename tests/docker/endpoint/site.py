"""A site to test on: the emulator as its own process, S3 beside it, and boto3 clients for both."""

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from lab.endpoint.instances import LARGE
from lab.host import this_machine
from lab.paths import ROOT
from tests.ports import free_port
from tests.timing import wait_until

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
BUCKET = "models"
INSTANCE_TYPE = LARGE[this_machine()]
"""Of the processor that this machine's images are for."""


@dataclass
class Emulator:
    """``python -m face`` on a port and with a state folder of its own."""

    state: Path
    engine: str
    s3: str
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.state.with_suffix(".log")

    def start(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = self.process = subprocess.Popen(
                [sys.executable, "-m", "face"],
                env={
                    **{name: value for name, value in os.environ.items() if "AWS" not in name},
                    "PYTHONPATH": f"{ROOT}:{ROOT / 'services/endpoint'}",
                    "LAB_STATE": str(self.state),
                    "LAB_PORT": str(self.port),
                    "LAB_ACCOUNT": ACCOUNT,
                    "LAB_REGION": REGION,
                    "DOCKER_HOST": self.engine,
                    "AWS_ENDPOINT_URL_S3": self.s3,
                    **self.env,
                },
                stdout=log,
                stderr=log,
            )
        wait_until(
            lambda: self._healthy() or process.poll() is not None,
            otherwise=self.log.read_text,
        )
        assert process.poll() is None, self.log.read_text()

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/_lab/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """As ``docker stop`` would; its exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        return self.process.wait(60)

    def client(self, service: str, **config: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.s3 if service == "s3" else self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(
                read_timeout=90,
                max_pool_connections=64,
                **{"retries": {"total_max_attempts": 1}, **config},
            ),
        )


@dataclass
class Site:
    """Boto3's view of an emulator, and short ways to make things on it."""

    emulator: Emulator
    image: str

    def __post_init__(self) -> None:
        self.sagemaker = self.emulator.client("sagemaker")
        self.runtime = self.emulator.client("sagemaker-runtime")
        self.s3 = self.emulator.client("s3")

    def model(
        self,
        image: str | None = None,
        data: str | None = None,
        env: Mapping[str, str] | None = None,
        **more: Any,
    ) -> str:
        name = f"model-{uuid.uuid4().hex[:8]}"
        container: dict[str, Any] = {"Image": image or self.image, "Environment": dict(env or {})}
        if data is not None:
            container["ModelDataUrl"] = data
        self.sagemaker.create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, **more
        )
        return name

    def config(self, *variants: Mapping[str, Any], **more: Any) -> str:
        name = f"config-{uuid.uuid4().hex[:8]}"
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=list(variants), **more
        )
        return name

    def endpoint(self, config: str, *, wait: bool = True) -> str:
        name = f"endpoint-{uuid.uuid4().hex[:8]}"
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        if wait:
            self.wait(name)
        return name

    def wait(self, name: str, waiter: str = "endpoint_in_service") -> None:
        self.sagemaker.get_waiter(waiter).wait(
            EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )

    def describe(self, name: str) -> Any:
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def settled(self, name: str) -> Any:
        """The endpoint's description once its status is no longer a passing one."""
        passing = {"Creating", "Updating", "RollingBack"}

        def settled() -> Any:
            seen = self.describe(name)
            return None if seen["EndpointStatus"] in passing else seen

        return wait_until(settled, every_s=0.1, otherwise=lambda: self.describe(name))

    def invoke(self, name: str, body: bytes | str = b"{}", **more: Any) -> Any:
        """The answer with its body read: what is not read keeps a socket open."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, **{"ContentType": "application/json", **more}
        )
        return {**answer, "Body": io.BytesIO(answer["Body"].read())}

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.wait(name, "endpoint_deleted")


def realtime(model: str, name: str = "AllTraffic", count: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": INSTANCE_TYPE,
        "InitialInstanceCount": count,
        **more,
    }


def serverless(model: str, *, most: int = 2, memory: int = 1024, **more: Any) -> dict[str, Any]:
    return {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "ServerlessConfig": {"MemorySizeInMB": memory, "MaxConcurrency": most, **more},
    }


def answered(answer: Any) -> Any:
    """What the model container said it got."""
    return json.loads(answer["Body"].read())
