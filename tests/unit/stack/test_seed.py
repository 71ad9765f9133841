"""What is made the first time, the second time, and after an interruption."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts.store import Archive, Payload
from lab.endpoint.client import EmulatorClient, Reply
from lab.endpoint.instances import LARGE, table
from lab.endpoint.live import STARTED_AGAIN
from lab.errors import EndpointError
from lab.progress import Silent
from lab.spec import Platform, Runtime
from lab.stack import seed
from lab.stack.seed import SeededEndpoint, SeededModel

ROLE = "arn:aws:iam::000000000000:role/inference-lab"
NEW = ["create_endpoint", "update_endpoint", "delete_endpoint", "create_model"]


class FakeEmulator(EmulatorClient):
    """Keeps what it is told; an endpoint is in service once it has been asked about twice."""

    def s3(self, operation: str, **parameters: Any) -> None:
        assert operation == "put_object"
        self.objects[parameters["Key"]] = parameters["Body"]

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {"model": {}, "endpoint_config": {}, "endpoint": {}}
        self.calls: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.buckets: list[str] = []
        self.invoked: list[str] = []
        self.fails: str | None = None
        self.refuses = ""
        self.cold: list[str] = []
        self.starts_again: dict[str, str] = {}

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        self.calls.append(operation)
        verb, _, kind = operation.partition("_")
        rows = self.made[kind]
        name = parameters[_key(kind)]
        if verb == "create":
            assert name not in rows
        if verb == "delete":
            rows[name]["EndpointStatus"] = "Deleting"
            return {}
        rows[name] = {**parameters, "EndpointStatus": "Creating", "asked": 0}
        return {}

    def find(self, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        kind = operation.removeprefix("describe_")
        name = parameters[_key(kind)]
        row = self.made[kind].get(name)
        if row is None or kind != "endpoint":
            return row
        row["asked"] += 1
        if row["EndpointStatus"] == "Deleting":
            del self.made[kind][name]
            return None
        if row["EndpointStatus"] == "Creating" and row["asked"] > 1:
            row["EndpointStatus"] = "Failed" if self.fails else "InService"
            row["FailureReason"] = self.fails
        if row["EndpointStatus"] == "Creating" and name in self.starts_again:
            said = [{"StatusMessage": self.starts_again[name]}]
            pending = {"ProductionVariants": [{"VariantStatus": said}]}
            return {**row, "PendingDeploymentSummary": pending}
        return dict(row)

    def invoke(self, endpoint: str, body: bytes, content_type: str, **_: str) -> Reply:
        self.invoked.append(endpoint)
        if endpoint == self.refuses:
            raise EndpointError("ModelError: 500")
        return Reply(body=b"{}", content_type="application/json", variant="AllTraffic")

    def servers(self, endpoint: str) -> list[Mapping[str, Any]]:
        return [] if endpoint in self.cold else [{"server": "i-1"}]

    def changes(self) -> Mapping[str, Sequence[str]]:
        return {}

    def ensure_bucket(self, bucket: str) -> bool:
        self.buckets.append(bucket)
        return True

    def upload(self, path: Path, bucket: str, key: str) -> bool:
        new = key not in self.objects
        self.objects[key] = path.read_bytes()
        return new


def _key(kind: str) -> str:
    return {
        "model": "ModelName",
        "endpoint_config": "EndpointConfigName",
        "endpoint": "EndpointName",
    }[kind]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> FakeEmulator:
    monkeypatch.setattr("lab.stack.seed._POLL_S", 0.0)
    return FakeEmulator()


def served(
    tmp_path: Path,
    *,
    image_id: str = "sha256:1",
    variant: str = "onnx-slim",
    instance_type: str = "ml.m5.large",
) -> SeededModel:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"weights")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"eye")
    return SeededModel(
        archive=Archive(model="grader", runtime=Runtime.ONNX, path=path, sha256="ab" * 32, bytes=7),
        payload=Payload(path=photo, content_type="image/jpeg"),
        image=f"inference-lab/{variant}:amd64",
        image_id=image_id,
        variant=variant,
        instance_type=instance_type,
    )


def made(
    one: SeededModel, emulator: FakeEmulator, progress: Silent | None = None
) -> list[SeededEndpoint]:
    return list(seed.endpoints([one], "bucket", ROLE, emulator, progress or Silent()))


def test_a_model_gets_an_endpoint_of_each_kind_that_has_answered(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    rows = made(served(tmp_path), emulator)
    assert [(row.name, row.kind, row.status) for row in rows] == [
        ("grader-realtime", "realtime", "InService"),
        ("grader-serverless", "serverless", "InService"),
    ]
    assert emulator.invoked == ["grader-realtime", "grader-serverless"]
    (model,) = emulator.made["model"].values()
    assert model["PrimaryContainer"]["Image"] == "inference-lab/onnx-slim:amd64"
    assert model["PrimaryContainer"]["ModelDataUrl"].startswith("s3://bucket/inference-lab/grader/")
    variants = [one["ProductionVariants"][0] for one in emulator.made["endpoint_config"].values()]
    assert [one.get("InstanceType") for one in variants] == ["ml.m5.large", None]
    assert variants[1]["ServerlessConfig"]["MemorySizeInMB"] == 2048


def test_an_arm64_machine_s_images_are_served_on_an_arm64_instance(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    made(served(tmp_path, instance_type=LARGE[Platform.ARM64]), emulator)
    configs = emulator.made["endpoint_config"].values()
    types = [one["ProductionVariants"][0].get("InstanceType") for one in configs]
    assert types == ["ml.m6g.large", None]
    assert table()["ml.m6g.large"].platform is Platform.ARM64


def test_a_second_time_changes_nothing(tmp_path: Path, emulator: FakeEmulator) -> None:
    made(served(tmp_path), emulator)
    emulator.calls.clear()
    emulator.invoked.clear()
    rows = made(served(tmp_path), emulator)
    assert emulator.calls == []
    assert emulator.invoked == []
    assert {row.status for row in rows} == {"InService"}


def test_after_a_restart_of_the_emulator_it_waits_until_the_containers_answer_again(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    made(served(tmp_path), emulator)
    emulator.calls.clear()
    emulator.invoked.clear()
    emulator.cold = ["grader-realtime", "grader-serverless"]
    made(served(tmp_path), emulator)
    assert emulator.calls == []
    assert emulator.invoked == ["grader-realtime"]  # a serverless one may well be at zero


@pytest.mark.parametrize("change", [{"image_id": "sha256:2"}, {"variant": "onnx"}])
def test_a_rebuilt_image_or_another_variant_is_put_in_service_by_an_update(
    tmp_path: Path, emulator: FakeEmulator, change: dict[str, str]
) -> None:
    made(served(tmp_path), emulator)
    emulator.calls.clear()
    made(served(tmp_path, **change), emulator)
    assert emulator.calls.count("update_endpoint") == 2
    assert "create_endpoint" not in emulator.calls
    assert len(emulator.made["model"]) == 2


def test_what_an_interruption_left_half_made_is_gone_on_with(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    made(served(tmp_path), emulator)
    del emulator.made["endpoint"]["grader-serverless"]
    emulator.made["endpoint"]["grader-realtime"].update(EndpointStatus="Creating", asked=0)
    emulator.calls.clear()
    emulator.invoked.clear()
    rows = made(served(tmp_path), emulator)
    assert emulator.calls == ["create_endpoint"]
    assert emulator.invoked == ["grader-realtime", "grader-serverless"]
    assert {row.status for row in rows} == {"InService"}


def test_an_endpoint_that_had_failed_is_made_anew(tmp_path: Path, emulator: FakeEmulator) -> None:
    made(served(tmp_path), emulator)
    emulator.made["endpoint"]["grader-realtime"]["EndpointStatus"] = "Failed"
    progress = Silent()
    rows = made(served(tmp_path), emulator, progress)
    assert rows[0].status == "InService"
    assert progress.notes == ["grader-realtime had failed: making it anew."]


def test_an_endpoint_whose_configuration_was_deleted_is_made_anew_when_it_has_to_change(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    made(served(tmp_path), emulator)
    gone = emulator.made["endpoint"]["grader-realtime"]["EndpointConfigName"]
    del emulator.made["endpoint_config"][gone]
    progress = Silent()
    rows = made(served(tmp_path, image_id="sha256:2"), emulator, progress)
    assert rows[0].status == "InService"
    assert progress.notes == ["grader-realtime has lost its configuration: making it anew."]
    assert emulator.made["endpoint"]["grader-realtime"]["EndpointConfigName"] != gone


def test_an_endpoint_that_the_user_has_given_another_configuration_is_left_alone(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    made(served(tmp_path), emulator)
    emulator.made["endpoint"]["grader-realtime"]["EndpointConfigName"] = "my-experiment"
    emulator.calls.clear()
    rows = made(served(tmp_path), emulator)
    assert emulator.calls == []
    assert rows[0].note == "serves my-experiment, which is yours"


def test_why_an_endpoint_failed_reaches_the_user(tmp_path: Path, emulator: FakeEmulator) -> None:
    emulator.fails = "did not pass the ping health check: exit code 137, out of memory"
    rows = made(served(tmp_path), emulator)
    assert rows[0].status == "Failed"
    assert rows[0].reason == emulator.fails
    assert emulator.invoked == []


def test_whoever_waits_is_told_once_why_a_container_is_started_again(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    emulator.starts_again = {
        "grader-realtime": f"{STARTED_AGAIN}: no weights.",
        "grader-serverless": "This machine is smaller.",
    }
    progress = Silent()
    made(served(tmp_path), emulator, progress)
    assert progress.notes == [f"grader-realtime: {STARTED_AGAIN}: no weights."]


def test_an_endpoint_in_service_that_does_not_answer_is_told_from_one_that_does(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    emulator.refuses = "grader-serverless"
    rows = made(served(tmp_path), emulator)
    assert rows[0].reason is None
    assert rows[1].reason == "It does not answer: ModelError: 500"
    assert [row.answers for row in rows] == [True, False]


def test_an_endpoint_that_never_settles_ends_the_waiting_with_what_to_look_at(
    tmp_path: Path, emulator: FakeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.stack.seed._WAIT_S", 0.0)
    with pytest.raises(EndpointError, match="is still Creating after 0 s") as late:
        made(served(tmp_path), emulator)
    assert "lab endpoint logs grader-realtime" in late.value.remedy


def test_each_thing_that_is_waited_for_is_named(tmp_path: Path, emulator: FakeEmulator) -> None:
    progress = Silent()
    made(served(tmp_path), emulator, progress)
    assert progress.steps == [
        "Starting grader-realtime, grader-serverless",
        "The first answer of grader-realtime",
        "The first answer of grader-serverless",
    ]


def test_endpoints_of_a_model_that_was_not_asked_for_stay_as_they_are_and_are_shown(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    made(served(tmp_path), emulator)
    emulator.made["endpoint"]["grader-serverless"]["EndpointConfigName"] = "my-experiment"
    emulator.calls.clear()
    emulator.invoked.clear()
    rows = seed.untouched(["grader", "another"], emulator)
    assert [(row.name, row.status, row.note) for row in rows] == [
        (
            "grader-realtime",
            "InService",
            "as it was; `--model grader` brings it up to date",
        ),
        ("grader-serverless", "InService", "serves my-experiment, which is yours"),
    ]
    assert emulator.calls == emulator.invoked == []


def test_archives_lie_under_a_key_that_names_their_content(
    tmp_path: Path, emulator: FakeEmulator
) -> None:
    one = served(tmp_path)
    seed.upload([one.archive], "bucket", emulator, Silent())
    assert emulator.buckets == ["bucket"]
    assert list(emulator.objects.items()) == [
        ("inference-lab/awake", b"x"),  # first: it waits until what was there can be read
        ("inference-lab/grader/onnx/abababababab/model.tar.gz", b"weights"),
    ]
