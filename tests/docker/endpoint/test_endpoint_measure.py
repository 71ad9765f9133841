"""What follows a push, against the emulator: answers compared, the study's protocols measured."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.artifacts import store
from lab.aws.answers import AnswerPayload, payload_of
from lab.aws.invoke import LocalEndpoint
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.metrics import EmulatorMetrics
from lab.aws.measure.record import MeasuredSubject, Protocol
from lab.aws.measure.session import measure
from lab.aws.measure.spending import rates_of
from lab.aws.measure.task import MeasureOptions, Task
from lab.aws.model import PushTarget, ServingKind
from lab.aws.push.proof import DifferentAnswerError, local_answer, verify
from lab.aws.push.upload import key_of
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.engine.docker.engine import DockerEngine
from lab.errors import ContainerFailedError, EndpointError
from lab.progress import Progress, Silent
from lab.report.compare.against_aws import PredictedFigure, compare_with_aws
from lab.spec import LABEL_ROLE, Runtime
from tests.docker.endpoint.site import BUCKET, REGION, Emulator, Site, serverless

MEMORY = 2048


@pytest.fixture(scope="module", name="client")
def _client(emulator: Emulator) -> Iterator[EmulatorClient]:
    found = EmulatorClient(Addresses(sagemaker=emulator.url, s3=emulator.s3, region=REGION), env={})
    yield found
    found.close()


@pytest.fixture(scope="module", name="image")
def _image(built: Callable[[str], str]) -> str:
    return built("onnx-slim")


@pytest.fixture(scope="module", name="payload")
def _payload(mobilenet: str) -> AnswerPayload:
    return payload_of(mobilenet, None)


@pytest.fixture(scope="module", name="endpoint")
def _endpoint(
    emulator: Emulator, client: EmulatorClient, image: str, mobilenet: str
) -> Iterator[LocalEndpoint]:
    archive = store.find(mobilenet, Runtime.ONNX)
    key = key_of(archive.sha256)
    client.upload(archive.path, BUCKET, key)
    site = Site(emulator, image)
    name = site.endpoint(
        site.config(serverless(site.model(data=f"s3://{BUCKET}/{key}"), memory=MEMORY))
    )
    yield LocalEndpoint(client, name)
    site.delete(name)


@pytest.fixture(name="here")
def _here(
    engine: DockerEngine, image: str, mobilenet: str, payload: AnswerPayload, progress: Progress
) -> bytes:
    return local_answer(
        engine,
        image=image,
        archive=store.find(mobilenet, Runtime.ONNX).path,
        payload=payload,
        progress=progress,
    )


def task(endpoint: LocalEndpoint, payload: AnswerPayload, model: str, **options: Any) -> Task:
    return Task(
        subject=MeasuredSubject(
            endpoint=endpoint.name,
            variant="onnx-slim",
            model=model,
            kind=ServingKind.SERVERLESS,
            target=PushTarget.LOCAL,
            region=REGION,
            memory_mb=MEMORY,
        ),
        payload=payload,
        rates=rates_of(PushTarget.LOCAL, ServingKind.SERVERLESS, memory_mb=MEMORY),
        options=MeasureOptions(warm_pause_s=0, cold_idle_s=0, **options),
    )


@pytest.fixture(scope="module", name="measured")
def _measured(
    endpoint: LocalEndpoint,
    client: EmulatorClient,
    payload: AnswerPayload,
    mobilenet: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> MeasureFolder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(tmp_path_factory.mktemp("home")))
        return measure(
            endpoint,
            task(endpoint, payload, mobilenet, warm_n=6, cold_n=3),
            metrics=EmulatorMetrics(client, endpoint.name),
            progress=Silent(),
        )


def test_the_endpoint_answers_what_the_container_answers_here(
    endpoint: LocalEndpoint, payload: AnswerPayload, here: bytes, engine: DockerEngine
) -> None:
    verified = verify(endpoint, payload=payload, expected=here, progress=Silent())
    assert verified.difference <= 1e-3
    assert verified.best is not None
    assert engine.containers({LABEL_ROLE: "push"}) == []


def test_another_answer_is_told(
    endpoint: LocalEndpoint, payload: AnswerPayload, here: bytes
) -> None:
    other = json.loads(here)
    row = other["predictions"][0]["probabilities"]
    row.append(row.pop(0))
    with pytest.raises(DifferentAnswerError):
        verify(endpoint, payload=payload, expected=json.dumps(other).encode(), progress=Silent())


def test_every_cold_request_waited_for_a_container_and_no_warm_one_did(
    measured: MeasureFolder,
) -> None:
    setups: dict[Protocol, list[int | None]] = {Protocol.WARM: [], Protocol.COLD: []}
    for one in measured.samples():
        if one.number:
            setups[one.protocol].append(one.reading.setups if one.reading else None)
    assert setups == {Protocol.WARM: [0] * 6, Protocol.COLD: [1] * 3}


def test_spans_lie_within_each_other_as_they_should(measured: MeasureFolder) -> None:
    for sample in measured.samples():
        assert sample.reading is not None
        model, total, own = sample.reading.model_latency_s, sample.total_s, sample.prediction_s
        assert model is not None
        assert total is not None
        assert own is not None
        assert own <= model <= total
        if sample.reading.setup_s is not None:
            assert sample.reading.setup_s <= total


def test_its_summary_costs_nothing_and_compares_with_another(measured: MeasureFolder) -> None:
    summary = json.loads((measured.path / "summary.json").read_text())
    assert summary["usd"] == 0
    assert {row["protocol"]: row["n"] for row in summary["rows"]} == {"warm": 6, "cold": 3}
    copy = measured.path.parent / f"{measured.path.name}-copy"
    copy.mkdir()
    for file in measured.path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    result = compare_with_aws(measured.path, copy)
    assert [one.figure for one in result.lines] == list(PredictedFigure)
    assert all(one.error == 0 for one in result.lines)


def test_an_endpoint_that_is_not_there_is_told(
    client: EmulatorClient, payload: AnswerPayload
) -> None:
    missing = LocalEndpoint(client, f"inference-lab-{uuid.uuid4().hex[:8]}")
    with pytest.raises(EndpointError, match="not found"):
        missing.invoke(payload.body, payload.content_type)


def test_a_payload_that_the_model_does_not_understand_is_told_before_aws_is_asked(
    engine: DockerEngine, image: str, mobilenet: str, progress: Progress
) -> None:
    with pytest.raises(ContainerFailedError, match="answered 4"):
        local_answer(
            engine,
            image=image,
            archive=store.find(mobilenet, Runtime.ONNX).path,
            payload=AnswerPayload(name="note.jpg", body=b"no picture", content_type="image/jpeg"),
            progress=progress,
        )
    assert engine.containers({LABEL_ROLE: "push"}) == []
