"""What a check prints, to the letter."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

from rich.console import Console

from lab.contract.model import Verdict, Verdicts
from lab.contract.reports.machine import as_json, as_junit
from lab.contract.reports.terminal import render
from tests.unit.contract.makers import found, rule, verdicts

MIXED = verdicts(
    found("serve", Verdict.PASS, "runs"),
    found("port", Verdict.WARN, "hm"),
    found("ping", Verdict.FAIL, "503 in 1.0 ms", "Health"),
    found("accept", Verdict.SKIP, "no payload", "Health"),
)


def printed(of: Verdicts) -> list[str]:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(render(of))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_terminal_shows_a_line_for_each_rule_and_details_of_what_is_not_well() -> None:
    assert printed(MIXED) == [
        "me:1  linux/amd64",
        "   Start",
        "✓  serve   runs",
        "!  port    hm",
        "   Health",
        "✗  ping    503 in 1.0 ms",
        "–  accept  no payload",  # noqa: RUF001
        "",
        "✗ The rule ping  ping",
        "  seen    503 in 1.0 ms",
        "  why     It matters.",
        "  change  Change it.",
        "  source  a page",
        "",
        "! The rule port  port",
        "  seen    hm",
        "  why     It matters.",
        "  change  Change it.",
        "  source  a page",
        "",
        "1 passed · 1 warned · 1 failed · 1 skipped · 2.00 s",
        "Not for: real time, serverless, asynchronous, batch, multi-model",
    ]


def test_many_rules_skipped_for_one_reason_are_one_line() -> None:
    skipped = [found(f"rule-{n}", Verdict.SKIP, "not ready") for n in range(9)]
    lines = printed(verdicts(found("serve", Verdict.FAIL, "exits"), *skipped))
    assert sum("not ready" in line for line in lines) == 1
    assert any("9 others" in line for line in lines)


def test_a_kind_that_an_image_is_not_is_said_once() -> None:
    lines = printed(verdicts(found("kind-multi-model", Verdict.WARN, "no label", "Capabilities")))
    assert lines[-2:] == ["1 lacking · 2.00 s", "Not for: multi-model"]
    assert not any("why" in line for line in lines)


def test_json_holds_everything() -> None:
    said = json.loads(as_json(MIXED))
    assert {key: said[key] for key in ("version", "image", "platform", "failed", "counts")} == {
        "version": 1,
        "image": "me:1",
        "platform": "linux/amd64",
        "failed": True,
        "counts": {"pass": 1, "warn": 1, "fail": 1, "skip": 1},
    }
    assert said["findings"][2] == {
        "rule": "ping",
        "section": "Health",
        "title": "The rule ping",
        "verdict": "fail",
        "seen": "503 in 1.0 ms",
        "why": "It matters.",
        "change": "Change it.",
        "source": "a page",
        "seconds": 0.5,
        "data": None,
        "log": "",
    }


def test_junit_has_a_case_for_every_rule() -> None:
    suite = ET.fromstring(as_junit(MIXED)).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert suite.attrib == {
        "name": "contract of me:1",
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "2.000",
    }
    cases = {case.get("name"): case for case in suite}
    assert cases["ping"].get("classname") == "contract.health"
    failure = cases["ping"].find("failure")
    assert failure is not None
    assert failure.get("message") == "503 in 1.0 ms"
    assert "change: Change it." in (failure.text or "")
    assert cases["accept"].find("skipped") is not None
    assert cases["port"].findtext("system-out", "").startswith("warning: hm")


def test_junit_says_that_an_image_ran_under_emulation() -> None:
    (suite,) = ET.fromstring(as_junit(replace(MIXED, emulated=True)))  # noqa: S314 - our own
    assert suite.get("name") == "contract of me:1 (emulated: time not judged)"


def test_junit_survives_what_a_container_logs() -> None:
    text = as_junit(verdicts(found("serve", Verdict.FAIL, "\x1b[31mno <model> & \x00")))
    (failure,) = ET.fromstring(text).iter("failure")  # noqa: S314 - our own
    assert failure.get("message") == "�[31mno <model> & �"


def test_a_check_that_was_cut_short_says_so_everywhere() -> None:
    whole = replace(
        verdicts(found("ping", Verdict.PASS)), cut_short=True, untried=[rule("sigterm")]
    )
    said = json.loads(as_json(whole))
    assert (said["cut_short"], said["untried"], said["fit"]) == (True, ["sigterm"], [])
    xml = as_junit(whole)
    assert 'name="cut_short" value="true"' in xml
    assert 'tests="2"' in xml
    assert "(cut short)" in xml
    assert "the check was cut short before it" in xml
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render(whole))
    assert "Cut short: a rule was not tried" in captured.get()
    assert json.loads(as_json(verdicts(found("ping", Verdict.PASS))))["cut_short"] is False
