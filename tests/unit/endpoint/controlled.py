"""A control plane whose fleet only pretends, reached through a real boto3 client without HTTP."""

import functools
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

from lab.endpoint.control.operations import Control
from lab.endpoint.deploy.policy import states
from lab.endpoint.instances import Machine
from lab.endpoint.live import LaunchFailed
from lab.endpoint.plans import plans_of
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.records import EndpointRecord, Status
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.standins import FakeFleet

ACCOUNT = "123456789012"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
MACHINE = Machine(cpus=2, memory_bytes=8 * 1024**3)
MODEL = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


class WorkingFleet(FakeFleet):
    """Does what it was kicked for when told to."""

    def __init__(self, store: SqliteStore, settings: EmulatorSettings) -> None:
        super().__init__()
        self.store = store
        self.settings = settings

    def work(self) -> None:
        """Bring every endpoint to what is wanted of it."""
        for row in self.store.endpoints():
            if row.status is Status.DELETING:
                self.store.delete_endpoint(row.name)
            else:
                self.store.change_endpoint(row.name, self._done)

    def fail(self, name: str, reason: str) -> None:
        self.store.change_endpoint(
            name, lambda row: replace(row, status=Status.FAILED, failure_reason=reason)
        )

    def _done(self, row: EndpointRecord) -> EndpointRecord | None:
        if row.status not in {Status.CREATING, Status.UPDATING}:
            return None
        if row.pending is not None:
            return replace(row, status=Status.IN_SERVICE, variants=row.pending, pending=None)
        name = row.pending_config or row.config_name
        try:
            _, plans = plans_of(
                row, name, store=self.store, settings=self.settings, machine=MACHINE
            )
        except LaunchFailed as failed:
            status = Status.IN_SERVICE if row.variants else Status.FAILED
            return replace(row, status=status, failure_reason=failed.reason, pending_config=None)
        return replace(
            row,
            status=Status.IN_SERVICE,
            config_name=name,
            pending_config=None,
            variants=states(plans),
            generation=row.generation + 1,
        )


class FakeArtifacts:
    """Has everything but what is named here."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.looked_for: list[str] = []

    def check_image(self, image: str) -> None:
        self._check(image, f"Requested image {image} not found.")

    def check_data(self, uri: str, *, prefix: bool, role: str) -> None:
        del prefix, role
        self._check(uri, f"Could not find model data at {uri}.")

    def _check(self, what: str, otherwise: str) -> None:
        self.looked_for.append(what)
        if what in self.missing:
            raise validation_exception(otherwise)


class Plane:
    """All of it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = ManualClock()
        self.settings = EmulatorSettings(state=folder, account=ACCOUNT, **settings)
        self.artifacts = FakeArtifacts()
        self.store = SqliteStore(folder / "state.sqlite3")
        self.fleet = WorkingFleet(self.store, self.settings)
        self.control = Control(
            store=self.store,
            fleet=self.fleet,
            clock=self.clock,
            settings=self.settings,
            machine=MACHINE,
            artifacts=self.artifacts,
        )
        self.client = client(self.control)

    def given_model(self, name: str = "m", **more: Any) -> None:
        self.client.create_model(
            ModelName=name,
            PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://b/model.tar.gz"},
            **more,
        )

    def given_config(self, name: str = "c", *variants: dict[str, Any], **more: Any) -> None:
        self.client.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=list(variants or [instance()]), **more
        )

    def given_endpoint(self, name: str = "e", config: str = "c") -> None:
        self.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.fleet.work()


def instance(name: str = "v", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        **more,
    }


def serverless(name: str = "v", memory: int = 2048, most: int = 5, **more: Any) -> dict[str, Any]:
    config = {"MemorySizeInMB": memory, "MaxConcurrency": most, **more}
    return {"VariantName": name, "ModelName": "m", "ServerlessConfig": config}


@functools.cache
def _client() -> Any:
    return boto3.client(
        "sagemaker",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


def client(control: Control) -> Any:
    """A client whose requests end at the control plane; nothing is checked before.

    One client serves all, as they take long to make: the last plane gets its requests.
    """

    def answer(request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().removeprefix("SageMaker.")
        try:
            found = control.call(operation, json.loads(request.body))
        except ApiError as error:
            body = {"__type": error.code, "message": error.message}
            return response(request.url, error.status, body)
        check_answer(operation, found)
        return response(request.url, 200, found)

    events = _client().meta.events
    events.unregister("before-send.sagemaker.*", unique_id="plane")
    events.register("before-send.sagemaker.*", answer, unique_id="plane")
    return _client()


def response(url: str, status: int, body: Any) -> AWSResponse:
    raw = io.BytesIO(json.dumps(body).encode())
    raw.stream = lambda *_: iter([raw.read()])  # type: ignore[attr-defined]
    return AWSResponse(url, status, {}, raw)


def check_answer(operation: str, answer: Any) -> None:
    """That botocore's own model of the output describes it, member for member."""
    shape = MODEL.operation_model(operation).output_shape
    if shape is None:
        assert answer == {}
        return
    parsed = create_parser("json").parse(
        {"status_code": 200, "headers": {}, "body": json.dumps(answer).encode()}, shape
    )
    parsed.pop("ResponseMetadata", None)
    report = ParamValidator().validate(parsed, shape)
    assert not report.has_errors(), report.generate_report()
    _check_members(shape, answer)


def _check_members(shape: Any, value: Any) -> None:
    # The parser drops what the model does not know: there must be no such thing.
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), (shape.name, set(value) - set(shape.members))
        for name, each in value.items():
            _check_members(shape.members[name], each)
    elif shape.type_name == "list":
        for each in value:
            _check_members(shape.member, each)
