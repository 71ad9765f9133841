"""A check beside other work: what is broken by the clock alone is not judged."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import busy
from lab.busy import MachineUse, Reading
from lab.contract.check import RuleEntry, attempt
from lab.contract.model import CheckedImage, Judged, RuleContext, RuleFinding, Tried, Verdict
from lab.contract.rules import start
from lab.contract.rules.ping import judge_accepts, judge_pings
from lab.contract.running.container import Running
from lab.contract.running.readiness import NeverReady, Unready
from lab.contract.running.session import Session
from lab.spec import Platform
from lab.start.cause import CauseKind
from lab.start.explain import Explanation
from tests.unit.contract.makers import answered, rule
from tests.unit.engine.fake import FakeEngine

PASS, WARN, FAIL, SKIP = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
BUSY = MachineUse(
    wall_s=10, cpus=2, busy_s=20, others_s=18, steal_s=0, load=17, who=("cc1",), stalled_s={}
)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    engine: Any = FakeEngine()
    nothing = Reading(at_s=0, cpus=2, busy_s=0, steal_s=0, load=0)
    monkeypatch.setattr(busy, "read", lambda: nothing)
    return Session(
        CheckedImage(
            image="me:1",
            platform=Platform.AMD64,
            model_dir=None,
            payload=None,
            content_type="application/json",
        ),
        RuleContext(engine=engine, native=Platform.AMD64, owner="test", work=tmp_path, here=True),
    )


def judged(session: Session, tried: Callable[[Session], Tried]) -> RuleFinding:
    found = attempt(RuleEntry(rule=rule("ping"), attempt=tried, section="Health"), session)
    assert found is not None
    return found


def slow(session: Session) -> Judged:
    """A rule of time as they are written: a limit, or a flag of the judgement."""
    within = session.limit(2.0) >= 9.0
    return (PASS if within else FAIL), session.timed("slowest: 9 s")


def refused(session: Session) -> Judged:
    """A rule that looks at time, too, and is broken by something else."""
    return (FAIL if session.limit(2.0) > 0 else PASS), session.timed("answered 500")


def test_a_rule_of_time_that_a_busy_machine_broke_is_skipped_and_says_by_whom(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy, "between", lambda *_, **__: BUSY)
    found = judged(session, slow)
    assert found.verdict is SKIP
    assert found.seen == (
        "slowest: 9 s (the machine was busy: time not judged; others took 90 % of its 2 CPUs (cc1))"
    )
    assert not session.emulated


def test_what_is_broken_by_more_than_the_clock_stays_broken(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy, "between", lambda *_, **__: BUSY)
    found = judged(session, refused)
    assert (found.verdict, found.seen) == (FAIL, "answered 500")
    no_time: Callable[[Session], Judged] = lambda _: (FAIL, "no such path")  # noqa: E731
    assert judged(session, no_time).verdict is FAIL


def test_that_nobody_waited_any_longer_says_nothing_where_no_time_is_judged() -> None:
    late = answered(None, seconds=10, connect_s=None, error="timed out")
    refused_at_once = answered(None, seconds=0.1, connect_s=None, error="Connection refused")
    for judge in (judge_pings, judge_accepts):
        assert judge([late])[0] is FAIL
        assert judge([late], limit_s=math.inf)[0] is SKIP
        assert judge([late, refused_at_once], limit_s=math.inf)[0] is FAIL


def test_on_a_quiet_machine_a_slow_image_is_slow(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = BUSY.model_copy(update={"others_s": 0.4})
    monkeypatch.setattr(busy, "between", lambda *_, **__: quiet)
    assert judged(session, slow).verdict is FAIL


def test_what_was_disturbed_since_the_check_began_is_not_judged_either(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that the machine delayed is judged by several rules, later ones too."""
    quiet = BUSY.model_copy(update={"others_s": 0.4})
    uses = iter([quiet, BUSY])
    monkeypatch.setattr(busy, "between", lambda *_, **__: next(uses))
    session.begin()
    assert judged(session, slow).verdict is SKIP


@pytest.mark.parametrize(
    ("kind", "verdict"), [("model_file", FAIL), ("worker_timeout", SKIP), ("exception", SKIP)]
)
def test_a_server_that_never_gets_ready_is_broken_beside_other_work_if_its_log_says_why(
    session: Session, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: Verdict
) -> None:
    def never(_: Session) -> Running:
        why = Explanation(kind=kind, what="model.pkl is not there", line="", cure="Pack it.")
        seen = Unready(
            kind=CauseKind.NEVER_READY,
            message="Not ready within 45 s: /ping last answered 500",
            explanation=why,
            last_ping_status=500,
            accepting=True,
        )
        raise NeverReady(seen)

    monkeypatch.setattr(busy, "between", lambda *_, **__: BUSY)
    monkeypatch.setattr(Session, "start_base", never)
    assert judged(session, start.TRIES["start-time"]).verdict is verdict
