import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from rich.console import Console

from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Finding, FindingKind, Severity
from lab.report.findings.texts import texts
from lab.report.formats import terminal
from lab.report.formats.markdown import to_markdown
from lab.report.page.html import render
from lab.report.summary import results
from lab.spec import Phase, Platform, StartKind
from lab.start.boot import Boot, CameUp, PingAnswer
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script
from tests.unit.report.test_rows import own_run, recorded, result

FRESH = StartKind.FRESH


def found(script: Script) -> Mapping[FindingKind, Finding]:
    findings = result(script).summary.findings
    return {one.kind: one for one in findings}


def changed(**more: Any) -> Callable[[Sample], Sample]:
    return lambda sample: sample.model_copy(update=more)


def with_phase(phase: Phase, seconds: float) -> Callable[[Sample], Sample]:
    def edit(sample: Sample) -> Sample:
        assert sample.total_s is not None
        more = seconds - sample.phases_s.get(phase, 0.0)
        return sample.model_copy(
            update={
                "phases_s": {**sample.phases_s, phase: seconds},
                "total_s": sample.total_s + more,
                "wall_s": sample.total_s + more,
            }
        )

    return edit


def test_every_kind_of_finding_has_its_text() -> None:
    assert {text.kind for text in texts().values()} == set(FindingKind)


def one_variant(**more: Any) -> Script:
    return Script(variants=("onnx",), kinds=(FRESH,), **more)


def test_a_healthy_quick_start_has_no_warning() -> None:
    calm = dict(synthetic.INSIDE, onnx={**synthetic.INSIDE["onnx"], Phase.IMPORTS: 0.08})
    findings = result(one_variant(inside=calm)).summary.findings
    assert [one for one in findings if one.severity is not Severity.HINT] == []


def test_imports_that_dominate_are_told_once_for_all_variants_worst_first() -> None:
    one = found(Script(kinds=(FRESH,)))[FindingKind.IMPORTS_DOMINATE]
    assert one.title.endswith("baseline, slim, onnx")
    assert one.stake_s == pytest.approx(2.61, rel=0.05)
    assert "imports take 2." in one.seen
    assert "later" in one.remedy


def test_a_slow_model_load_is_found() -> None:
    one = found(one_variant(edit=with_phase(Phase.MODEL_LOAD, 3.0)))
    assert one[FindingKind.MODEL_LOAD_DOMINATES].stake_s == pytest.approx(3.0)


def test_a_pull_that_dominates_names_the_largest_layer_and_the_link() -> None:
    one = found(Script(kinds=(StartKind.PULL,)))[FindingKind.PULL_DOMINATES]
    assert "pip install" in one.seen
    assert "of 1 Gbit/s" in one.seen
    assert one.stake_s == pytest.approx(23.4, rel=0.05)


def test_bytes_are_priced_by_least_squares() -> None:
    one = found(Script(kinds=(StartKind.PULL,), noise=0.0))[FindingKind.BYTES_AND_TIME]
    # 100 MB: 0.88 s at 1 Gbit/s and 10 % overhead, and 1.67 s to unpack at 60 MB/s.
    assert one.title.startswith("Each 100 MB of compressed image costs about 2.55 s")


def test_cpu_throttling_is_found_and_capped_by_the_start() -> None:
    one = found(one_variant(edit=changed(throttled_seconds=9.0)))[FindingKind.THROTTLED]
    assert one.stake_s is not None
    assert one.stake_s < 1.0
    assert "more memory" in one.remedy


def first_request(first_s: float) -> Callable[[Sample], Sample]:
    def edit(sample: Sample) -> Sample:
        slow = with_phase(Phase.FIRST_PREDICTION, first_s)(sample)
        return slow.model_copy(update={"second_prediction_s": 0.02})

    return edit


def test_a_lazy_model_is_found_by_its_second_prediction() -> None:
    one = found(one_variant(edit=first_request(4.0)))[FindingKind.LAZY_MODEL]
    assert one.stake_s == pytest.approx(3.98)
    assert "/ping" in one.remedy


def test_a_frameworks_warm_up_is_not_called_a_ping_before_the_model_was_ready() -> None:
    findings = found(one_variant(edit=first_request(1.0)))
    assert FindingKind.LAZY_MODEL not in findings
    one = findings[FindingKind.SLOW_FIRST_REQUEST]
    assert one.title.startswith("The first request was slow (framework warm-up): ")
    assert one.stake_s == pytest.approx(0.98)


def test_a_peak_near_the_tier_is_serious() -> None:
    limit = 2048 * 1024 * 1024
    near = found(one_variant(edit=changed(peak_memory_bytes=int(limit * 0.9))))
    assert near[FindingKind.MEMORY].severity is Severity.WARNING
    close = found(one_variant(edit=changed(peak_memory_bytes=int(limit * 0.97))))
    assert close[FindingKind.MEMORY].severity is Severity.SERIOUS
    assert FindingKind.MEMORY not in found(one_variant())


def test_a_tier_with_more_cpu_than_the_machine_is_named() -> None:
    script = Script(variants=("onnx",), kinds=(FRESH,), tiers=("1024", "6144"))
    one = found(script)[FindingKind.CPU_CAPPED]
    assert "3.47 vCPU" in one.seen
    assert all("6144" in cell for cell in one.cells)


def test_a_drift_over_the_whole_run_is_found() -> None:
    def slower(sample: Sample) -> Sample:
        return synthetic.scaled(sample, 1 + sample.trial / 300)

    one = found(Script(kinds=(FRESH,), edit=slower))[FindingKind.DRIFT]
    assert "slower" in one.title
    assert FindingKind.DRIFT not in found(Script(kinds=(FRESH,)))


def test_outliers_and_noise_are_told() -> None:
    def one_slow(sample: Sample) -> Sample:
        return synthetic.scaled(sample, 5.0) if sample.block == 5 else sample

    outlying = found(one_variant(edit=one_slow))[FindingKind.OUTLIERS]
    assert outlying.title == "1 outlier among the samples"
    noisy = found(one_variant(noise=0.4))[FindingKind.NOISE]
    assert noisy.severity is Severity.WARNING


def test_few_samples_are_told_with_what_they_reach() -> None:
    one = found(one_variant(blocks=4))[FindingKind.FEW_SAMPLES]
    assert "88 %" in one.seen
    assert FindingKind.FEW_SAMPLES not in found(one_variant(blocks=6))


def test_failures_are_grouped_by_variant_and_cause_and_come_first() -> None:
    def spoil(sample: Sample) -> Sample:
        if sample.cell.variant == "slim" and sample.block % 2:
            return synthetic.failed(
                sample, FailureKind.OOM, "Killed for memory.", exit_code=137, log_tail="a\nb\nlast"
            )
        return sample

    findings = result(Script(kinds=(FRESH,), edit=spoil)).summary.findings
    first = findings[0]
    assert first.kind is FindingKind.FAILURES
    assert first.title == "slim: 5 of 11 trials failed (oom)"
    assert "Exit code 137" in first.seen
    assert first.seen.endswith("a / b / last")


def test_a_failure_of_a_known_cause_brings_its_cure_and_names_the_command() -> None:
    def spoil(sample: Sample) -> Sample:
        if sample.cell.variant != "slim":
            return sample
        said = "The container exited with code 1: the Python module x is not in the image."
        return synthetic.failed(
            sample,
            FailureKind.EARLY_EXIT,
            said,
            cause="missing_module",
            cure="Install it.",
            log_tail="Traceback",
        )

    first = result(Script(kinds=(FRESH,), edit=spoil)).summary.findings[0]
    assert first.kind is FindingKind.FAILURES
    assert "the Python module x" in first.seen
    assert first.remedy.startswith("Install it. `lab contract check slim --model-data ")
    assert "--only serve` tries it on its own." in first.remedy


def test_findings_are_ordered_by_severity_then_by_seconds() -> None:
    findings = result().summary.findings
    order = [(list(Severity).index(one.severity), -(one.stake_s or 0.0)) for one in findings]
    assert order == sorted(order)


def test_skipped_kinds_are_told_with_their_reason() -> None:
    def skip(sample: Sample) -> Sample:
        pull = sample.cell.start_kind is StartKind.PULL
        return synthetic.skipped(sample, "no privileges") if pull else sample

    one = found(Script(edit=skip))[FindingKind.SKIPPED]
    assert one.title == "Not measured here: pull"
    assert "44 trials skipped: no privileges" in one.seen


def test_clock_doubts_are_told() -> None:
    script = one_variant(engine={"clock_offset_s": 0.2, "clock_error_s": 0.001})
    assert found(script)[FindingKind.CLOCK].stake_s == 0.2
    unsure = found(one_variant(engine={"clock_error_s": 0.0086}))[FindingKind.CLOCK]
    assert unsure.title == "The engine's clock is known to 8.6 ms only"
    assert "Synchronise" not in unsure.remedy
    torn = found(one_variant(edit=changed(wall_s=5.0)))[FindingKind.CLOCK]
    assert torn.severity is Severity.SERIOUS


def test_a_sample_that_is_known_no_better_is_not_called_torn() -> None:
    def off_by_half_its_error_bar(sample: Sample) -> Sample:
        wall_s = 1.02 * sum(sample.phases_s.values()) + 0.005
        return sample.model_copy(update={"wall_s": wall_s, "probe_interval_s": 0.01})

    assert FindingKind.CLOCK not in found(one_variant(edit=off_by_half_its_error_bar))


def test_emulation_is_told_and_its_noise_is_not() -> None:
    kinds = found(Script(emulated=True, platform=Platform.ARM64, blocks=2, noise=0.5))
    assert FindingKind.EMULATED in kinds
    assert not {FindingKind.FEW_SAMPLES, FindingKind.NOISE, FindingKind.PROBE} & set(kinds)


def test_processes_are_told_from_containers() -> None:
    assert FindingKind.NO_CONTAINER in found(one_variant(process=True))
    assert FindingKind.NO_CONTAINER not in found(one_variant())


def test_a_run_cut_short_says_how_to_go_on() -> None:
    one = found(Script(stop_after=50))[FindingKind.INCOMPLETE]
    assert "50 of 165 trials" in one.title
    assert "--resume 20261120T120501Z-default" in one.remedy


def test_a_foreign_image_is_told_how_to_show_its_phases() -> None:
    findings = results(own_run()).summary.findings
    one = next(one for one in findings if one.kind is FindingKind.BOOT_OPAQUE)
    assert "me-srv" in one.title
    assert "lab_startup" in one.remedy


def test_every_finding_says_what_why_and_what_to_do() -> None:
    scripts: Sequence[Script] = (Script(), Script(blocks=2), Script(process=True))
    for script in scripts:
        for one in result(script).summary.findings:
            assert one.title
            assert one.seen
            assert one.why
            assert one.remedy


def test_findings_survive_a_run_without_samples() -> None:
    assert recorded(Script(stop_after=0)).samples == []
    assert set(found(Script(stop_after=0))) == {FindingKind.INCOMPLETE}


FRONT = Boot(
    port_open_s=0.3,
    answers=(PingAnswer(status=502, from_s=0.3, until_s=59.8),),
    cpu_seconds=41.0,
    throttled_seconds=3.0,
    processes=(
        CameUp(name="nginx", count=3, first_s=0.1, last_s=0.1),
        CameUp(name="gunicorn", count=5, first_s=0.4, last_s=2.1),
    ),
)


def front(boot: Boot = FRONT, seconds: float = 59.8) -> Script:
    """Somebody's image, whose front server opens its port at once."""

    def edit(sample: Sample) -> Sample:
        longer = with_phase(Phase.BOOT, seconds)(sample)
        return longer.model_copy(update={"boot": boot})

    return Script(variants=("me-srv",), kinds=(FRESH,), edit=edit)


def test_a_start_behind_a_front_server_is_told_with_all_that_was_seen_of_it() -> None:
    one = found(front())[FindingKind.BOOT_OPAQUE]
    assert one.stake_s == pytest.approx(59.8)
    assert one.title == "59.8 s until /ping answers 200, in one phase: me-srv"
    assert (
        "port open after 300 ms; /ping answered 502 until 59.8 s; 41.0 s of CPU, 3.00 s throttled; "
        "came up: nginx x3 at 100 ms, gunicorn x5 at 400 ms to 2.10 s." in one.seen
    )
    assert "what stands behind it is (of 2 programs: nginx, gunicorn)" in one.remedy
    assert "About one core is busy all along" in one.remedy


def test_a_start_that_waits_is_told_from_one_that_computes() -> None:
    idle = FRONT.model_copy(update={"answers": (), "cpu_seconds": 1.0, "throttled_seconds": 0.0})
    assert "waits otherwise" in found(front(idle))[FindingKind.BOOT_OPAQUE].remedy
    held = FRONT.model_copy(update={"throttled_seconds": 40.0})
    assert "CPU quota holds it back" in found(front(held))[FindingKind.BOOT_OPAQUE].remedy
    unknown = found(front(Boot()))[FindingKind.BOOT_OPAQUE]
    assert unknown.remedy.startswith("Print the lab_startup line")


def test_every_form_of_the_report_shows_what_was_seen_and_the_cpu_seconds() -> None:
    shown = result(front())
    out = io.StringIO()
    Console(file=out, width=300).print(*terminal._boots([one.row for one in shown.native]))
    assert "boot of me-srv, fresh, 2048 MB: 59.8 s. port open after 300 ms" in out.getvalue()
    markdown = to_markdown(shown)
    assert "## Inside boot, as seen from outside" in markdown
    assert "/ping answered 502 until 59.8 s | 41.0 s | 3.00 s | nginx x3 at 100 ms" in markdown
    page = render(shown)
    assert 'data-path="/rows/0/boot/cpu_seconds" value="41.0"' in page
    assert 'data-path="/rows/0/cpu_s"' in page
    assert "gunicorn x5 at 400 ms to 2.10 s" in page


def test_long_unpacking_is_found_beside_a_start_that_is_longer_and_leads_to_the_advisor() -> None:
    def unpacks(sample: Sample) -> Sample:
        return with_phase(Phase.IMAGE_UNPACK, 34.0)(front().edit(sample))

    script = Script(variants=("me-srv",), kinds=(StartKind.PULL,), edit=unpacks)
    one = found(script)[FindingKind.PULL_DOMINATES]
    assert one.title.startswith("Getting the image takes 3")
    assert "Unpacking is the larger part" in one.remedy
    assert one.remedy.endswith("`lab images advise inference-lab/me-srv:amd64 --payload FILE`.")
    run, _ = synthetic.make(script)
    largest = max(run.images[0].layers, key=lambda layer: layer.compressed_bytes or 0)
    assert largest.created_by[:40] in one.seen


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (Phase.MODEL_FETCH, "Fetching the model is 20.0 s of a start: onnx"),
        (Phase.READY, "20.0 s pass between a loaded model and /ping 200: onnx"),
    ],
)
def test_no_phase_is_most_of_a_start_without_a_word(phase: Phase, said: str) -> None:
    titles = [
        one.title for one in result(one_variant(edit=with_phase(phase, 20.0))).summary.findings
    ]
    assert any(title.startswith(said[:20]) for title in titles), titles


def test_a_run_of_before_is_read_with_the_phases_of_now() -> None:
    (sample, *_) = synthetic.make(front())[1]
    old = sample.model_dump(mode="json", by_alias=True, exclude={"boot", "machine"})
    old["phases_s"] |= {"boot": 2.5, "ready": 59.5}
    read = Sample.model_validate_json(json.dumps(old))
    assert read.phases_s[Phase.BOOT] == 62.0
    assert Phase.READY not in read.phases_s
    assert (read.boot, read.machine, read.disturbed) == (None, None, False)
    old["phases_s"] = {"interpreter": 0.1, "ready": 0.2}
    assert Sample.model_validate_json(json.dumps(old)).phases_s[Phase.READY] == 0.2
