"""`lab observe check-grafana` against a server that answers as Grafana's documentation says."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.errors import UsageError
from lab.observe.grafana import check
from lab.observe.grafana.api import Grafana, NoGrafanaError
from lab.observe.grafana.check import BoardFault
from lab.observe.render.board import GrafanaBoard, find
from lab.observe.render.prometheus import Prometheus
from lab.paths import ROOT
from tests.unit.observe.standins import Asked, standing_in

HEALTH = {"commit": "087143f285", "database": "ok", "version": "11.6.0"}
SOURCE = {"message": "Successfully queried the Prometheus API.", "status": "OK"}
RULES = [{"id": 1, "uid": "lab-prometheus-alerts", "orgID": 1, "folderUID": "inference-lab"}]
CONTACTS = [{"uid": "lab-webhook", "name": "lab", "type": "webhook", "provenance": "file"}]
META = {"type": "db", "canEdit": False, "slug": "a-board", "provisioned": True}
FRAME = {
    "schema": {
        "refId": "A",
        "meta": {"type": "timeseries-multi", "typeVersion": [0, 1]},
        "fields": [
            {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}},
            {"name": "Value", "type": "number", "labels": {"endpoint": "eyes"}},
        ],
    },
    "data": {"values": [[1763700000000, 1763700005000], [0.5, None]]},
}
EMPTY = {"schema": {"refId": "A", "fields": []}, "data": {"values": []}}
BAD_QUERY = 'bad_data: invalid parameter "query": 1:5: parse error: unexpected end of input'
"""Grafana 11.6's documentation: developers/http_api/{other,data_source,dashboard,query}."""

BOARD = {
    "uid": "a-board",
    "title": "A board",
    "time": {"from": "now-1h", "to": "now"},
    "templating": {
        "list": [
            {
                "name": "endpoint",
                "type": "query",
                "query": {"query": "label_values(requests_total, endpoint)", "refId": "v"},
                "multi": True,
                "includeAll": True,
                "current": {"text": ["All"], "value": ["$__all"]},
            }
        ]
    },
    "panels": [
        {
            "id": 1,
            "type": "timeseries",
            "title": "Requests",
            "gridPos": {"x": 0, "y": 0, "w": 24, "h": 8},
            "targets": [
                {
                    "refId": "A",
                    "expr": 'rate(requests_total{endpoint=~"$endpoint"}[$__rate_interval])',
                }
            ],
        }
    ],
}


class Recorded:
    """Grafana, with what differs from a healthy one."""

    def __init__(self, **other: Any) -> None:
        self.query: tuple[int, Any] = (200, {"results": {"A": {"status": 200, "frames": [FRAME]}}})
        self.documents: dict[str, tuple[int, Any]] = {
            "/api/health": (200, HEALTH),
            "/api/datasources/uid/prometheus/health": (200, SOURCE),
            "/api/v1/provisioning/alert-rules": (200, RULES),
            "/api/v1/provisioning/contact-points": (200, CONTACTS),
            "/api/dashboards/uid/a-board": (200, {"dashboard": BOARD, "meta": META}),
        }
        self.documents |= {key: value for key, value in other.items() if key.startswith("/")}
        self.query = other.get("query", self.query)

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        if (asked.method, asked.path) == ("POST", "/api/ds/query"):
            return self.query
        return self.documents.get(asked.path, (404, {"message": "Not found"}))


def prometheus() -> Prometheus:
    def answer(request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(200, json={"status": "success", "data": ["eyes", "ears"]})

    return Prometheus("http://prometheus", transport=httpx.MockTransport(answer))


def board(**panel: Any) -> GrafanaBoard:
    made = {**BOARD["panels"][0], **panel}  # type: ignore[index]
    return GrafanaBoard.model_validate({**BOARD, "panels": [made]})


def findings(
    answers: Recorded, *, boards: Sequence[GrafanaBoard] | None = None, secret: Any = None
) -> tuple[dict[str, BoardFault], list[Asked]]:
    with standing_in(answers) as server, Grafana(server.url, secret) as grafana:
        found = check.check(grafana, prometheus(), boards or [board()], since="now-1h")
        return {one.what: one for one in found}, server.asked


def wrong(found: dict[str, BoardFault]) -> list[str]:
    return [what for what, one in found.items() if not one.good]


def test_a_healthy_grafana_passes_and_says_what_was_seen() -> None:
    found, asked = findings(Recorded())
    assert wrong(found) == []
    assert found["health"].seen == "Grafana 11.6.0, database ok"
    assert found["A board"].seen == "1 panels, provisioned"
    assert found["A board / Requests"].seen == "1 series, 1 values"
    (query,) = [one.json for one in asked if one.path == "/api/ds/query"]
    assert query["from"] == "now-1h"
    (sent,) = query["queries"]
    assert sent["datasource"] == {"type": "prometheus", "uid": "prometheus"}
    # The board's own variables are filled in; Grafana's are left to Grafana.
    assert sent["expr"] == 'rate(requests_total{endpoint=~"(eyes|ears)"}[$__rate_interval])'
    assert sent["range"] is True


@pytest.mark.parametrize(
    ("answers", "what", "seen"),
    [
        ({"/api/health": (503, {**HEALTH, "database": "failing"})}, "health", "database failing"),
        (
            {
                "/api/datasources/uid/prometheus/health": (
                    400,
                    {"status": "ERROR", "message": "connection refused"},
                )
            },
            "data source prometheus",
            "400: connection refused",
        ),
        (
            {"/api/datasources/uid/prometheus/health": (404, {"message": "Data source not found"})},
            "data source prometheus",
            "Data source not found",
        ),
        ({"/api/v1/provisioning/alert-rules": (200, [])}, "alert rule", "is not among"),
        (
            {"/api/v1/provisioning/contact-points": (403, {"message": "no permission"})},
            "contact point",
            "no permission",
        ),
        (
            {"/api/dashboards/uid/a-board": (404, {"message": "Dashboard not found"})},
            "A board",
            "Dashboard not found",
        ),
        (
            {
                "/api/dashboards/uid/a-board": (
                    200,
                    {"dashboard": {**BOARD, "panels": []}, "meta": META},
                )
            },
            "A board",
            "0 panels, provisioned; the file has 1",
        ),
        (
            {
                "/api/dashboards/uid/a-board": (
                    200,
                    {"dashboard": BOARD, "meta": {**META, "provisioned": False}},
                )
            },
            "A board",
            "not provisioned",
        ),
        (
            {"query": (400, {"results": {"A": {"error": BAD_QUERY, "status": 400}}})},
            "A board / Requests",
            "parse error",
        ),
        (
            {"query": (200, {"results": {"A": {"error": BAD_QUERY, "status": 400}}})},
            "A board / Requests",
            "parse error",
        ),
        (
            {"query": (200, {"results": {"A": {"status": 200, "frames": [EMPTY]}}})},
            "A board / Requests",
            "no data",
        ),
        ({"query": (200, {"results": {}})}, "A board / Requests", "no data"),
    ],
)
def test_each_fault_is_told_where_it_is_and_nowhere_else(
    answers: dict[str, Any], what: str, seen: str
) -> None:
    found, _ = findings(Recorded(**answers))
    assert wrong(found) == [what]
    assert seen in found[what].seen


def test_a_panel_that_says_what_no_data_means_may_have_none() -> None:
    quiet = board(fieldConfig={"defaults": {"noValue": "no requests"}, "overrides": []})
    empty = {"results": {"A": {"status": 200, "frames": [EMPTY]}}}
    found, _ = findings(Recorded(query=(200, empty)), boards=[quiet])
    assert wrong(found) == []
    assert "no requests" in found["A board / Requests"].seen


@pytest.mark.parametrize(
    ("secret", "header"),
    [(("admin", "x"), "Basic YWRtaW46eA=="), ("glsa_x", "Bearer glsa_x"), (None, None)],
)
def test_it_comes_as_the_administrator_with_a_token_or_as_a_viewer(
    secret: Any, header: str | None
) -> None:
    _, asked = findings(Recorded(), secret=secret)
    assert {one.headers.get("Authorization") for one in asked} == {header}


def test_what_is_no_address_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="is not the URL of a Grafana"):
        Grafana("http://127.0.0.1:abc")


def test_where_none_answers_nothing_is_checked_and_the_error_is_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Grafana(url) as grafana, pytest.raises(NoGrafanaError, match="nothing was checked") as no:
        list(check.check(grafana, prometheus(), [], since="now-1h"))
    assert no.value.exit_code not in {0, 1, 2}
    assert "lab observe render" in no.value.remedy


@pytest.mark.parametrize("answer", [(200, b"<html>"), (404, {"message": "no"}), (200, [])])
def test_what_is_no_grafana_is_not_taken_for_one(answer: tuple[int, Any]) -> None:
    with (
        standing_in(lambda _: answer) as server,
        Grafana(server.url) as grafana,
        pytest.raises(NoGrafanaError),
    ):
        grafana.health()


def test_every_board_of_the_lab_is_asked_for_with_every_panel() -> None:
    boards = find(ROOT / "dashboards")
    _, asked = findings(Recorded(), boards=boards)
    assert {one.path for one in asked} >= {f"/api/dashboards/uid/{one.uid}" for one in boards}
    sent = [one.json["queries"][0]["expr"] for one in asked if one.path == "/api/ds/query"]
    assert len(sent) == sum(len(panel.targets) for one in boards for panel in one.panels)
    for expr in sent:
        assert "$" not in expr.replace("$__", ""), expr


def test_a_screenshot_is_a_page_of_the_board_without_grafanas_frame(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text(
        "#!/bin/sh\nfor word; do case $word in"
        ' --screenshot=*) echo "$*" > "${word#--screenshot=}";; esac; done\n'
    )
    program.chmod(0o755)
    found = check.screenshot(
        str(program), "http://127.0.0.1:3000", board(), tmp_path / "shots", since="now-1h"
    )
    assert found.good
    said = Path(found.seen).read_text()
    assert "http://127.0.0.1:3000/d/a-board?kiosk&from=now-1h&to=now" in said
    assert "--window-size=1280," in said


def test_a_browser_that_fails_is_a_finding(tmp_path: Path) -> None:
    for program in ("/bin/false", "/bin/true"):
        found = check.screenshot(program, "http://127.0.0.1:1", board(), tmp_path, since="now-1h")
        assert not found.good
