"""What `lab up` and `lab down` say."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.cli import main
from lab.cli import up as verb
from lab.endpoint.addresses import Addresses
from lab.engine.docker.engine import DockerEngine
from lab.errors import PortTakenError
from lab.services import SERVICES, Started
from lab.stack.seed import SeededEndpoint
from lab.stack.session import Stack
from lab.stack.settings import StackSettings
from tests.unit.engine.fake import FakeEngine

MODEL = "retinopathy-mobilenet"
VGG19 = "retinopathy-vgg19"


def stack(*endpoints: SeededEndpoint) -> Stack:
    return Stack(
        addresses=Addresses(sagemaker="http://127.0.0.1:8800", s3="http://127.0.0.1:9000"),
        services=[
            Started(service=SERVICES["s3"], url="http://127.0.0.1:9000", origin="built from PyPI"),
            Started(service=SERVICES["grafana"], url=None, origin="no registry answers"),
        ],
        endpoints=endpoints or [endpoint()],
        payload=Path("/photo.jpg"),
        content_type="image/jpeg",
        sdk_settings=Path("/state/sagemaker-sdk.yaml"),
    )


def endpoint(
    status: str = "InService", reason: str | None = None, model: str = MODEL, note: str = ""
) -> SeededEndpoint:
    return SeededEndpoint(
        name=f"{model}-realtime",
        kind="realtime",
        model=model,
        status=status,
        reason=reason,
        note=note,
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[StackSettings]:
    seen: list[StackSettings] = []

    def start(settings: StackSettings, *_: object) -> Stack:
        seen.append(settings)
        return stack()

    monkeypatch.setattr("lab.cli.up.open_engine", lambda _: FakeEngine())
    monkeypatch.setattr("lab.cli.up.start", start)
    return seen


def test_the_smallest_variant_serves_the_smallest_model_by_default(
    asked: list[StackSettings],
) -> None:
    assert main.run(["up"]) == 0
    (settings,) = asked
    assert settings.variant == "onnx-slim"
    assert settings.models == ("retinopathy-mobilenet",)


def test_models_are_those_that_are_named(asked: list[StackSettings]) -> None:
    assert main.run(["up", "--model", VGG19]) == 0
    assert main.run(["up", "--model", MODEL, "--model", VGG19, "--model", MODEL]) == 0
    assert [settings.models for settings in asked] == [(VGG19,), (MODEL, VGG19)]


def test_a_variant_and_a_model_can_be_chosen(asked: list[StackSettings]) -> None:
    assert main.run(["up", "--variant", "slim", "--model", MODEL]) == 0
    assert (asked[0].variant, asked[0].models) == ("slim", (MODEL,))


def test_an_unknown_model_is_refused_before_anything_is_opened(
    asked: list[StackSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["up", "--model", "cats"]) == 2
    assert asked == []
    assert "cats" in capsys.readouterr().err


def test_the_table_says_where_everything_is_and_what_it_came_from(
    asked: list[StackSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    main.run(["up"])
    said = capsys.readouterr().out
    assert "built from PyPI" in said
    assert "not started" in said
    assert f"http://127.0.0.1:8800/endpoints/{MODEL}-realtime/invocations" in said.replace("\n", "")


def test_each_way_to_invoke_can_be_pasted() -> None:
    said = verb.how_to(stack(), with_keys=True)
    assert "export AWS_ENDPOINT_URL_SAGEMAKER=http://127.0.0.1:8800\n" in said
    assert "export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:8800\n" in said
    assert "export AWS_ENDPOINT_URL_STS=http://127.0.0.1:8800\n" in said
    assert "export AWS_ENDPOINT_URL_IAM=http://127.0.0.1:8800\n" in said
    assert "export AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000\n" in said
    assert "export SAGEMAKER_USER_CONFIG_OVERRIDE=/state/sagemaker-sdk.yaml " in said
    assert "aws --endpoint-url http://127.0.0.1:8800 sagemaker-runtime invoke-endpoint" in said
    assert 'boto3.client("sagemaker-runtime")' in said
    assert "curl -H 'Content-Type: image/jpeg' --data-binary @/photo.jpg" in said
    assert "AWS_ACCESS_KEY_ID=test" in said
    assert "AWS_ACCESS_KEY_ID" not in verb.how_to(stack(), with_keys=False)


def test_what_compose_needs_to_be_told_is_said_where_its_client_would_ask_elsewhere(
    tmp_path: Path,
) -> None:
    engine = DockerEngine.__new__(DockerEngine)
    engine.address = "unix:///run/private/docker.sock"
    home = {"DOCKER_CONFIG": str(tmp_path)}
    said = verb.to_watch(engine, home)
    assert said is not None
    assert "export DOCKER_HOST=unix:///run/private/docker.sock; docker compose ps" in said
    told = verb.to_watch(engine, {**home, "DOCKER_HOST": engine.address})
    assert told is not None
    assert "export" not in told
    assert verb.to_watch(FakeEngine()) is None


@pytest.mark.parametrize(
    "one",
    [
        endpoint("Failed", "did not pass the ping health check: exit code 137"),
        replace(endpoint(reason="It does not answer: ModelError: 500"), answers=False),
    ],
)
def test_an_endpoint_that_does_not_answer_is_told_with_its_reason_and_an_exit_code(
    asked: list[StackSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    one: SeededEndpoint,
) -> None:
    monkeypatch.setattr("lab.cli.up.start", lambda *_: stack(one))
    assert main.run(["up"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert str(one.reason) in said
    assert f"lab endpoint logs {one.name}" in said


def test_an_endpoint_of_a_model_that_was_not_asked_for_is_shown_and_fails_nothing(
    asked: list[StackSettings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = endpoint("Failed", "exit code 137", VGG19, "as it was")
    monkeypatch.setattr("lab.cli.up.start", lambda *_: stack(endpoint(), other))
    assert main.run(["up"]) == 0
    said = capsys.readouterr().out
    assert f"{VGG19}-realtime" in said
    assert "as it was" in said


def test_a_taken_port_ends_it_with_the_engines_exit_code(
    asked: list[StackSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Stack:
        raise PortTakenError("Port 9000 of s3 is taken.")

    monkeypatch.setattr("lab.cli.up.start", refuse)
    assert main.run(["up"]) == 3


@pytest.mark.parametrize(("words", "forget"), [(["down"], False), (["down", "--all"], True)])
def test_down_stops_and_only_all_forgets(
    monkeypatch: pytest.MonkeyPatch, words: list[str], *, forget: bool
) -> None:
    seen = {}
    monkeypatch.setattr("lab.cli.down.running_engine", FakeEngine)

    def stop(*_: object, forget: bool) -> tuple[str, ...]:
        seen["forget"] = forget
        return ()

    monkeypatch.setattr("lab.cli.down.stop", stop)
    assert main.run(words) == 0
    assert seen == {"forget": forget}
