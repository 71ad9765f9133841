"""A recording between boto3 and something that stands for AWS: what passes, what is kept."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from lab.aws.recorder import proxy
from lab.aws.recorder import replay as replaying
from lab.aws.recorder.pairs import Pair
from lab.aws.recorder.proxy import Recorder, Upstream
from lab.aws.recorder.session import new_file, read
from lab.endpoint.protocol.sigv4 import Signed, Verifier
from lab.errors import EndpointError, UsageError
from tests.fidelity import ABSENT, fidelity
from tests.ports import free_port

KEY, SECRET = "AKIAEXAMPLE", "of the user's own"
_ROLE = "arn:aws:iam::123456789012:role/any"


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def recording(upstream: Upstream, file: Path, *, payloads: bool = False) -> Iterator[str]:
    kept = new_file(file)
    recorder = Recorder(upstream, kept.append, port=0, payloads=payloads)
    with recorder.running() as port:
        yield f"http://127.0.0.1:{port}"


def client(service: str, url: str, *, secret: str = SECRET) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def program(url: str, name: str) -> None:
    """What somebody runs: it makes, asks, fails and lists."""
    sagemaker = client("sagemaker", url)
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=_ROLE,
        PrimaryContainer={"Image": "eye:3", "Environment": {"TOKEN": "geheim"}},
    )
    with pytest.raises(ClientError):
        sagemaker.describe_model(ModelName="nobody")
    assert name in {row["ModelName"] for row in sagemaker.list_models()["Models"]}


def by_operation(pairs: Any) -> dict[str, Pair]:
    return {pair.asked.operation: pair for pair in pairs}


def test_a_program_sees_no_recorder_and_the_recording_no_secret(
    moto_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.jsonl"
    with recording(Upstream(control=moto_url, runtime=moto_url), file) as url:
        program(url, "eye")
    text = file.read_text()
    for secret in ("geheim", SECRET, KEY, "123456789012"):
        assert secret not in text
    pairs = by_operation(read(file))
    assert list(pairs) == ["CreateModel", "DescribeModel", "ListModels"]
    assert pairs["DescribeModel"].answered is not None
    assert pairs["DescribeModel"].answered.status == 400


@fidelity(
    "Clients",
    "Whoever has an account can set the emulator's answers beside AWS's: `lab endpoint record`, "
    "`lab endpoint replay`.",
    ABSENT,
    "AWS has no such thing; tried between boto3 and moto, and between boto3 and the emulator",
)
def test_replayed_against_what_it_was_recorded_from_nothing_differs(
    moto_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.jsonl"
    with recording(Upstream(control=moto_url, runtime=moto_url), file) as url:
        program(url, "twice")
        client("sagemaker", url).delete_model(ModelName="twice")
    replayed = list(
        replaying.replay(read(file), url=moto_url, replacements=replaying.Replacements())
    )
    assert len(replayed) == 4
    assert [one.differences for one in replayed] == [[]] * 4


def test_what_was_answered_otherwise_is_shown(moto_url: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    with recording(Upstream(control=moto_url, runtime=moto_url), file) as url:
        program(url, "once")
        client("sagemaker", url).describe_model(ModelName="once")
    client("sagemaker", moto_url).delete_model(ModelName="once")
    described = [pair for pair in read(file) if pair.asked.operation == "DescribeModel"]
    still, gone = replaying.replay(described, url=moto_url, replacements=replaying.Replacements())
    assert still.differences == []
    assert [one.what for one in gone.differences][:2] == ["status", "code"]


class _Aws:
    """Admits only what is signed for its own address, as AWS does."""

    def __init__(self) -> None:
        seen = self.seen = list[str]()
        self.status, self.says = 200, dict[str, Any](Models=[])
        aws = self
        port = free_port()
        verifier = Verifier({KEY: SECRET}, region="us-east-1")

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                assert headers["host"] == f"127.0.0.1:{port}"
                verifier.admit(
                    Signed(method="POST", path=self.path, query="", headers=headers, body=body),
                    now=time.time(),
                )
                seen.append(self.path)
                said = json.dumps(aws.says).encode()
                self.send_response(aws.status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{port}"


@pytest.fixture
def aws() -> Iterator[_Aws]:
    one = _Aws()
    thread = threading.Thread(target=one.server.serve_forever)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


def test_calls_to_aws_are_signed_anew_for_its_address(aws: _Aws, tmp_path: Path) -> None:
    upstream = Upstream(control=aws.url, runtime=aws.url, credentials=Credentials(KEY, SECRET))
    with recording(upstream, tmp_path / "pairs.jsonl") as url:
        assert client("sagemaker", url).list_models()["Models"] == []
        client("sagemaker-runtime", url).invoke_endpoint(EndpointName="eye", Body=b"{}")
    assert aws.seen == ["/", "/endpoints/eye/invocations"]


def test_who_does_not_hold_the_key_gets_nothing_signed(aws: _Aws, tmp_path: Path) -> None:
    upstream = Upstream(control=aws.url, runtime=aws.url, credentials=Credentials(KEY, SECRET))
    file = tmp_path / "pairs.jsonl"
    with (
        recording(upstream, file) as url,
        pytest.raises(ClientError) as refused,
    ):
        client("sagemaker", url, secret="another").list_models()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert aws.seen == []


def test_nobody_at_the_other_end_is_said_to_the_program_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    nobody = f"http://127.0.0.1:{free_port()}"
    with (
        recording(Upstream(control=nobody, runtime=nobody), file) as url,
        pytest.raises(ClientError, match="The recorder could not reach"),
    ):
        client("sagemaker", url).list_models()
    (pair,) = read(file)
    assert pair.answered is None
    assert "ConnectError" in str(pair.error)


def test_what_breaks_off_or_is_no_request_is_not_passed_on(aws: _Aws, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    with recording(Upstream(control=aws.url, runtime=aws.url), file) as url:
        for length, body in (("abc", b""), ("10", b"half")):
            with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as raw:
                raw.sendall(f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode() + body)
                raw.shutdown(socket.SHUT_WR)
                with raw.makefile("rb") as answer:
                    said = answer.read()
            assert said.startswith(b"HTTP/1.1 400 ")
            assert b"The recorder could not read this request." in said
    assert aws.seen == []
    assert not file.exists()


def test_a_call_under_way_when_the_recording_ends_is_counted_and_not_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy, "_LAST_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kept: list[Pair] = []
        recorder = Recorder(Upstream(control=url, runtime=url), kept.append, port=0, payloads=False)
        with (
            recorder.running() as port,
            socket.create_connection(("127.0.0.1", port)) as asking,
        ):
            asking.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            held, _ = silent.accept()
        assert (recorder.broken_off, kept) == (1, [])
        held.close()


def test_what_is_there_already_is_not_taken_for_the_recordings_own(
    aws: _Aws, moto_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.jsonl"
    with recording(Upstream(control=moto_url, runtime=moto_url), file) as url:
        program(url, "users")
        client("sagemaker", url).delete_model(ModelName="users")
    aws.status = 400
    aws.says = {"message": 'Cannot create already existing model "arn".'}
    mine = replaying.Replacements(credentials=Credentials(KEY, SECRET))
    with pytest.raises(EndpointError, match="already existing model") as refused:
        list(replaying.replay(read(file), url=aws.url, replacements=mine))
    assert "--map" in refused.value.remedy
    assert len(aws.seen) == 1


@pytest.mark.parametrize("written", ["", "torn"])
def test_a_recording_without_a_call_is_no_recording(tmp_path: Path, written: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(written)
    with pytest.raises(UsageError, match="holds no call"):
        read(file)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file cannot be made"):
        new_file(tmp_path / "file" / "pairs.jsonl")


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("of yesterday")
    with pytest.raises(UsageError, match="is there already"):
        new_file(file)
    assert file.read_text() == "of yesterday"
