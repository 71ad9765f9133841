"""What `compose.yaml` promises of every service, read from the file itself."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from lab import services as known
from lab.images.targets import TARGETS
from lab.observe.grafana import annotate, secret
from lab.observe.runs import push, replay
from lab.paths import ROOT, SERVICES
from lab.spec import LABEL


def compose(project: str) -> dict[str, Any]:
    text = (ROOT / "compose.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text.replace("${LAB_PROJECT:-inference-lab}", project))
    return found


_FILE = compose("inference-lab")
_ALL: dict[str, dict[str, Any]] = _FILE["services"]
_PINS: dict[str, Any] = json.loads((SERVICES / "pins.json").read_text())["images"]

every_service = pytest.mark.parametrize("name", _ALL)


@every_service
def test_every_port_is_on_loopback_and_can_be_changed(name: str) -> None:
    variable, default = known.SERVICES[name].variable, known.SERVICES[name].default_port
    assert _ALL[name]["ports"]
    for port in _ALL[name]["ports"]:
        assert re.fullmatch(rf"127\.0\.0\.1:\$\{{{variable}:-{default}\}}:\d+", port)


@every_service
def test_every_service_has_a_health_check_limits_a_restart_policy_and_a_read_only_root(
    name: str,
) -> None:
    service = _ALL[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


@every_service
def test_every_service_carries_the_labs_label(name: str) -> None:
    assert _ALL[name]["labels"][LABEL] == "true"


@pytest.mark.parametrize("kind", ["networks", "volumes"])
def test_networks_and_volumes_carry_the_label_or_are_made_by_the_lab_which_gives_it(
    kind: str,
) -> None:
    for name, one in _FILE[kind].items():
        assert one.get("external") or one["labels"][LABEL] == "true", name
        assert one["name"].startswith("inference-lab"), name


def test_all_that_has_a_name_on_the_engine_is_named_by_the_project() -> None:
    named = compose("beside")
    assert named["name"] == "beside"
    for name, service in named["services"].items():
        assert service["container_name"] == f"beside-{name}"
    for kind in ("networks", "volumes"):
        assert all(re.fullmatch(r"beside(-\w+)?", one["name"]) for one in named[kind].values())
    inside = named["services"]["endpoint"]["environment"]
    assert (inside["LAB_PROJECT"], inside["LAB_NETWORK"]) == ("beside", "beside")
    assert inside["LAB_ISOLATED_NETWORK"] == "beside-isolated"


@every_service
def test_every_image_is_the_labs_own_and_those_of_others_are_pinned(name: str) -> None:
    assert _ALL[name]["image"] == f"inference-lab/{name}:${{LAB_ARCH:-amd64}}"
    assert _ALL[name]["pull_policy"] == "never"
    assert TARGETS[name].upstream == (name in _PINS)
    assert name == "endpoint" or _PINS[name]


def test_every_pin_names_a_tag_and_invents_no_digest() -> None:
    for entries in _PINS.values():
        for entry in entries:
            tag = entry["ref"].rpartition(":")[2]
            assert tag not in {"latest", "main"}
            assert "/" not in tag, entry
            assert entry["digest"] is None or re.fullmatch(r"sha256:[0-9a-f]{64}", entry["digest"])


@pytest.mark.parametrize("name", [name for name, one in TARGETS.items() if one.upstream])
def test_a_service_of_others_can_be_pulled_and_all_but_grafana_can_be_built(name: str) -> None:
    text = (SERVICES / name / "Dockerfile").read_text()
    assert "FROM ${UPSTREAM} AS pulled" in text
    assert ("AS packaged" in text) is TARGETS[name].packaged
    assert TARGETS[name].packaged is (name != "grafana")


def test_grafana_alone_may_be_left_out() -> None:
    assert [name for name, one in _ALL.items() if one.get("profiles")] == ["grafana"]


def test_the_services_are_the_ones_that_the_lab_knows() -> None:
    assert set(_ALL) == set(known.SERVICES)


def test_the_registry_is_the_one_that_benches_look_for() -> None:
    labels = _ALL["registry"]["labels"]
    assert _ALL["registry"]["container_name"] == "inference-lab-registry"
    assert labels["org.inference-lab.role"] == labels["org.inference-lab.owner"] == "registry"
    assert _FILE["volumes"]["registry"] == {"name": "inference-lab-registry", "external": True}
    assert _FILE["networks"]["lab"] == {"name": "inference-lab", "external": True}


def test_the_emulator_sees_its_state_under_the_same_path_as_the_engine() -> None:
    (state,) = [one for one in _ALL["endpoint"]["volumes"] if "LAB_STATE" in one["source"]]
    assert state["source"] == state["target"]
    assert _ALL["endpoint"]["environment"]["LAB_STATE"] == state["source"]


def test_grafana_is_provisioned_looked_at_by_anyone_here_and_run_by_no_default_password() -> None:
    grafana = _ALL["grafana"]
    said = grafana["environment"]
    assert said["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert said["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert said["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{secret.NAME}"
    assert grafana["secrets"] == [secret.NAME]
    assert _FILE["secrets"][secret.NAME]["file"].endswith(f"/secrets/{secret.NAME}")
    mounts = dict(one.split(":")[:2] for one in grafana["volumes"])
    assert mounts["./services/grafana/provisioning"] == "/etc/grafana/provisioning"
    folder = mounts["./dashboards"]
    provider = yaml.safe_load(
        (SERVICES / "grafana/provisioning/dashboards/boards.yaml").read_text()
    )["providers"][0]
    assert provider["options"]["path"] == folder
    home = said["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].removeprefix(f"{folder}/")
    assert (ROOT / "dashboards" / home).is_file()
    assert re.fullmatch(r"\$\{LAB_ALERT_URL:-http://.+\}", said["LAB_ALERT_URL"])


def test_prometheus_keeps_its_data_in_a_volume_that_stopping_leaves() -> None:
    assert "prometheus:/prometheus" in _ALL["prometheus"]["volumes"]
    assert "--storage.tsdb.path=/prometheus" in _ALL["prometheus"]["command"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("pushgateway", push.address),
        ("grafana", annotate.address),
        ("prometheus", replay.address),
    ],
)
def test_benches_look_for_a_service_where_the_stack_publishes_it(
    name: str, address: Callable[[Mapping[str, str]], str]
) -> None:
    service = known.SERVICES[name]
    for env in ({}, {service.variable: "1234"}):
        assert address(env) == service.url(env)
