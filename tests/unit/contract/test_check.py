"""Rules run in order, and none of them can spoil the check."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.contract import check
from lab.contract.check import RuleEntry, attempt, chosen, entries, run
from lab.contract.fitness import fitness
from lab.contract.model import CheckedImage, RuleContext, RuleFinding, Tried, Verdict
from lab.contract.rules import kinds
from lab.contract.rules.image import SIZE_LIMIT
from lab.contract.rules.start import BIND_LABEL
from lab.contract.running.container import CannotTry
from lab.contract.running.readiness import NeverReady, Unready
from lab.contract.running.session import Session, once
from lab.errors import EngineError, UsageError
from lab.images.layers.saved import MODEL_PLACE
from lab.progress import Silent
from lab.spec import PORT, SERVERLESS_USER, Platform
from lab.start.cause import CauseKind
from tests.unit.contract.makers import found, rule


@pytest.fixture
def session(tmp_path: Path) -> Session:
    nobody: Any = None
    return Session(
        CheckedImage(
            image="me:1",
            platform=Platform.AMD64,
            model_dir=None,
            payload=None,
            content_type="application/json",
        ),
        RuleContext(engine=nobody, native=Platform.AMD64, owner="test", work=tmp_path),
    )


def entry(tried: Callable[[Session], Tried], name: str = "ping") -> RuleEntry:
    return RuleEntry(rule=rule(name), attempt=tried, section="Health")


def raising(error: Exception) -> Callable[[Session], Tried]:
    def tried(_: Session) -> Tried:
        raise error

    return tried


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CannotTry("no payload"), "no payload"),
        (ZeroDivisionError("oops"), "the check itself failed: ZeroDivisionError: oops"),
        (EngineError("The engine\nhas gone."), "it cannot be tried here: The engine has gone."),
        (
            NeverReady(Unready(kind=CauseKind.EARLY_EXIT, message="It exited.")),
            "a container did not get ready: It exited.",
        ),
    ],
)
def test_what_goes_wrong_with_a_check_is_a_skip_in_its_own_words(
    session: Session, error: Exception, said: str
) -> None:
    only = attempt(entry(raising(error)), session)
    assert only is not None
    assert (only.verdict, only.seen, only.section) == (Verdict.SKIP, said, "Health")


def test_ctrl_c_is_not_swallowed(session: Session) -> None:
    def interrupted(_: Session) -> Tried:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(entry(interrupted), session)


def test_what_is_known_when_the_check_is_cut_short_is_returned_and_says_so(
    session: Session,
) -> None:
    def interrupted(_: Session) -> Tried:
        raise KeyboardInterrupt

    wanted = [
        entry(lambda _: (Verdict.FAIL, "broken"), "one"),
        entry(interrupted, "two"),
        entry(lambda _: (Verdict.PASS, "kept"), "three"),
    ]
    verdicts = run(session, wanted, Silent())
    assert [one.rule.id for one in verdicts.findings] == ["one"]
    assert verdicts.cut_short
    assert [one.id for one in verdicts.untried] == ["two", "three"]


def test_rules_run_in_order_and_see_the_findings_before_them(session: Session) -> None:
    def first(_: Session) -> Tried:
        return Verdict.FAIL, "broken", {"bytes": 1}

    def second(of: Session) -> Tried:
        assert of.verdict("one") is Verdict.FAIL
        assert of.verdict("unheard-of") is None
        return Verdict.PASS, "kept"

    wanted = [
        entry(first, "one"),
        entry(lambda _: None, "does-not-apply"),
        entry(raising(ValueError("x"))),
        entry(second, "three"),
    ]
    verdicts = run(session, wanted, Silent())
    assert [one.rule.id for one in verdicts.findings] == ["one", "ping", "three"]
    assert [one.data for one in verdicts.findings] == [{"bytes": 1}, None, None]
    assert verdicts.failed


def test_a_measurement_is_made_once_and_so_is_its_failure(session: Session) -> None:
    made = []

    @once
    def measure(_: Session) -> int:
        made.append(1)
        return 7

    @once
    def refuse(_: Session) -> int:
        made.append(2)
        raise CannotTry("no")

    assert [measure(session), measure(session)] == [7, 7]
    for _ in range(2):
        with pytest.raises(CannotTry, match="no"):
            refuse(session)
    assert made == [1, 2]


def test_every_rule_has_a_name_of_its_own_and_says_all_of_it() -> None:
    rules = [one.rule for one in entries()]
    assert len({one.id for one in rules}) == len(rules)
    for one in rules:
        assert all((one.title, one.why, one.change, one.source)), one.id


def test_every_rule_is_tried_and_every_try_is_of_a_rule() -> None:
    assert {one.rule.id for one in entries()} == set(check._TRIES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", str(PORT)),
        ("exposed-port", f"EXPOSE {PORT}"),
        ("non-root", SERVERLESS_USER),
        ("model-data", MODEL_PLACE.rstrip("/")),
        ("bind-to-port", BIND_LABEL),
        ("kind-multi-model", kinds.MULTI_MODEL_LABEL),
        ("kind-bidirectional", kinds.STREAM_LABEL),
        ("kind-bidirectional", kinds.STREAM_PATH),
        ("image-size", str(SIZE_LIMIT)),
    ],
)
def test_a_rule_s_words_name_what_is_tried(name: str, value: str) -> None:
    (rule,) = (one.rule for one in entries() if one.rule.id == name)
    assert value in f"{rule.title} {rule.why} {rule.change}"


def test_only_the_rules_that_were_asked_for_run() -> None:
    everything = entries()
    assert [one.rule.id for one in chosen(["ping"], quick=False, among=everything)] == ["ping"]
    quick = chosen([], quick=True, among=everything)
    assert {one.section for one in everything} - {one.section for one in quick} == {"Memory"}
    with pytest.raises(UsageError, match="no rule 'pong'"):
        chosen(["pong"], quick=False, among=everything)


def passed(*names: str) -> list[RuleFinding]:
    return [found(name, Verdict.PASS) for name in names]


REAL_TIME = ("serve", "ping", "invocation", "concurrent", "payload-6mb")
SERVERLESS = ("non-root", "read-only-root", "payload-4mb")


def test_an_image_is_fit_for_what_was_tried_and_held() -> None:
    assert fitness(passed(*REAL_TIME)).words == "fit for: real time"
    assert fitness(passed(*REAL_TIME, *SERVERLESS)).fit == ("real time", "serverless")
    assert fitness(passed("serve")).words == "not enough was tried to say what it is fit for"


def limited(name: str, up_to: int, verdict: Verdict = Verdict.WARN) -> RuleFinding:
    return replace(found(name, verdict), up_to_bytes=up_to)


def test_a_limit_of_size_leaves_an_image_fit_up_to_it() -> None:
    five = 5 * 1024 * 1024
    needed = passed(*REAL_TIME[:-1], *SERVERLESS, "kind-batch")
    able = fitness([*needed, limited("payload-6mb", five)])
    assert able.words == "fit for: real time up to 5 MB, serverless, batch up to 5 MB"
    one = fitness(
        [
            *passed(*REAL_TIME[:-1], *SERVERLESS[:-1]),
            limited("payload-4mb", 1024 * 1024, Verdict.FAIL),
            found("payload-6mb", Verdict.SKIP),
        ]
    )
    assert one.words == "fit for: real time up to 1 MB, serverless up to 1 MB"


def test_an_answer_that_is_too_large_costs_the_kinds_that_its_finding_names() -> None:
    large = replace(found("answer-size", Verdict.FAIL), not_for=["serverless"])
    assert fitness([*passed(*REAL_TIME, *SERVERLESS), large]).words == (
        "fit for: real time; not for: serverless"
    )


@pytest.mark.parametrize(
    ("kind", "name"), [("batch", "kind-batch"), ("multi-model", "kind-multi-model")]
)
def test_a_kind_is_never_both_promised_and_denied(
    session: Session, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    monkeypatch.setattr(Session, "base", lambda _: None)
    session.findings = [*passed("ping", "concurrent"), found("invocation", Verdict.FAIL)]
    asked = next(one for one in entries() if one.rule.id == name)
    finding = attempt(asked, session)
    assert finding is not None
    assert (finding.verdict, finding.seen) == (Verdict.WARN, "not: see invocation")
    assert "Mend the rules" in finding.change
    assert kind in fitness([*session.findings, finding]).unfit


def test_a_broken_rule_costs_the_kinds_that_need_it() -> None:
    findings = [*passed(*REAL_TIME, *SERVERLESS[1:]), found("non-root", Verdict.FAIL)]
    assert fitness(findings).words == "fit for: real time; not for: serverless"
    findings = [*passed(*REAL_TIME, "kind-batch"), found("kind-multi-model", Verdict.WARN)]
    assert fitness(findings).words == "fit for: real time, batch; not for: multi-model"
