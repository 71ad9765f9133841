import base64
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lab.errors import EndpointError
from lab.observe.grafana import annotate
from lab.observe.grafana.annotate import Annotator, GrafanaAnnotation
from lab.observe.grafana.secret import NAME
from lab.observe.names import Tag
from lab.progress import Silent
from lab.services import SERVICES
from tests.unit.observe.standins import Asked, StandIn, standing_in

CREATED = {"message": "Annotation added", "id": 1}
PATCHED = {"message": "Annotation patched"}
UNAUTHORISED = {"message": "Invalid username or password"}
FORBIDDEN = {"accessErrorId": "ACE0577385389", "message": "You'll need additional permissions"}
"""From https://grafana.com/docs/grafana/v11.6/developers/http_api/annotations/ and .../auth/."""


def grafana(asked: Asked) -> tuple[int, Any]:
    if (asked.method, asked.path) == ("POST", "/api/annotations"):
        return 200, CREATED
    if (asked.method, asked.path) == ("PATCH", "/api/annotations/1"):
        return 200, PATCHED
    return 404, {"message": "Not found"}


def env(server: StandIn) -> dict[str, str]:
    return {annotate.URL: server.url, annotate.TOKEN: "glsa_x"}


def test_a_bench_is_a_span_from_its_begin_to_its_end() -> None:
    progress = Silent()
    with (
        standing_in(grafana) as server,
        annotate.bench("20261120T120000Z-smoke", "smoke", progress, env=env(server)),
    ):
        assert len(server.asked) == 1
    begun, ended = (asked.json for asked in server.asked)
    assert [asked.method for asked in server.asked] == ["POST", "PATCH"]
    assert begun["tags"] == ended["tags"] == [Tag.LAB, Tag.BENCH, "smoke"]
    assert begun["text"] == "Bench smoke begins: 20261120T120000Z-smoke"
    assert begun["timeEnd"] is None
    assert ended["text"] == "Bench smoke ended: 20261120T120000Z-smoke"
    assert ended["time"] == begun["time"]
    assert ended["timeEnd"] >= ended["time"] > 1.7e12
    assert not progress.notes


def test_a_bench_that_is_stopped_has_an_end_too() -> None:
    with standing_in(grafana) as server:
        with (
            pytest.raises(KeyboardInterrupt),
            annotate.bench("r", "smoke", Silent(), env=env(server)),
        ):
            raise KeyboardInterrupt
        assert server.asked[1].json["text"] == "Bench smoke stopped: r"


def test_a_token_is_sent_as_one() -> None:
    with standing_in(grafana) as server:
        with annotate.bench("r", "smoke", Silent(), env=env(server)):
            pass
        assert server.asked[0].headers["Authorization"] == "Bearer glsa_x"


@pytest.mark.parametrize(
    ("status", "said"), [(401, UNAUTHORISED), (403, FORBIDDEN), (500, {"message": "disk"})]
)
def test_a_refusal_is_a_note_and_the_bench_goes_on(status: int, said: Any) -> None:
    progress = Silent()
    done = False
    with standing_in(lambda _: (status, said)) as server:
        with annotate.bench("r", "smoke", progress, env=env(server)):
            done = True
        assert len(server.asked) == 1
    assert done
    (note,) = progress.notes
    assert "did not take the annotation" in note
    assert annotate.TOKEN in note


@pytest.mark.parametrize("answer", [b"<html>", b"", json.dumps([]).encode()])
def test_what_is_not_grafana_is_refused(answer: bytes) -> None:
    with standing_in(lambda _: (200, answer)) as server, pytest.raises(EndpointError):
        Annotator(server.url, "x").add(GrafanaAnnotation(text="t", tags=(), begin=1.0))


def test_without_a_grafana_nothing_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    progress = Silent()
    with annotate.bench("r", "smoke", progress, env={SERVICES["grafana"].variable: port}):
        pass
    assert not progress.notes


def test_a_grafana_under_a_path_is_reached() -> None:
    with standing_in(lambda _: (200, CREATED)) as server:
        number = Annotator(f"{server.url}/grafana", "x").add(
            GrafanaAnnotation(text="t", tags=(Tag.LAB,), begin=1.0)
        )
        assert number == 1
        assert server.asked[0].path == "/grafana/api/annotations"


def test_the_stacks_own_grafana_is_written_to_with_the_password_it_was_given(
    tmp_path: Path,
) -> None:
    (tmp_path / NAME).write_text("secret\n")
    assert annotate.credential({}, folder=tmp_path) == ("admin", "secret")
    with standing_in(grafana) as server:
        Annotator(server.url, ("admin", "secret")).add(
            GrafanaAnnotation(text="t", tags=(), begin=1.0)
        )
        basic = base64.b64encode(b"admin:secret").decode()
        assert server.asked[0].headers["Authorization"] == f"Basic {basic}"


def test_that_password_is_sent_to_no_other_grafana(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("secret")
    assert annotate.credential({annotate.URL: "http://grafana"}, folder=tmp_path) is None


def test_without_a_password_there_is_no_credential(tmp_path: Path) -> None:
    assert annotate.credential({}, folder=tmp_path) is None
    assert annotate.credential({annotate.TOKEN: "t"}, folder=tmp_path) == "t"
