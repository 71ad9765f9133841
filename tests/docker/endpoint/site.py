"""A site to test on: the emulator as its own process, S3 beside it, and boto3 clients for both."""

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from lab.endpoint.instances import LARGE
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.host import this_machine
from lab.paths import ROOT
from lab.spec import LABEL_ROLE
from tests.ports import free_port
from tests.timing import PATIENCE_S, wait_until

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
BUCKET = "models"
POLL_S = 0.1
INSTANCE_TYPE = LARGE[this_machine()]
"""Of the processor that this machine's images are for."""


@dataclass
class Emulator:
    """``python -m face`` on a port and with a state folder of its own."""

    state: Path
    engine: str
    s3: str
    network: str
    """Of its model containers: one that no other process uses."""
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
                    "LAB_PING_S": "1",
                    "LAB_MAX_INSTANCES": "200",
                    "LAB_START_TRIES": "1",
                    "LAB_NETWORK": self.network,
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
        return self.process.wait()

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
            EndpointName=name, WaiterConfig={"Delay": POLL_S, "MaxAttempts": PATIENCE_S / POLL_S}
        )

    def describe(self, name: str) -> Any:
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def settled(self, name: str) -> Any:
        """The endpoint's description once its status is no longer a passing one."""
        passing = {"Creating", "Updating", "RollingBack"}

        def settled() -> Any:
            seen = self.describe(name)
            return None if seen["EndpointStatus"] in passing else seen

        return wait_until(settled, every_s=POLL_S, otherwise=lambda: self.describe(name))

    def invoke(self, name: str, body: bytes | str = b"{}", **more: Any) -> Any:
        """The answer with its body read: what is not read keeps a socket open."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, **{"ContentType": "application/json", **more}
        )
        return {**answer, "Body": io.BytesIO(answer["Body"].read())}

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.wait(name, "endpoint_deleted")


class Beside:
    """An endpoint's model containers as their neighbours see them: not through the emulator."""

    def __init__(self, engine: DockerEngine, endpoint: str) -> None:
        self._engine, self._endpoint = engine, endpoint

    def containers(self) -> Sequence[DockerContainer]:
        labels = {LABEL_ROLE: "endpoint", "org.inference-lab.endpoint": self._endpoint}
        return self._engine.containers(labels)

    def open(self, gate: str) -> None:
        """Let requests pass the gate, in every container that there is, as soon as there is one."""
        wait_until(lambda: self._ask(f"/open/{gate}"), despite=httpx.TransportError)

    def held(self) -> Sequence[str]:
        """In front of which gate each request waits that is held."""
        return [line for said in self._ask("/held") for line in said.splitlines()]

    def until_held(self, *gates: str) -> None:
        """Wait until a request is held in front of each of these, and none in front of others."""
        wait_until(
            lambda: sorted(self.held()) == sorted(gates),
            despite=httpx.TransportError,
            otherwise=self.held,
        )

    def _ask(self, path: str) -> Sequence[str]:
        return [
            httpx.get(f"http://{address}:8080{path}").raise_for_status().text
            for address in self._addresses()
        ]

    def _addresses(self) -> Iterator[str]:
        for container in self.containers():
            seen = self._engine.client.inspect_container(container.id)["NetworkSettings"]
            if address := next(iter(seen["Networks"].values()))["IPAddress"]:
                yield address


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
