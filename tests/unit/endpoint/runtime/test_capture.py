"""Data capture, as Model Monitor would find it."""

import asyncio
import base64
import json
import logging
import random
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lab.endpoint.live import LiveEndpoint
from lab.endpoint.runtime import capture as module
from lab.endpoint.runtime.capture import S3Capture
from lab.endpoint.s3 import ObjectError
from lab.endpoint.transport import ContainerAnswer, ContainerCall
from tests.fidelity import DOCUMENTED, OURS, fidelity
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.standins import FakeObjects, live, until

pytestmark = pytest.mark.anyio

AT = 1_645_032_349.312  # 2022-02-16T17:25:49.312Z
HOUR = "s3://box/captured/e/v/2022/02/16/17/"


def config(**over: Any) -> Mapping[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://box/captured/",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
        **over,
    }


def put(
    capture: S3Capture,
    endpoint: LiveEndpoint,
    *,
    body: bytes = b"1,2",
    kind: str = "text/csv",
    answer: bytes = b'{"a":1}',
    inference_id: str | None = None,
    at: float = AT,
) -> None:
    capture.record(
        endpoint,
        "v",
        request=ContainerCall(body=body, headers={"Content-Type": kind} if kind else {}),
        answer=ContainerAnswer(
            status=200, headers={"content-type": "application/json"}, body=answer
        ),
        inference_id=inference_id,
        at=at,
    )


@asynccontextmanager
async def capturing(
    objects: FakeObjects, clock: ManualClock | None = None, **over: Any
) -> AsyncIterator[S3Capture]:
    """A capture that is started before and closed after."""
    clock = clock or ManualClock()
    capture = S3Capture(objects=objects, clock=clock, rng=random.Random(1), **over)
    await capture.start()
    yield capture
    closing = asyncio.ensure_future(capture.close())
    while not closing.done():
        await clock.advance(0.5)
        await asyncio.sleep(0.001)
    await closing


async def captured(
    endpoint: LiveEndpoint, objects: FakeObjects | None = None, **over: Any
) -> list[dict[str, Any]]:
    """The lines that one request leaves."""
    objects = objects or FakeObjects()
    async with capturing(objects) as capture:
        put(capture, endpoint, **over)
    return [
        json.loads(line) for data, _ in objects.kept.values() for line in data.decode().splitlines()
    ]


@fidelity(
    "Data capture",
    "A line holds captureData with endpointInput and endpointOutput, eventMetadata with "
    "eventId and inferenceTime, and eventVersion 0.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html",
)
async def test_a_line_is_as_the_guide_shows_it() -> None:
    (line,) = await captured(live(capture=config()), inference_id="my-id")
    event = line["eventMetadata"].pop("eventId")
    assert len(event) == 36
    assert line == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "1,2",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/json",
                "mode": "OUTPUT",
                "data": '{"a":1}',
                "encoding": "JSON",
            },
        },
        "eventMetadata": {"inferenceId": "my-id", "inferenceTime": "2022-02-16T17:25:49Z"},
        "eventVersion": "0",
    }


@fidelity(
    "Data capture",
    "Files lie below DESTINATION/ENDPOINT/VARIANT/yyyy/mm/dd/hh.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html",
)
async def test_files_are_sorted_by_endpoint_variant_and_hour() -> None:
    objects = FakeObjects()

    async with capturing(objects) as capture:
        for at in (AT, AT + 1, AT + 3600):
            put(capture, live(capture=config()), at=at)
    lines = {uri: data.decode().count("\n") for uri, (data, _) in objects.kept.items()}
    assert len(lines) == 2
    first, second = sorted(lines)
    assert first.startswith(f"{HOUR}25-49-312-")
    assert first.endswith(".jsonl")
    assert second.startswith("s3://box/captured/e/v/2022/02/16/18/25-49-312-")
    assert (lines[first], lines[second]) == (2, 1)


@fidelity(
    "Data capture",
    "Payloads of a listed CSV or JSON content type are written as text, all others in base64.",
    DOCUMENTED,
    "botocore: CaptureContentTypeHeader",
)
@pytest.mark.parametrize(
    ("kind", "body", "encoding"),
    [
        ("text/csv; charset=utf-8", b"1", "CSV"),
        ("TEXT/CSV", b"1", "CSV"),
        ("application/json", b"1", "JSON"),
        ("text/plain", b"1", "BASE64"),
        ("", b"1", "BASE64"),
        ("application/json", b"\xff\xfe", "BASE64"),
    ],
)
async def test_only_listed_content_types_are_kept_as_text(
    kind: str, body: bytes, encoding: str
) -> None:
    (line,) = await captured(live(capture=config()), kind=kind, body=body)
    side = line["captureData"]["endpointInput"]
    assert side["encoding"] == encoding
    kept = side["data"]
    assert (base64.b64decode(kept) if encoding == "BASE64" else kept.encode()) == body
    assert side.get("observedContentType", "") == kind


async def test_without_listed_content_types_all_is_base64() -> None:
    (line,) = await captured(live(capture=config(CaptureContentTypeHeader=None)))
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"


@fidelity(
    "Data capture",
    "CaptureMode says whether the input, the output or both are kept.",
    DOCUMENTED,
    "botocore: CaptureOption",
)
@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], {"endpointInput"}),
        (["Output"], {"endpointOutput"}),
        (["InputAndOutput"], {"endpointInput", "endpointOutput"}),
    ],
)
async def test_only_the_sides_asked_for_are_kept(modes: list[str], sides: set[str]) -> None:
    options = [{"CaptureMode": mode} for mode in modes]
    (line,) = await captured(live(capture=config(CaptureOptions=options)))
    assert set(line["captureData"]) == sides


@pytest.mark.parametrize(
    "off", [None, config(EnableCapture=False), config(InitialSamplingPercentage=0)]
)
async def test_nothing_is_kept_when_capture_is_off(off: Mapping[str, Any] | None) -> None:
    assert await captured(live(capture=off)) == []


@fidelity(
    "Data capture",
    "InitialSamplingPercentage is the share of requests that is kept.",
    DOCUMENTED,
    "botocore: DataCaptureConfig",
)
async def test_a_sample_is_a_share() -> None:
    objects = FakeObjects()

    async with capturing(objects) as capture:
        for _ in range(1000):
            put(capture, live(capture=config(InitialSamplingPercentage=20)))
    count = sum(data.count(b"\n") for data, _ in objects.kept.values())
    assert 150 < count < 250


@fidelity(
    "Data capture",
    "A file is written after some seconds, or when it is large enough.",
    OURS,
    "AWS publishes neither the time nor the size",
)
async def test_a_file_is_written_when_its_time_has_come() -> None:
    objects, clock = FakeObjects(), ManualClock()
    async with capturing(objects, clock) as capture:
        put(capture, live(capture=config()))
        await clock.advance(59.0)
        await asyncio.sleep(0.01)
        assert objects.kept == {}
        await clock.advance(2.0)
        await until(lambda: len(objects.kept) == 1)
    assert len(objects.kept) == 1


async def test_a_file_is_written_when_it_is_large_enough() -> None:
    objects = FakeObjects()
    async with capturing(objects, flush_bytes=4000) as capture:
        for _ in range(3):
            put(capture, live(capture=config()), body=b"x" * 1000)
        await until(lambda: len(objects.kept) == 1)


async def test_an_s3_that_hangs_costs_no_more_memory_than_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = threading.Event()

    def hang(verb: str, uri: str) -> None:
        go_on.wait(5)

    objects = FakeObjects(refuse=hang)
    async with capturing(objects, flush_bytes=3000, held_bytes=15_300) as capture:
        for _ in range(100):
            put(capture, live(capture=config()), body=b"x" * 1000)
        assert capture.dropped == 90
        go_on.set()
    assert sum(data.count(b"\n") for data, _ in objects.kept.values()) == 10
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2, "at the first and at the tenth"
    assert "too much waits to be written" in warnings[0]


async def test_a_failed_write_is_tried_again_and_then_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[str] = []

    def refuse(verb: str, uri: str) -> None:
        tries.append(uri)
        if len(tries) < 3 or "/e2/" in uri:
            raise ObjectError("NoSuchBucket", "no bucket")

    objects = FakeObjects(refuse=refuse)
    assert len(await captured(live(capture=config()), objects)) == 1
    assert len(tries) == 3
    with caplog.at_level(logging.WARNING):
        assert len(await captured(live("e2", capture=config()), objects)) == 1, (
            "the one from before"
        )
    assert len(tries) == 6
    assert "could not be written: no bucket" in caplog.text


async def test_closing_does_not_wait_for_an_s3_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()

    def hang(verb: str, uri: str) -> None:
        go_on.wait(5)

    monkeypatch.setattr(module, "_CLOSE_S", 0.05)
    async with capturing(FakeObjects(refuse=hang)) as capture:
        put(capture, live(capture=config()))
    go_on.set()
    assert capture.dropped == 1
    assert "S3 was too slow" in caplog.text


@fidelity(
    "Data capture",
    "A capture that cannot be written never fails a request.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture.html",
)
async def test_a_broken_configuration_never_fails_a_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await captured(live(capture={"DestinationS3Uri": "s3://box"})) == []
    assert "Data capture of e failed" in caplog.text
