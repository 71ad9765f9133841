"""Asynchronous inference: accepted at once, processed in turn, never lost."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.runtime import async_objects, async_worker
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.endpoint.transport import (
    ContainerCall,
    NotSentError,
)
from tests.unit.endpoint.async_scene import World
from tests.unit.endpoint.standins import (
    add_endpoint,
    live,
    server,
    until,
)

pytestmark = pytest.mark.anyio

Make = Callable[..., World]


# --- accepting -----------------------------------------------------------------------------------


async def test_a_reply_says_where_results_will_be(world: World) -> None:
    reply = await world.accept(b"x")
    assert len(reply.inference_id) == 36
    assert reply.output_location == f"s3://box/out/{reply.inference_id}.out"
    assert reply.failure_location == f"s3://box/failures/{reply.inference_id}-error.out"


async def test_two_requests_of_one_inference_id_do_not_replace_each_other(world: World) -> None:
    one = await world.accept(b"x", Inference_Id="mine")
    two = await world.accept(b"x", Inference_Id="mine")
    assert one.inference_id == two.inference_id == "mine"
    assert one.output_location != two.output_location


async def test_the_caller_may_name_folder_and_file(world: World) -> None:
    reply = await world.accept(b"x", Filename="a.json", S3OutputPathExtension="/day/1/")
    assert reply.output_location == "s3://box/out/day/1/a.json"


async def test_without_an_output_path_results_go_where_aws_puts_them(make: Make) -> None:
    world = make(output={})
    reply = await world.accept(b"x")
    assert reply.output_location.startswith("s3://sagemaker-us-east-1-000000000000/")
    assert reply.failure_location is None


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"", {}, "Exactly one of InputLocation and Body must be provided, and neither was."),
        (b"x", {"InputLocation": "s3://box/in"}, "must be provided, and both were."),
        (b"x" * 128_001, {}, "up to 128000 bytes"),
        (b"", {"InputLocation": "ftp://box/in"}, "Value 'ftp://box/in' at 'inputLocation'"),
        (b"", {"InputLocation": "s3://box/" + "x" * 1024}, "length less than or equal to 1024"),
        (b"x", {"RequestTTLSeconds": "59"}, "'requestTTLSeconds' failed.*greater.*equal to 60"),
        (b"x", {"RequestTTLSeconds": "21601"}, "less than or equal to 21600"),
        (b"x", {"InvocationTimeoutSeconds": "0"}, "greater than or equal to 1$"),
        (b"x", {"InvocationTimeoutSeconds": "3601"}, "less than or equal to 3600"),
        (b"x", {"InvocationTimeoutSeconds": "soon"}, "whole number"),
        (b"x", {"InvocationTimeoutSeconds": "--1"}, "whole number"),
        (b"x", {"Filename": "x" * 33}, "'filename'.*less than or equal to 32"),
        (b"x", {"Filename": "../up"}, "'filename'.*regular expression"),
        (b"x", {"S3OutputPathExtension": "s3://other/"}, "'s3OutputPathExtension'"),
        (b"x", {"Inference_Id": "x" * 65}, "'inferenceId'"),
    ],
)
async def test_what_aws_refuses_is_refused(
    world: World, body: bytes, headers: Mapping[str, str], message: str
) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        await world.accept(body, **headers)
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
    assert world.store.asyncs() == []


async def test_as_much_as_is_allowed_is_taken(world: World) -> None:
    await world.accept(b"x" * 128_000, RequestTTLSeconds="60", InvocationTimeoutSeconds="3600")
    await world.settled()
    assert world.transport.timeouts == [3600.0]


async def test_only_asynchronous_endpoints_that_exist_take_requests(world: World) -> None:
    world.fleet.add(live("real-time"))
    with pytest.raises(ApiError, match="Endpoint none of account 000000000000 not found"):
        await world.queue.accept("none", {}, b"x")
    with pytest.raises(ApiError, match="does not support this inference type"):
        await world.queue.accept("real-time", {}, b"x")


# --- processing ----------------------------------------------------------------------------------


async def test_an_input_in_s3_becomes_a_result_in_s3(world: World) -> None:
    world.objects.kept["s3://box/in"] = (b"1,2", "text/csv")
    reply = await world.accept(
        InputLocation="s3://box/in", Accept="a/b", Custom_Attributes="c", Inference_Id="i"
    )
    await world.settled()
    assert world.objects.kept[reply.output_location] == (b"<1,2>", "text/plain")
    assert world.transport.calls == [
        ContainerCall(
            body=b"1,2",
            headers={
                "Content-Type": "text/csv",
                "Accept": "a/b",
                "X-Amzn-SageMaker-Custom-Attributes": "c",
                "X-Amzn-SageMaker-Inference-Id": "i",
            },
        )
    ]
    assert world.transport.timeouts == [900.0]
    times = ("time_in_backlog", "request_download_latency", "model_latency")
    for name in (*times, "response_upload_latency", "total_processing_time"):
        assert world.meter.asynchronous_value(f"{name}_seconds_count") == 1, name
    assert world.count("invocations_processed") == 1


async def test_an_inline_body_needs_no_input_in_s3(world: World) -> None:
    reply = await world.accept(b"\x00\xff", Content_Type="image/png")
    await world.settled()
    assert world.objects.kept[reply.output_location][0] == b"<\x00\xff>"
    assert world.transport.calls[0].headers["Content-Type"] == "image/png"


async def test_each_container_gets_as_many_at_a_time_as_configured(make: Make) -> None:
    world = make(at_once=2, servers=[server("a"), server("b")])

    async def slow(_: ContainerCall) -> None:
        await world.clock.sleep(10.0)

    world.transport.answer = lambda call, timeout_s: slow(call)
    for number in range(10):
        await world.accept(b"%d" % number)
    await until(lambda: world.transport.busy == 4, clock=world.clock)
    assert dict(world.queue.backlogs())["e"].size == 10
    await world.settled()
    assert world.transport.most == 4
    assert sorted(call.body for call in world.transport.calls) == [
        b"%d" % number for number in range(10)
    ]
    assert [one.in_flight for one in world.pool.servers] == [0, 0]


async def test_requests_wait_while_there_is_no_instance(world: World) -> None:
    servers, world.pool.servers = world.pool.servers, []
    await world.accept(b"x")
    await world.clock.advance(100.0)
    assert world.transport.calls == []
    backlog = dict(world.queue.backlogs())["e"]
    assert (backlog.size, backlog.oldest_s) == (1, 100.0)
    world.pool.servers = servers
    await world.settled()
    assert dict(world.queue.backlogs())["e"].size == 0
    waited = world.meter.asynchronous_value("time_in_backlog_seconds_sum")
    assert waited == pytest.approx(100.0, abs=1.0)


async def test_a_request_expires_in_the_queue(world: World) -> None:
    world.pool.servers = []
    long = await world.accept(b"x", RequestTTLSeconds="600")
    short = await world.accept(b"x", RequestTTLSeconds="60")
    await world.clock.advance(61.0)
    await until(lambda: len(world.store.asyncs()) == 1)
    assert world.reason(short) == (b"The lab: the request expired after 60 seconds in the queue.")
    assert long.failure_location not in world.objects.kept
    assert world.count("expired_requests") == 1
    assert world.count("invocation_failures") == 1


async def test_what_could_not_be_sent_goes_to_another_container(make: Make) -> None:
    world = make(servers=[server("a"), server("b")])

    def answer(call: ContainerCall, timeout_s: float) -> Any:
        if len(world.transport.calls) == 1:
            raise NotSentError

    world.transport.answer = answer
    reply = await world.accept(b"x")
    await world.settled()
    assert reply.output_location in world.objects.kept
    assert [one.healthy for one in world.pool.servers] == [False, True]


async def test_a_missing_input_is_a_failure_that_names_it(world: World) -> None:
    reply = await world.accept(InputLocation="s3://box/none")
    await world.settled()
    assert b"s3://box/none" in world.reason(reply)
    assert world.transport.calls == []
    assert world.count("request_download_failures") == 1


async def test_large_inputs_are_held_one_at_a_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make(at_once=8)
    world.objects.kept["s3://box/in"] = (b"large", "text/plain")
    monkeypatch.setattr(async_worker, "_LARGE", 4)

    async def slow(_: ContainerCall) -> None:
        await world.clock.sleep(10.0)

    world.transport.answer = lambda call, timeout_s: slow(call)
    for _ in range(5):
        await world.accept(InputLocation="s3://box/in")
    await world.settled()
    assert len(world.transport.calls) == 5
    assert world.transport.most == 1


async def test_an_input_above_1_gb_is_not_even_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert async_objects.PAYLOAD_BYTES == 1024**3
    monkeypatch.setattr(world.objects, "size", lambda uri: 1024**3 + 1)
    await world.accept(InputLocation="s3://box/in")
    await world.settled()
    assert world.count("request_download_failures") == 1


async def test_a_result_outlives_an_s3_that_is_away_for_a_moment(world: World) -> None:
    refused: list[str] = []

    def refuse(verb: str, uri: str) -> None:
        if verb == "write" and len(refused) < 3:
            refused.append(uri)
            raise ObjectError("Unreachable", "nobody there.")

    world.objects.refuse = refuse
    reply = await world.accept(b"x")
    await world.settled()
    assert refused == [reply.output_location] * 3
    assert world.objects.kept[reply.output_location][0] == b"<x>"
    assert len(world.transport.calls) == 1


async def test_a_missing_bucket_is_not_waited_for(world: World) -> None:
    def refuse(verb: str, uri: str) -> None:
        if uri.startswith("s3://box/out"):
            raise ObjectError("NoSuchBucket", "Create the bucket.")

    world.objects.refuse = refuse
    reply = await world.accept(b"x")
    await world.settled()
    assert b"Create the bucket" in world.reason(reply)
    assert world.count("response_upload_failures") == 1


async def test_the_server_is_free_while_a_result_is_on_its_way(world: World) -> None:
    away = ["first"]

    def refuse(verb: str, uri: str) -> None:
        if uri.rpartition("/")[2] in away:
            raise ObjectError("Unreachable", "nobody there.")

    world.objects.refuse = refuse
    await world.accept(b"1", Filename="first")
    await world.accept(b"2", Filename="second")
    await until(lambda: "s3://box/out/second" in world.objects.kept)
    assert "s3://box/out/first" not in world.objects.kept
    away.clear()
    await world.settled()
    assert "s3://box/out/first" in world.objects.kept


# --- lives and deaths ----------------------------------------------------------------------------


async def test_a_killed_emulator_loses_no_accepted_request(make: Make) -> None:
    before = make()

    async def hang(_: ContainerCall) -> None:
        await asyncio.sleep(3600)

    before.transport.answer = lambda call, timeout_s: hang(call)
    replies = [await before.accept(b"%d" % number) for number in range(3)]
    await until(lambda: before.transport.busy == 1)
    await before.queue.close()  # cancels what asks a model, as a kill would
    assert len(before.store.asyncs()) == 3
    assert before.pool.servers[0].in_flight == 0

    after = make()
    await after.queue.start()
    await after.settled()
    assert {reply.output_location for reply in replies} == set(after.objects.kept)


async def test_a_result_that_was_in_s3_before_the_kill_is_not_made_again(make: Make) -> None:
    world = make()
    world.pool.servers, servers = [], world.pool.servers
    reply = await world.accept(b"x")
    await world.queue.close()
    world.objects.kept[reply.output_location] = (b"made before", "")
    world.pool.servers = servers
    world.queue = world.made()
    await world.queue.start()
    await world.settled()
    assert world.transport.calls == []
    assert world.objects.kept[reply.output_location][0] == b"made before"
    assert world.count("invocations_processed") == 1


async def test_closing_waits_for_results_on_their_way(world: World) -> None:
    go_on = threading.Event()

    def refuse(verb: str, uri: str) -> None:
        go_on.wait(5)

    world.objects.refuse = refuse
    reply = await world.accept(b"x")
    await until(lambda: not world.transport.busy and bool(world.transport.calls))
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    await world.queue.close()
    assert reply.output_location in world.objects.kept
    assert world.store.asyncs() == []


async def test_with_an_endpoint_goes_its_queue(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.pool.servers = []
    await world.accept(b"x")
    world.fleet.lives.clear()
    world.store.delete_endpoint("e")
    await world.settled()
    assert "Endpoint e was deleted" in caplog.text
    assert world.objects.kept == {}


async def test_an_endpoint_made_anew_does_not_inherit_the_queue(world: World) -> None:
    servers, world.pool.servers = world.pool.servers, []
    await world.accept(b"old")
    world.store.delete_endpoint("e")
    add_endpoint(world.store, "e", created_at=world.clock.time() + 1)
    world.pool.servers = servers
    await world.clock.advance(2.0)
    await world.accept(b"new")
    await world.settled()
    assert [call.body for call in world.transport.calls] == [b"new"]


@pytest.fixture
def s3() -> Iterator[str]:
    mock = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    mock.start()
    host, port = mock.get_host_and_port()
    yield f"http://{host}:{port}"
    mock.stop()


async def test_all_of_it_with_an_s3_that_is_not_a_stand_in(world: World, s3: str) -> None:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="box")
    client.put_object(Bucket="box", Key="in", Body=b"1,2", ContentType="text/csv")
    world.queue = world.made(S3Objects(endpoint_url=s3))
    good = await world.accept(InputLocation="s3://box/in")
    bad = await world.accept(InputLocation="s3://box/none")
    await world.settled()

    def read(uri: str | None) -> bytes:
        key = str(uri).removeprefix("s3://box/")
        return bytes(client.get_object(Bucket="box", Key=key)["Body"].read())

    assert read(good.output_location) == b"<1,2>"
    assert b"NoSuchKey" in read(bad.failure_location)
