"""`lab endpoint`, against moto's control plane and a server of a few lines for the rest."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli import main
from lab.endpoint.live import STARTED_AGAIN

LOGS = "AllTraffic/i-0a starting\nAllTraffic/i-0a ready\n"


class _Emulator(http.server.BaseHTTPRequestHandler):
    """Says what the real one would; the AWS part in its own protocols."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]
    given_up: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.bodies.append(body)
        operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
        if operation == "ListEndpoints":
            row = {"EndpointName": "grader", "EndpointStatus": "InService", "EndpointArn": "arn"}
            times = {"CreationTime": 1.8e9, "LastModifiedTime": 1.8e9}
            coming = {**row, "EndpointName": "coming", "EndpointStatus": "Creating"}
            self._say(200, json.dumps({"Endpoints": [{**row, **times}, {**coming, **times}]}))
        elif operation == "DescribeEndpoint" and json.loads(body)["EndpointName"] == "coming":
            self._say(200, json.dumps(self._coming()))
        elif self.path == "/_lab/endpoints/coming/give-up":
            self.given_up.append("coming")
            self._say(200, "{}")
        elif operation == "DescribeEndpoint":
            what = 'Could not find endpoint "arn".'
            self._say(400, json.dumps({"__type": "ValidationException", "message": what}))
        elif self.path == "/endpoints/grader/invocations":
            self._say(200, '{"predictions": [[1]]}')
        elif self.path == "/endpoints/broken/invocations":
            error = {"Message": "Received server error (500)", "OriginalMessage": "no weights"}
            self._say(424, json.dumps({**error, "OriginalStatusCode": 500}), "ModelError")
        else:
            self._say(200, "{}")

    def _coming(self) -> dict[str, object]:
        status = [{"Status": "Creating", "StatusMessage": f"{STARTED_AGAIN}: no weights."}]
        variants = [{"VariantName": "v", "VariantStatus": status}]
        return {
            "EndpointName": "coming",
            "EndpointStatus": "Failed" if self.given_up else "Creating",
            "PendingDeploymentSummary": {"ProductionVariants": variants},
        }

    def do_GET(self) -> None:
        if self.path.startswith("/_lab/endpoints/grader/logs?lines=7&follow=false"):
            self._say(200, LOGS)
        elif self.path == "/_lab/changes":
            self._say(200, json.dumps({"grader": ["x:1 is another image by now."]}))
        else:
            said = "There is no endpoint x. There are: grader."
            self._say(404, json.dumps({"__type": "UnknownOperationException", "message": said}))

    def _say(self, status: int, text: str, error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if error:
            self.send_header("x-amzn-errortype", error)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def bodies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[bytes]]:
    handler = type("Fresh", (_Emulator,), {"bodies": [], "given_up": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        monkeypatch.setenv("AWS_PROFILE", "of-somebody-who-left")
        monkeypatch.setenv("LAB_STATE", str(tmp_path))
        yield handler.bodies  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def test_endpoints_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["endpoint", "list"]) == 0
    assert "grader: x:1 is another image by now." in capsys.readouterr().out
    assert main.run(["endpoint", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["Endpoints"]
    assert [row["EndpointStatus"] for row in rows] == ["Creating", "InService"]


def test_why_an_endpoint_takes_so_long_stands_below_the_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["endpoint", "list"]) == 0
    assert f"coming: {STARTED_AGAIN}: no weights." in capsys.readouterr().out


def test_an_endpoint_that_is_coming_is_given_up_before_it_is_deleted(
    capsys: pytest.CaptureFixture[str], bodies: list[bytes]
) -> None:
    assert main.run(["endpoint", "delete", "coming"]) == 0
    assert "coming is being deleted" in capsys.readouterr().out
    told = [body for body in bodies if b"coming" in body or not body]
    assert told[-3:] == [b"", *[b'{"EndpointName": "coming"}'] * 2]


def test_a_file_is_sent_and_the_answer_printed(
    tmp_path: Path, bodies: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eye.jpg").write_bytes(b"eye")
    assert main.run(["endpoint", "invoke", "grader", "--payload", str(tmp_path / "eye.jpg")]) == 0
    assert capsys.readouterr().out == '{"predictions": [[1]]}'
    assert bodies == [b"eye"]


def test_an_answer_can_go_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "eye.jpg").write_bytes(b"eye")
    out = tmp_path / "answer.json"
    words = ["--payload", str(tmp_path / "eye.jpg"), "--out", str(out)]
    assert main.run(["endpoint", "invoke", "grader", *words]) == 0
    assert out.read_text() == '{"predictions": [[1]]}'


def test_an_answer_that_cannot_be_written_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eye.jpg").write_bytes(b"eye")
    words = ["--payload", str(tmp_path / "eye.jpg"), "--out", str(tmp_path / "eye.jpg" / "answer")]
    assert main.run(["endpoint", "invoke", "grader", *words]) == 2
    assert "cannot be written" in " ".join(capsys.readouterr().err.split())


def test_what_the_container_said_reaches_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eye.jpg").write_bytes(b"eye")
    words = ["--payload", str(tmp_path / "eye.jpg")]
    assert main.run(["endpoint", "invoke", "broken", *words]) == 10
    said = capsys.readouterr().err
    assert "ModelError" in said
    assert "no weights" in said


@pytest.mark.parametrize(
    ("name", "says"), [("nothing", "cannot be told from its name"), ("gone.jpg", "cannot be read")]
)
def test_a_payload_that_cannot_be_sent_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    assert main.run(["endpoint", "invoke", "grader", "--payload", str(tmp_path / name)]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_logs_are_printed_as_they_are_filed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["endpoint", "logs", "grader", "--lines", "7"]) == 0
    assert capsys.readouterr().out == LOGS


def test_an_endpoint_that_is_not_there_is_an_error_with_its_own_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["endpoint", "describe", "x"]) == 10
    assert "Could not find endpoint" in capsys.readouterr().err
    assert main.run(["endpoint", "logs", "x"]) == 10
    said = capsys.readouterr().err
    assert "There is no endpoint x. There are: grader." in said
    assert "{" not in said


@pytest.mark.parametrize("url", ["emulator", "emulator:8800", "http://[", "http://x:abc"])
def test_what_is_no_address_is_the_users_mistake(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
    assert main.run(["endpoint", "list"]) == 2
    assert "AWS_ENDPOINT_URL_SAGEMAKER" in capsys.readouterr().err


def test_without_an_emulator_the_way_to_start_one_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_SAGEMAKER")
    assert main.run(["endpoint", "list"]) == 10
    assert "lab up" in capsys.readouterr().err
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:1")
    assert main.run(["endpoint", "list"]) == 10
    assert "lab up" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["logs", "a/b"], ["replay", "calls.jsonl", "--at", "nowhere"]])
def test_what_is_no_name_and_no_address_is_said_in_words(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["endpoint", *command]) in {2, 10}
    said = capsys.readouterr().err
    assert "'a/b' is no endpoint's name" in said or "'nowhere' is not a valid server URL" in said
