"""What Grafana finds when it starts, and its administrator's password."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.observe.grafana.secret import admin_password
from lab.paths import SERVICES
from tests.unit.observe.reading import UIDS, board

FOLDER = SERVICES / "grafana" / "provisioning"


def _read(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text(encoding="utf-8"))


def test_the_boards_ask_the_data_source_that_is_provided() -> None:
    (source,) = _read("datasources/prometheus.yaml")["datasources"]
    asked = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for uid in UIDS
        for panel in board(uid)["panels"]
        if panel["type"] != "text"
    }
    assert asked == {(source["type"], source["uid"])} == {("prometheus", "prometheus")}
    assert source["url"] == "http://prometheus:9090"


def test_the_step_is_that_of_the_scrapes() -> None:
    scrapes = yaml.safe_load((SERVICES / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (source,) = _read("datasources/prometheus.yaml")["datasources"]
    assert source["jsonData"]["timeInterval"] == scrapes["global"]["scrape_interval"]


def test_a_board_changed_in_the_browser_is_not_kept() -> None:
    (provider,) = _read("dashboards/boards.yaml")["providers"]
    assert provider["folderUid"] == "inference-lab"
    assert not provider["allowUiUpdates"]
    assert provider["disableDeletion"]


def test_alerts_reach_a_contact_point_that_exists() -> None:
    found = _read("alerting/contact-point.yaml")
    assert found["policies"][0]["receiver"] == found["contactPoints"][0]["name"]
    (group,) = _read("alerting/prometheus.yaml")["groups"]
    for rule in group["rules"]:
        assert rule["condition"] in {step["refId"] for step in rule["data"]}
        assert group["folder"] == _read("dashboards/boards.yaml")["providers"][0]["folder"]


def test_the_environment_is_asked_for_the_address_of_the_alerts_alone() -> None:
    asked = {
        name
        for file in FOLDER.rglob("*.yaml")
        for line in file.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
        for name in re.findall(r"\$\{?(\w*)", line)
        if "$__rate_interval" not in line
    }
    assert asked == {"LAB_ALERT_URL"}


def test_a_password_is_made_once_and_kept(tmp_path: Path) -> None:
    path = admin_password(tmp_path / "secrets")
    first = path.read_text()
    assert len(first) >= 32
    assert admin_password(tmp_path / "secrets").read_text() == first
    assert admin_password(tmp_path / "others").read_text() != first
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_only_the_folder_keeps_the_password_from_others(tmp_path: Path) -> None:
    path = admin_password(tmp_path / "secrets")
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_empty_password_is_none(tmp_path: Path) -> None:
    (tmp_path / "grafana-admin-password").touch()
    assert admin_password(tmp_path).read_text()


def test_the_password_is_under_the_state_of_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    assert admin_password() == tmp_path / "secrets" / "grafana-admin-password"
