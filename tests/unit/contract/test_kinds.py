"""Execution parameters and the multi-model conversation, judged."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from lab.contract.model import Verdict
from lab.contract.rules.kinds import (
    judge_models,
    judge_parameters,
    judge_result,
    parameters_wrong,
)
from lab.contract.running import calls
from lab.contract.running.asking import Warming
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CheckPayload, Running
from lab.contract.running.multimodel import converse


def answered(status: int | None, body: bytes = b"") -> HttpCall:
    return HttpCall(status=status, seconds=0.01, body=body, error="timed out")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}, ""),
        ({}, ""),
        ({"MaxPayloadInMB": 0}, ""),
        ([], "not a JSON object"),
        ({"MaxConcurrentTransforms": 0}, "MaxConcurrentTransforms"),
        ({"MaxConcurrentTransforms": True}, "MaxConcurrentTransforms"),
        ({"MaxPayloadInMB": "6"}, "MaxPayloadInMB"),
        ({"BatchStrategy": "MultiRecord"}, "BatchStrategy"),
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, "above 100"),
    ],
)
def test_execution_parameters_are_what_batch_understands(said: Any, wrong: str) -> None:
    assert (wrong in parameters_wrong(said)) if wrong else parameters_wrong(said) == ""


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (answered(200, b'{"MaxPayloadInMB": 6}'), Verdict.PASS),
        (answered(200, b"pong"), Verdict.WARN),
        (answered(404), Verdict.PASS),
        (answered(500), Verdict.WARN),
        (answered(None), Verdict.WARN),
    ],
)
def test_a_404_leaves_batch_to_its_defaults(answer: HttpCall, verdict: Verdict) -> None:
    assert judge_parameters(answer)[0] is verdict


class Loader(BaseHTTPRequestHandler):
    """The multi-model API; ``forgets`` is one that answers 200 to a second load."""

    models: dict[str, str]
    forgets: bool

    def do_GET(self) -> None:
        name = self.path.removeprefix("/models").strip("/")
        if not name:
            found = [{"modelName": one, "modelUrl": url} for one, url in self.models.items()]
            self.say(200, {"models": found})
        else:
            known = name in self.models
            self.say(200 if known else 404, {"modelName": name, "modelUrl": self.models.get(name)})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/models":
            again = body["model_name"] in self.models and not self.forgets
            self.models[body["model_name"]] = body["url"]
            self.say(409 if again else 200)
        else:
            self.say(200 if self.path.split("/")[2] in self.models else 404)

    def do_DELETE(self) -> None:
        self.say(200 if self.models.pop(self.path.split("/")[2], None) else 404)

    def say(self, status: int, content: object = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def loader(*, forgets: bool = False) -> Iterator[Running]:
    handler = type("Handler", (Loader,), {"models": {}, "forgets": forgets})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = ("127.0.0.1", server.server_address[1])
            yield Running(cast("Any", None), address, ready_s=0.1, probes=cast("Any", None))
        finally:
            server.shutdown()
            thread.join()


SAMPLE = CheckPayload(
    body=b"{}",
    content_type="application/json",
    first=answered(200),
    answer=answered(200),
    warming=Warming(ready_at=0.0),
)


def test_a_server_that_loads_lists_invokes_and_unloads_is_multi_model_capable() -> None:
    with loader() as running:
        steps = converse(running, SAMPLE)
    assert len(steps) == 9
    assert judge_models(steps, labelled=True)[0] is Verdict.PASS
    assert judge_models(steps, labelled=False)[0] is Verdict.WARN


def test_what_is_wrong_in_the_conversation_is_named() -> None:
    with loader(forgets=True) as running:
        steps = converse(running, None)
    verdict, seen = judge_models(steps, labelled=True)
    assert verdict is Verdict.FAIL
    assert seen.count("POST /models") == 1
    assert "instead of 409" in seen


def test_nobody_there_is_a_step_that_failed() -> None:
    with loader() as running:
        pass
    steps = converse(running, SAMPLE)
    assert [step.good for step in steps] == [False]
    assert calls.call(running.address, calls.get("/models")).status is None


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        ({"content-length": "2"}, "yes"),
        (
            {"transfer-encoding": "chunked"},
            "not: The response from container primary did not specify the required Content-Length",
        ),
        ({}, "not: The response from container primary did not specify the required"),
        (
            {"content-length": "2", "debug": "a" * 5000},
            "not: Response received from the primary container has headers with length greater",
        ),
    ],
)
def test_an_asynchronous_endpoint_takes_answers_that_say_how_long_they_are(
    headers: dict[str, str], seen: str
) -> None:
    told = judge_result(HttpCall(status=200, seconds=0.01, headers=headers))
    assert told.seen.startswith(seen)
    assert told.verdict is (Verdict.PASS if seen == "yes" else Verdict.WARN)
    assert bool(told.change) is (seen != "yes")
