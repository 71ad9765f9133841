"""The demo's script on a played emulator: what is sent where, and what is said if it cannot be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts.store import Payload
from lab.endpoint.client import EmulatorClient, Reply
from lab.errors import EndpointError, UsageError
from lab.progress import Silent
from lab.spec import FLOOR
from lab.stack import demo, demo_bench
from lab.stack.demo import Script
from tests.unit.observe.runs.test_readings_push import run as bench_run
from tests.unit.observe.standins import Asked, standing_in

QUICK = Script(
    steady_s=0.1, burst_s=0.1, idle_s=0.0, cold_starts=2, shifted_s=0.1, per_s=50, settle_s=1.0
)


class Emulator(EmulatorClient):
    """Knows the endpoints it is given, and what each was sent."""

    def __init__(self, **limits: int | None) -> None:
        self.limits = {name.replace("_", "-"): limit for name, limit in limits.items()}
        self.status = "InService"
        self.up = True
        self.sent: list[tuple[str, bytes, str]] = []
        self.cooled: list[str] = []

    def healthy(self) -> bool:
        return self.up

    def find(self, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        if operation == "describe_endpoint":
            name = parameters["EndpointName"]
            if name not in self.limits:
                return None
            return {"EndpointStatus": self.status, "EndpointConfigName": f"{name}-config"}
        limit = self.limits[parameters["EndpointConfigName"].removesuffix("-config")]
        variant = {} if limit is None else {"ServerlessConfig": {"MaxConcurrency": limit}}
        return {"ProductionVariants": [variant]}

    def invoke(self, endpoint: str, body: bytes, content_type: str, **_: str) -> Reply:
        self.sent.append((endpoint, body, content_type))
        return Reply(body=b"{}", content_type="application/json", variant="AllTraffic")

    def scale_to_zero(self, endpoint: str) -> None:
        self.cooled.append(endpoint)


@pytest.fixture(autouse=True)
def one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(name: str) -> Payload:
        path = tmp_path / name
        path.write_text(name)
        return Payload(path=path, content_type="image/png")

    samples = {
        "models": ("eye",),
        "held_out": [some(f"{number}.png") for number in range(3)],
        "shifted": [some("dark.png")],
        "payload": some("photo.png"),
    }
    for name, value in samples.items():
        monkeypatch.setattr(f"lab.artifacts.store.{name}", lambda *_, value=value: value)


def test_it_goes_from_steady_to_shifted_and_starts_cold_in_between() -> None:
    emulator, progress = Emulator(eye_realtime=None, eye_serverless=2), Silent()
    found = demo.targets(emulator)
    assert [(one.name, one.limit) for one in found] == [
        ("eye-realtime", None),
        ("eye-serverless", 2),
    ]
    chapters = demo.play(found, emulator, progress, script=QUICK)
    assert [one.title.partition(":")[0] for one in chapters] == [
        "Steady",
        "Burst",
        "Cold",
        "Shifted",
    ]
    assert any(step.startswith("Idle") for step in progress.steps)
    assert "6 clients" in chapters[1].title
    assert emulator.cooled == ["eye-serverless"] * 2
    assert all(one.tally.sent == one.tally.answered > 0 for one in chapters)
    last = [body for name, body, _ in emulator.sent[-chapters[-1].tally.sent :]]
    ordinary = {body for body, _ in found[0].held_out}
    assert not ordinary & set(last)


def test_every_model_is_sent_its_shifted_inputs_at_one_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.artifacts.store.models", lambda: ("eye", "shop"))
    emulator = Emulator(eye_serverless=2, eye_realtime=None, shop_serverless=2)
    chapters = demo.play(demo.targets(emulator), emulator, Silent(), script=QUICK)
    last = {name for name, _, _ in emulator.sent[-chapters[-1].tally.sent :]}
    assert last == {"eye-realtime", "shop-serverless"}
    assert all(name in chapters[-1].title for name in last)


def test_without_a_serverless_endpoint_the_rest_is_played() -> None:
    emulator = Emulator(eye_realtime=None)
    chapters = demo.play(demo.targets(emulator), emulator, Silent(), script=QUICK)
    assert [one.title.partition(":")[0] for one in chapters] == ["Steady", "Shifted"]


def test_without_an_emulator_or_an_endpoint_in_service_it_says_what_to_do() -> None:
    gone, none, creating = Emulator(), Emulator(), Emulator(eye_realtime=None)
    gone.up, creating.status = False, "Creating"
    for emulator in (gone, none, creating):
        with pytest.raises(EndpointError) as said:
            demo.targets(emulator)
        assert "lab up" in said.value.remedy


def test_a_model_without_samples_is_to_be_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(_: str) -> None:
        raise UsageError("The model eye has no samples to send.")

    monkeypatch.setattr("lab.artifacts.store.held_out", none)
    with pytest.raises(EndpointError, match="no samples"):
        demo.targets(Emulator(eye_realtime=None))


def test_it_waits_until_prometheus_has_what_the_boards_show() -> None:
    times: dict[str, int] = {}

    def prometheus(asked: Asked) -> tuple[int, Any]:
        times[asked.path] = times.get(asked.path, 0) + 1
        late = "1h" in asked.path and times[asked.path] < 2
        return 200, {"status": "success", "data": {"result": [] if late else [{}]}}

    with standing_in(prometheus) as server:
        assert demo.settle(server.url, Silent(), seconds=10) == []


def test_what_prometheus_lacks_in_the_end_is_named() -> None:
    empty = {"status": "success", "data": {"result": []}}
    with standing_in(lambda _: (200, empty)) as server:
        assert "endpoint_feature:drift_psi:1h" in demo.settle(server.url, Silent(), seconds=0)
    with pytest.raises(EndpointError, match="does not answer"):
        demo.settle(server.url, Silent(), seconds=0)


def test_without_a_pushgateway_or_a_bench_it_says_which_boards_stay_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    with standing_in(lambda _: (200, {})) as server:
        monkeypatch.setenv("LAB_PUSHGATEWAY_URL", server.url)
        said = demo_bench.provide(Silent(), may_run=False)
        assert "lab-coldstart and lab-compare stay empty" in said
        assert "lab coldstart run" in said
    assert "No Pushgateway answers" in demo_bench.provide(Silent(), may_run=False)


VARIANTS = ("baseline", "onnx-slim", FLOOR)


def test_the_boards_get_the_newest_bench_that_knows_the_images_sizes(tmp_path: Path) -> None:
    assert demo_bench.newest(tmp_path) is None
    bench_run(tmp_path, days=0, plan="small", variants=VARIANTS)
    known = bench_run(tmp_path, days=1, plan="default", variants=VARIANTS)
    bench_run(tmp_path, days=2, plan="smoke", variants=VARIANTS, compressed=False)
    assert demo_bench.newest(tmp_path) == known


def test_a_bench_takes_no_later_one_of_the_same_plan_off_the_boards(tmp_path: Path) -> None:
    bench_run(tmp_path, days=0, plan="smoke", variants=VARIANTS)
    bench_run(tmp_path, days=1, plan="smoke", variants=VARIANTS, compressed=False)
    assert demo_bench.newest(tmp_path) is None
