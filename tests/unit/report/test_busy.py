"""Runs beside other work, and what is then not said."""

import io
from pathlib import Path

from rich.console import Console

from lab.busy import MachineUse
from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Against, FindingKind, Quantity, Severity
from lab.report.formats.markdown import to_markdown
from lab.report.formats.terminal import summary_table
from lab.report.page.html import render
from lab.report.summary import to_csv
from lab.spec import Phase, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script
from tests.unit.report.test_findings import with_phase
from tests.unit.report.test_rows import result

BUSY = MachineUse(
    wall_s=2, cpus=2, busy_s=4, others_s=3.2, steal_s=0, load=17, who=("cc1", "python3")
)
QUIET = BUSY.model_copy(update={"others_s": 0.1, "who": (), "load": 0.4})
ABOUT_TIME = set(FindingKind) - {
    FindingKind.BUSY,
    FindingKind.MEMORY,
    FindingKind.FAILURES,
    FindingKind.FEW_SAMPLES,
    FindingKind.CPU_CAPPED,
}


def beside(share: float) -> Script:
    """Fresh starts, of which so large a share had others beside them."""

    def edit(sample: Sample) -> Sample:
        use = BUSY if (sample.block % 10) < share * 10 else QUIET
        return sample.model_copy(update={"machine": use})

    return Script(kinds=(StartKind.FRESH,), edit=edit)


def test_no_ratio_no_advice_and_no_headline_rest_on_what_a_busy_machine_took() -> None:
    found = result(beside(1.0)).summary
    assert all(row.busy and row.disturbed == row.n == 10 for row in found.rows)
    assert [one for one in found.comparisons if one.quantity is Quantity.TOTAL] == []
    assert {one.against for one in found.comparisons} == {Against.BYTES}
    assert not {one.kind for one in found.findings} & ABOUT_TIME
    assert "busy" in found.headline.text
    assert "sooner" not in found.headline.text


def test_the_first_finding_says_in_how_many_trials_by_whom_and_what_to_do() -> None:
    first = result(beside(1.0)).summary.findings[0]
    assert first.kind is FindingKind.BUSY
    assert first.severity is Severity.SERIOUS
    assert first.title == "The machine was busy in 50 of 50 trials: figures of time say nothing"
    assert "others took 80 % of its 2 CPUs (cc1, python3)" in first.seen
    assert "Not judged: " in first.seen
    assert "run the plan again" in first.remedy


def test_a_few_disturbed_trials_are_told_and_medians_still_count() -> None:
    found = result(beside(0.3)).summary
    (told,) = [one for one in found.findings if one.kind is FindingKind.BUSY]
    assert told.severity is Severity.HINT
    assert told.title.endswith("medians bear it")
    assert not any(row.busy for row in found.rows)
    assert any(one.quantity is Quantity.TOTAL for one in found.comparisons)
    assert "sooner" in found.headline.text


def test_a_quiet_machine_and_one_of_which_nothing_is_known_are_not_spoken_of() -> None:
    for script in (beside(0.0), Script(kinds=(StartKind.FRESH,))):
        kinds = {one.kind for one in result(script).summary.findings}
        assert FindingKind.BUSY not in kinds
        assert FindingKind.IMPORTS_DOMINATE in kinds


def test_a_failure_by_the_clock_is_first_to_be_tried_again() -> None:
    def late(sample: Sample) -> Sample:
        bad = synthetic.failed(sample, FailureKind.NEVER_READY, "Not ready within 60 s.")
        return bad.model_copy(update={"machine": BUSY})

    found = result(Script(variants=("onnx",), kinds=(StartKind.FRESH,), edit=late)).summary
    (one,) = [each for each in found.findings if each.kind is FindingKind.FAILURES]
    assert "The machine was busy in 11 of them." in one.seen
    assert one.remedy.startswith("Run again when nothing else runs here")


def test_every_form_of_the_report_shows_it(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", beside(1.0))
    out = io.StringIO()
    Console(file=out, width=100).print(summary_table(folder))
    terminal = out.getvalue()
    assert "The machine was busy in 50 of 50 trials" in terminal
    assert " busy " in terminal
    for page in (to_markdown(result(beside(1.0))), render(result(beside(1.0)))):
        assert "The machine was busy in 50 of 50 trials" in page
        assert "sooner" not in page
    assert "10</data> beside other work" in render(result(beside(1.0)))
    assert to_csv(result(beside(0.3)).summary).splitlines()[0].count("disturbed") == 1


def test_a_start_that_waits_is_not_taken_for_a_phase_that_dominates() -> None:
    slow = with_phase(Phase.IMPORTS, 9.0)
    script = Script(
        kinds=(StartKind.FRESH,),
        edit=lambda sample: slow(sample).model_copy(update={"machine": BUSY}),
    )
    kinds = {one.kind for one in result(script).summary.findings}
    assert FindingKind.IMPORTS_DOMINATE not in kinds
