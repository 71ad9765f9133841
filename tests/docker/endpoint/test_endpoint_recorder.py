"""A whole program recorded on the emulator, and asked again of it: nothing differs."""

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EventStreamError

from lab.aws.recorder.pairs import Pair
from lab.aws.recorder.proxy import Recorder, Upstream
from lab.aws.recorder.replay import Replacements, replay
from lab.aws.recorder.session import new_file, read
from tests.docker.endpoint.site import ROLE, Emulator, Site, realtime
from tests.timing import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def recorded(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `program` asked and got, its payloads too."""
    file = tmp_path_factory.mktemp("recording") / "pairs.jsonl"
    url = site.emulator.url
    upstream = Upstream(control=url, runtime=url)
    recorder = Recorder(upstream, new_file(file).append, port=0, payloads=True)
    with recorder.running() as port:
        through = Emulator(state=file, engine="", s3=site.emulator.s3, network="", port=port)
        program(seen := Site(through, site.image))
        for client in (seen.sagemaker, seen.runtime, seen.s3):
            client.close()
    return file


def program(site: Site) -> None:
    """What somebody does with an endpoint from its creation to its end, faults included."""
    for number in range(3):
        site.sagemaker.create_model(
            ModelName=f"page-{number}",
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": site.image},
        )
    pages = site.sagemaker.get_paginator("list_models")
    assert len(list(pages.paginate(NameContains="page-", PaginationConfig={"PageSize": 2}))) == 2
    config = site.config(realtime("page-0"))
    name = site.endpoint(config)
    site.invoke(name, b"{}", CustomAttributes="of mine")
    with pytest.raises(ClientError):
        site.invoke(name, json.dumps({"status": 500, "say": "no"}))
    with pytest.raises(ClientError):
        site.invoke("nobody")
    stream(site, name, {"stream": ["one", "two"]})
    with pytest.raises(EventStreamError):
        stream(site, name, {"stream": ["one", "two"], "break": True})
    site.delete(name)
    site.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    for number in range(3):
        site.sagemaker.delete_model(ModelName=f"page-{number}")


def stream(site: Site, name: str, order: object) -> None:
    answer = site.runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body=json.dumps(order)
    )
    with closing(answer["Body"]) as events:
        for _ in events:
            pass


def pairs_of(file: Path, operation: str) -> list[Pair]:
    return [pair for pair in read(file) if pair.asked.operation == operation]


def test_every_call_is_kept_with_the_way_its_stream_ended(recorded: Path) -> None:
    whole, broken = pairs_of(recorded, "InvokeEndpointWithResponseStream")
    assert whole.answered is not None
    assert broken.answered is not None
    assert whole.answered.events == ["PayloadPart"]
    assert broken.answered.events == ["PayloadPart", "ModelStreamError"]
    refused = [
        pair.answered.status for pair in pairs_of(recorded, "InvokeEndpoint") if pair.answered
    ]
    assert refused == [200, 424, 400]


def test_asked_again_the_emulator_answers_the_same(site: Site, recorded: Path) -> None:
    replayed = list(replay(read(recorded), url=site.emulator.url, replacements=Replacements()))
    assert [
        (one.pair.asked.operation, one.differences) for one in replayed if one.differences
    ] == []
    # A wait is asked for once, however often the program looked.
    assert len(replayed) < len(read(recorded))


def test_an_answer_that_was_another_then_is_shown_and_is_the_exit_code(
    site: Site, recorded: Path, tmp_path: Path
) -> None:
    pair = pairs_of(recorded, "InvokeEndpoint")[-1]
    assert pair.answered is not None
    before = pair.model_copy(update={"answered": pair.answered.model_copy(update={"status": 404})})
    file = tmp_path / "one.jsonl"
    file.write_text(before.model_dump_json() + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "lab", "endpoint", "replay", str(file), "--at", site.emulator.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    assert "status" in done.stdout
    assert "1 calls asked again, 1 answered otherwise." in done.stdout


def test_ctrl_c_ends_a_recording_and_says_where_it_is(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    flags = ["--port", "0", "--out", str(file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "endpoint", "record", "--to", site.emulator.url, *flags],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    said = io.StringIO()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: [said.write(line) for line in process.stdout or ()])
    reader.start()
    wait_until(lambda: "Ctrl-C ends it" in said.getvalue())
    port = int(
        said.getvalue().partition("AWS_ENDPOINT_URL_SAGEMAKER=http://127.0.0.1:")[2].split()[0]
    )
    through = Emulator(state=file, engine="", s3=site.emulator.s3, network="", port=port)
    seen = through.client("sagemaker")
    seen.list_endpoints()
    process.send_signal(2)
    assert process.wait() == 0
    reader.join()
    process.stdout.close()
    seen.close()
    assert f"Calls in {file}: 1" in said.getvalue()
    assert [pair.asked.operation for pair in read(file)] == ["ListEndpoints"]
