"""The screen of ``lab try``."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

from rich.console import Console

from lab.contract.firstlook import Answers, FirstLook
from lab.contract.model import Verdict
from lab.contract.reports.firstlook import render
from lab.images.sizes import LayerSize
from tests.unit.contract.makers import found, verdicts

SOUND = FirstLook(
    verdicts=verdicts(found("serve", Verdict.PASS), found("invocation", Verdict.PASS)),
    layers=[
        LayerSize(compressed_bytes=None, unpacked_bytes=9_000_000, created_by="RUN pip install x"),
        LayerSize(compressed_bytes=None, unpacked_bytes=1_000, created_by="COPY . ."),
    ],
    unpacked_bytes=9_001_000,
    ready_s=1.25,
    answers=Answers(first_s=0.4, later_s=0.02),
    peak_memory_bytes=50_000_000,
    untried=(),
)


def screen(look: FirstLook, payload: str | None = "dir/request.json") -> Sequence[str]:
    console = Console(file=StringIO(), width=120)
    console.print(render(look, payload=payload))
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_sound_image_is_told_in_figures_and_nothing_is_to_be_mended() -> None:
    said = "\n".join(screen(SOUND))
    assert "ready after 1.25 s" in said
    assert "400 ms, then 20.0 ms  to request.json" in said
    assert "9.0 MB unpacked in 2 layers  9.0 MB of it by RUN pip install x" in said
    assert "50.0 MB at its peak" in said
    assert "Nothing to mend among what was tried." in said


def test_the_first_broken_rule_comes_before_an_earlier_warning_and_the_others_are_named() -> None:
    look = replace(
        SOUND,
        verdicts=verdicts(
            found("entry-point", Verdict.WARN, "no entry point"),
            found("ping", Verdict.FAIL, "answered 500"),
            found("sigterm", Verdict.FAIL),
        ),
    )
    said = screen(look)
    at = said.index("Mend first")
    assert "The rule ping" in said[at + 1]
    assert "answered 500" in said[at + 2]
    assert "Not well either: sigterm, entry-point" in said


def test_an_image_that_does_not_start_is_not_said_to_answer_badly() -> None:
    look = replace(
        SOUND,
        ready_s=None,
        answers=None,
        verdicts=verdicts(found("serve", Verdict.FAIL), found("invocation", Verdict.SKIP)),
    )
    said = screen(look)
    assert any(line.startswith("✗  starts     no") for line in said)
    assert any("answers    not asked" in line for line in said)


def test_a_payload_that_is_refused_shows_with_what() -> None:
    look = replace(
        SOUND, answers=None, verdicts=verdicts(found("invocation", Verdict.FAIL, "415 in 2 ms"))
    )
    assert any(line.startswith("✗  answers    415 in 2 ms") for line in screen(look))


def test_what_the_minute_was_too_short_for_is_named() -> None:
    assert "too short to try sigterm, non-root" in "\n".join(
        screen(replace(SOUND, untried=("sigterm", "non-root")))
    )
