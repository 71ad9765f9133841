"""An image under emulation is held against every rule but those about time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.contract import subject
from lab.contract.fitness import REAL_TIME, fitness
from lab.contract.model import CheckedImage, RuleContext, Verdict
from lab.contract.reports.machine import as_json
from lab.contract.rules import kinds
from lab.contract.rules.conditions import judge_condition
from lab.contract.rules.image import TRIES, judge_instance, judge_platform
from lab.contract.rules.invoke import judge_invocation
from lab.contract.rules.ping import (
    ACCEPT_LIMIT_S,
    PING_LIMIT_S,
    judge_accepts,
    judge_concurrent,
    judge_first,
    judge_pings,
)
from lab.contract.rules.sizes import SIZES, judge_size
from lab.contract.rules.start import judge_start_time
from lab.contract.rules.stop import Stop, judge_sigterm
from lab.contract.running.container import CannotTry
from lab.contract.running.load import PingLoad
from lab.contract.running.procfs import emulated as as_the_program_sees_it
from lab.contract.running.session import START_LIMIT_S, Session
from lab.contract.subject import CheckRequest
from lab.endpoint.instances import table
from lab.errors import EmulationError, UsageError
from lab.progress import Silent
from lab.spec import SERVERLESS_TIERS, Platform
from tests.unit.contract.makers import answered, found, verdicts
from tests.unit.engine.fake import FakeEngine

PASS, WARN, FAIL, SKIP = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
AMD, ARM = Platform.AMD64, Platform.ARM64
LATE = answered(None, seconds=300, error="timed out")
TRY_INSTANCE: Any = TRIES["instance-type"]
TRY_SERVERLESS: Any = kinds.TRIES["kind-serverless"]


def session(
    image: Platform, native: Platform, *, instance_type: str | None = None, **how: Any
) -> Session:
    nobody: Any = None
    of = CheckedImage(
        image="me:1",
        platform=image,
        model_dir=None,
        payload=None,
        content_type="application/json",
        instance_type=instance_type,
    )
    return Session(of, RuleContext(engine=nobody, native=native, owner="test", work=Path()), **how)


@pytest.mark.parametrize(("image", "native"), [(ARM, AMD), (AMD, ARM)])
def test_no_limit_of_time_holds_under_emulation_in_either_direction(
    image: Platform, native: Platform
) -> None:
    emulated = session(image, native)
    assert emulated.emulated
    slow = [answered(seconds=9.0, connect_s=3.0)]
    assert judge_pings(slow, limit_s=emulated.limit(PING_LIMIT_S))[0] is PASS
    assert judge_accepts(slow, limit_s=emulated.limit(ACCEPT_LIMIT_S))[0] is PASS
    assert emulated.timed("slowest: 9 s") == "slowest: 9 s (emulated: time not judged)"


@pytest.mark.parametrize("platform", list(Platform))
def test_on_a_machine_of_its_own_platform_every_limit_holds(platform: Platform) -> None:
    native = session(platform, platform)
    assert not native.emulated
    assert native.limit(PING_LIMIT_S) == PING_LIMIT_S
    assert native.timed("slowest: 9 s") == "slowest: 9 s"
    assert native.start_limit_s == START_LIMIT_S


def test_what_is_not_about_time_is_judged_all_the_same() -> None:
    limit_s = session(ARM, AMD).limit(PING_LIMIT_S)
    assert judge_pings([answered(503)], limit_s=limit_s)[0] is FAIL
    refused = answered(None, connect_s=None)
    assert judge_accepts([refused], limit_s=limit_s)[0] is FAIL
    assert judge_invocation(answered(500), emulated=True)[0] is FAIL
    assert judge_first(answered(503), [answered()], emulated=True)[0] is FAIL
    assert judge_size(answered(413), SIZES[0], emulated=True).verdict is WARN
    assert judge_condition(1, 1, answered(500), emulated=True)[0] is FAIL
    mixed = PingLoad(clients=8, seconds=2.0, invocations=[LATE, answered(503)])
    assert judge_concurrent(mixed, emulated=True)[0] is FAIL


def test_an_answer_that_nobody_waited_for_says_nothing_under_emulation() -> None:
    load = PingLoad(clients=8, seconds=2.0, invocations=[answered(), LATE])
    assert judge_concurrent(load, emulated=True)[0] is SKIP
    assert judge_concurrent(load)[0] is FAIL
    assert judge_invocation(LATE, emulated=True)[0] is SKIP
    assert judge_invocation(LATE)[0] is FAIL
    assert judge_size(LATE, SIZES[0], emulated=True).verdict is SKIP
    assert judge_condition(1, 1, LATE, emulated=True)[0] is SKIP


def test_slow_is_no_fault_under_emulation() -> None:
    assert judge_start_time(700, emulated=True)[0] is PASS
    assert judge_invocation(answered(seconds=200), emulated=True)[0] is PASS
    assert judge_first(answered(seconds=30), [answered()], emulated=True)[0] is PASS
    assert judge_condition(90, 2, answered(), emulated=True)[0] is PASS
    assert judge_condition(90, 2, answered())[0] is WARN


def test_a_stop_is_given_more_time_and_sigkill_tells_all_the_same() -> None:
    slow = Stop(process_one=["serve"], took_s=70, exit_code=0, grace_s=150)
    assert judge_sigterm(slow)[0] is PASS
    deaf = Stop(process_one=["serve"], took_s=150, exit_code=137, grace_s=150)
    assert judge_sigterm(deaf) == (FAIL, "still ran 150 s after SIGTERM; process 1 is `serve`")


def test_containers_are_waited_for_longer_unless_the_user_says_how_long() -> None:
    assert session(ARM, AMD).start_limit_s == 5 * START_LIMIT_S
    assert session(ARM, AMD, start_limit_s=20).start_limit_s == 20


@pytest.mark.parametrize(("native", "aside"), [(AMD, ""), (ARM, " (emulated: time not judged)")])
def test_seconds_under_the_conditions_of_serverless_are_told_with_a_word_about_emulation(
    native: Platform, aside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = "yes: ready after 20.0 s"
    monkeypatch.setattr(kinds, "_lacks", lambda *_: None)
    monkeypatch.setattr(kinds, "_tier", lambda _: SERVERLESS_TIERS[0])
    monkeypatch.setattr(kinds, "_all_at_once", lambda *_: (PASS, seen))
    assert TRY_SERVERLESS(session(AMD, native)) == (PASS, seen + aside)


def test_serverless_is_not_denied_for_what_may_be_qemus_memory_or_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kinds, "_lacks", lambda *_: None)
    monkeypatch.setattr(kinds, "_tier", lambda _: None)
    assert TRY_SERVERLESS(session(AMD, AMD)).verdict is WARN
    with pytest.raises(CannotTry, match="memory-tiers"):
        TRY_SERVERLESS(session(AMD, ARM))
    monkeypatch.setattr(kinds, "_tier", lambda _: SERVERLESS_TIERS[0])
    monkeypatch.setattr(kinds, "_all_at_once", lambda *_: (WARN, "not with 1024 MB"))
    assert TRY_SERVERLESS(session(AMD, AMD))[0] is WARN
    with pytest.raises(CannotTry, match="emulated: time not judged"):
        TRY_SERVERLESS(session(AMD, ARM))


@pytest.mark.parametrize(
    ("cmdline", "expected"),
    [
        (["/usr/libexec/qemu-binfmt/aarch64-binfmt-P", "/bin/sh", "sh", "-c", "x"], "sh -c x"),
        (["/usr/bin/qemu-aarch64", "/bin/sh", "-c", "x"], "/bin/sh -c x"),
        (["python3", "serve"], "python3 serve"),
        ([""], ""),
    ],
)
def test_a_shell_is_seen_behind_its_emulator(cmdline: Sequence[str], expected: str) -> None:
    assert " ".join(as_the_program_sees_it(cmdline)) == expected


@pytest.mark.parametrize(
    ("image", "instance", "verdict"),
    [
        (AMD, "ml.m5.large", PASS),
        (ARM, "ml.m6g.large", PASS),
        (ARM, "ml.c5.xlarge", FAIL),
        (AMD, "ml.c7g.xlarge", FAIL),
    ],
)
def test_an_image_is_held_against_the_instance_type_wherever_it_is_checked(
    image: Platform, instance: str, verdict: Verdict
) -> None:
    assert judge_instance(image, table()[instance])[0] is verdict
    for native in Platform:
        tried, seen, _ = TRY_INSTANCE(session(image, native, instance_type=instance))
        assert tried is verdict
        assert instance in seen
    if verdict is FAIL:
        assert f"--platform {table()[instance].platform}" in seen


def test_without_an_instance_type_nothing_is_said_of_it() -> None:
    assert TRY_INSTANCE(session(ARM, AMD)) is None


def test_arm64_on_graviton_is_no_warning_and_on_the_wrong_instance_not_fit() -> None:
    programs, entry = {"serve": 0xB7}, "/serve"
    graviton, intel = table()["ml.m6g.large"], table()["ml.m5.large"]
    assert judge_platform(ARM, programs, entry, instance=graviton)[0] is PASS
    assert judge_platform(ARM, programs, entry, instance=intel)[0] is WARN
    needed = [found(name, PASS) for name in ("ping", "invocation", "concurrent", "payload-6mb")]
    assert REAL_TIME in fitness(needed).fit
    assert REAL_TIME in fitness([*needed, found("instance-type", FAIL)]).unfit


def test_machines_are_told_too() -> None:
    assert '"emulated": false' in as_json(verdicts())


class Prepares:
    """An engine for ``prepared``, and what it was made to have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine: Any = FakeEngine()
        self.engine.foreign["inference-lab/floor:arm64"] = ARM
        self.built: list[tuple[str, Platform]] = []
        self.cannot = ""
        monkeypatch.setattr("lab.contract.subject.images.ensure", self._build)
        monkeypatch.setattr("lab.contract.subject.models.ensure", lambda *_, **__: None)
        monkeypatch.setattr(subject, "_has", lambda _, ref: ref == "floor-of-mine")
        monkeypatch.setattr(subject, "ensure_runs", self._ensure_runs)

    def _build(self, targets: Sequence[str], *, platform: Platform, **_: Any) -> None:
        self.built += [(name, platform) for name in targets]

    def _ensure_runs(self, platform: Platform, *_: Any) -> None:
        if self.cannot and platform is ARM:
            raise EmulationError(self.cannot)


@pytest.fixture
def prepares(monkeypatch: pytest.MonkeyPatch) -> Prepares:
    return Prepares(monkeypatch)


def test_a_variant_s_name_is_its_image_for_the_platform(prepares: Prepares) -> None:
    request = CheckRequest(image="floor", platform=ARM)
    with subject.prepared(request, prepares.engine, Silent()) as (of, where):
        assert (of.image, of.platform) == ("inference-lab/floor:arm64", ARM)
        assert where.native is AMD
    with subject.prepared(CheckRequest(image="floor"), prepares.engine, Silent()) as (of, _):
        assert of.image == "inference-lab/floor:amd64"
    assert prepares.built == [("floor", ARM), ("floor", AMD)]


def test_without_emulation_the_rules_that_need_none_are_tried_all_the_same(
    prepares: Prepares,
) -> None:
    prepares.cannot = "linux/arm64 images do not run here."
    progress = Silent()
    with subject.prepared(CheckRequest(image="floor", platform=ARM), prepares.engine, progress):
        assert progress.notes == [prepares.cannot]


def test_an_instance_type_that_there_is_not_is_named_with_the_nearest(prepares: Prepares) -> None:
    request = CheckRequest(image="floor", instance_type="ml.m6g.lagre")
    with (
        pytest.raises(UsageError, match=r"no instance type ml\.m6g\.lagre") as caught,
        subject.prepared(request, prepares.engine, Silent()),
    ):
        pass
    assert "ml.m6g.large" in caught.value.remedy
    assert prepares.built == []


def test_programs_are_told_the_architecture_of_the_instance_type() -> None:
    *_, data = TRY_INSTANCE(session(AMD, AMD, instance_type="ml.m5.large"))
    assert data == {"instance_type": "ml.m5.large", "architecture": "x86_64"}
