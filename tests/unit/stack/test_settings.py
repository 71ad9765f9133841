import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.endpoint.addresses import Addresses
from lab.errors import UsageError
from lab.spec import Platform, Runtime
from lab.stack.compose import FILE, environment, socket_of
from lab.stack.settings import StackSettings

_PLATFORM = Platform.AMD64


def settings(tmp_path: Path, **env: str) -> StackSettings:
    return StackSettings(variant="onnx-slim", models=("m",), state=tmp_path, env=env)


def variables(one: StackSettings, *, cpus: int = 8) -> Mapping[str, str]:
    return environment("unix:///run/docker.sock", one, platform=_PLATFORM, cpus=cpus)


def test_by_default_everything_is_on_loopback(tmp_path: Path) -> None:
    where = settings(tmp_path).addresses
    assert (where.sagemaker, where.s3) == ("http://127.0.0.1:8800", "http://127.0.0.1:9000")
    assert settings(tmp_path).bucket == "sagemaker-us-east-1-000000000000"


def test_the_address_that_an_earlier_call_said_to_export_is_no_foreign_s3(tmp_path: Path) -> None:
    assert settings(tmp_path, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9000").foreign_s3 is None
    assert settings(tmp_path, AWS_ENDPOINT_URL_S3="http://localhost:9000/").foreign_s3 is None
    Addresses(sagemaker="http://127.0.0.1:8800", s3="http://127.0.0.1:9999").save(tmp_path)
    assert settings(tmp_path, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9999").foreign_s3 is None


def test_any_other_s3_is_used_with_the_users_keys_and_ours_is_not(tmp_path: Path) -> None:
    one = settings(tmp_path, AWS_ENDPOINT_URL_S3="https://minio.example", AWS_ACCESS_KEY_ID="me")
    assert one.addresses.s3 == "https://minio.example"
    env = variables(one)
    assert env["LAB_S3_INSIDE"] == "https://minio.example"
    assert env["LAB_S3_ACCESS_KEY_ID"] == "me"
    own = variables(settings(tmp_path, AWS_ACCESS_KEY_ID="me"))
    assert own["LAB_S3_INSIDE"] == "http://s3:5000"
    assert own["LAB_S3_ACCESS_KEY_ID"] == "test"


@pytest.mark.parametrize("url", ["minio:9000", "minio.example", "http://", "http://x:abc"])
def test_what_is_no_address_of_an_s3_is_refused_before_anything_is_built(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL_S3"):
        _ = settings(tmp_path, AWS_ENDPOINT_URL_S3=url).foreign_s3


def test_a_variant_without_a_model_is_refused(tmp_path: Path) -> None:
    floor = StackSettings(variant="floor", models=("m",), state=tmp_path, env={})
    with pytest.raises(UsageError, match="floor serves no model"):
        _ = floor.runtime
    assert settings(tmp_path).runtime is Runtime.ONNX


def test_every_variable_of_the_file_is_set_whatever_the_users_shell_holds(tmp_path: Path) -> None:
    env = variables(settings(tmp_path))
    text = FILE.read_text()
    named = set(re.findall(r"\$\{(\w+)", text))
    assert named <= set(env)
    assert env["COMPOSE_FILE"] == env["COMPOSE_PROJECT_NAME"] == ""


@pytest.mark.parametrize(("has", "given"), [(1, "1"), (2, "2"), (64, "2")])
def test_the_emulator_is_never_given_more_processors_than_the_engine_has(
    tmp_path: Path, has: int, given: str
) -> None:
    assert variables(settings(tmp_path), cpus=has)["LAB_ENDPOINT_CPUS"] == given


def test_an_engine_elsewhere_cannot_share_a_folder_with_the_emulator() -> None:
    with pytest.raises(UsageError, match=r"tcp://far:2376 is on another machine"):
        socket_of("tcp://far:2376")


def test_docker_desktops_socket_is_mounted_from_inside_its_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/Users/me")
    assert socket_of("unix:///Users/me/.docker/run/docker.sock") == "/var/run/docker.sock"
    assert socket_of("unix:///run/inference-lab/docker.sock") == "/run/inference-lab/docker.sock"


def test_addresses_are_found_where_they_were_left_and_awss_own_variable_wins(
    tmp_path: Path,
) -> None:
    assert Addresses.find(state=tmp_path, env={}) is None
    left = Addresses(sagemaker="http://127.0.0.1:8800", s3="http://127.0.0.1:9000")
    left.save(tmp_path)
    assert Addresses.find(state=tmp_path, env={}) == left
    found = Addresses.find(state=tmp_path, env={"AWS_ENDPOINT_URL_SAGEMAKER": "http://x:1/"})
    assert found is not None
    assert (found.sagemaker, found.s3) == ("http://x:1", "http://127.0.0.1:9000")
