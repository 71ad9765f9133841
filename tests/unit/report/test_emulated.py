"""Times under QEMU: labelled where they are shown, and shown nowhere else.

The same run is drawn twice, the second time with every emulated second multiplied by a number of
its own. Whatever differs between the two reports is made of emulated seconds, wherever it stands.
"""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Against, FindingKind, Reached, Summary
from lab.observe.runs import readings as bench
from lab.observe.runs.readings import Reading
from lab.report.compare.runs import compare_runs
from lab.report.compare.runs_out import document, to_html
from lab.report.formats.terminal import summary_table
from lab.report.formats.write import write_report
from lab.report.rows import gather
from lab.report.summary import results, summarise
from lab.report.words import EMULATED_WHY
from lab.spec import FLOOR, Phase, Platform, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script
from tests.unit.report.test_rows import recorded

TIERS = ("2048", "3072")
KINDS = (StartKind.RESTART, StartKind.FRESH, StartKind.PULL)


def longer(sample: Sample) -> Sample:
    """Of no size that anything native has, and of none that another one has."""
    if sample.total_s is None:
        return sample
    slow = synthetic.scaled(sample, 900 + sample.trial)
    return slow.model_copy(
        update={
            "second_prediction_s": 700.0 + sample.trial,
            "throttled_seconds": 600.0 + sample.trial,
            "cpu_seconds": 500.0 + sample.trial,
            "peak_memory_bytes": 2_140_000_000,
            "probe_interval_s": 33.0,
        }
    )


def some_fail(edit: Callable[[Sample], Sample]) -> Callable[[Sample], Sample]:
    def spoil(sample: Sample) -> Sample:
        if sample.cell.variant == "onnx" and sample.block % 2:
            return synthetic.failed(
                sample, FailureKind.EARLY_EXIT, "qemu: signal 11", exit_code=139
            )
        return edit(sample)

    return spoil


def mixed(
    folder: Path, edit: Callable[[Sample], Sample] = lambda sample: sample, **more: Any
) -> Path:
    """Native x86-64 and emulated arm64 in one run."""
    native = Script(kinds=KINDS, tiers=TIERS, edit=drifting, **more)
    emulated = Script(
        kinds=KINDS,
        tiers=TIERS,
        platform=Platform.ARM64,
        emulated=True,
        seed=8,
        edit=some_fail(edit),
        **more,
    )
    return synthetic.write_run(folder, *synthetic.mixed(native, emulated))


def drifting(sample: Sample) -> Sample:
    """So that every rule that could look at all rows has something to say."""
    slow = synthetic.scaled(sample, 1 + sample.trial / 600)
    return synthetic.scaled(slow, 4.0) if sample.trial % 41 == 40 else slow


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    once, again = mixed(folder / "once"), mixed(folder / "again", longer)
    write_report(once)
    write_report(again)
    return once, again


def without(pattern: str, text: str) -> str:
    """The text less what the pattern matches, which must be there."""
    left, count = re.subn(pattern, "", text, flags=re.DOTALL)
    assert count == 1, pattern
    return left


def test_no_emulated_second_is_on_the_page_but_in_the_section_that_says_so(
    pair: tuple[Path, Path],
) -> None:
    section = r'<section id="emulated".*?</section>'
    once, again = ((folder / "report.html").read_text() for folder in pair)
    assert once != again
    assert without(section, once) == without(section, again)
    for text in (once, again):
        found = re.search(section, text, re.DOTALL)
        assert found
        assert "Emulated (QEMU)" in found[0]
        assert "p50, emulated" in found[0]


def test_nor_in_markdown(pair: tuple[Path, Path]) -> None:
    section = r"## Emulated \(QEMU\), in no other table\n.*?\n(?=## )"
    once, again = ((folder / "report.md").read_text() for folder in pair)
    assert once != again
    assert without(section, once) == without(section, again)


def test_nor_on_the_terminal(pair: tuple[Path, Path]) -> None:
    def printed(folder: Path) -> str:
        out = io.StringIO()
        Console(file=out, width=100).print(summary_table(folder))
        return out.getvalue()

    section = r"Emulated \(QEMU\).*?\n\s*\n"
    once, again = (printed(folder) for folder in pair)
    assert once != again
    assert without(section, once) == without(section, again)


def test_in_the_files_for_other_tools_every_emulated_row_is_labelled(
    pair: tuple[Path, Path],
) -> None:
    def native(folder: Path) -> tuple[dict[str, Any], list[str]]:
        document = json.loads((folder / "summary.json").read_text())
        document["rows"] = [row for row in document["rows"] if not row["emulated"]]
        head, *lines = (folder / "summary.csv").read_text().splitlines()
        place = head.split(",").index("emulated")
        return document, [line for line in lines if line.split(",")[place] == "False"]

    once, again = (native(folder) for folder in pair)
    assert once == again
    assert len(once[1]) == 5 * len(KINDS) * len(TIERS)


def test_in_prometheus_every_emulated_second_has_the_label(pair: tuple[Path, Path]) -> None:
    def told(folder: Path) -> list[Reading]:
        one = bench.read(folder)
        return [*bench.readings(one), *bench.trials(one)]

    def native(readings: list[Reading]) -> list[Reading]:
        # When a run ended is a time of day, not of a start.
        return [
            one
            for one in readings
            if one.labels.get("emulated") != "true"
            and one.name != "lab_bench_end_timestamp_seconds"
        ]

    once, again = (told(folder) for folder in pair)
    assert native(once) == native(again)
    emulated = [one for one in once if one.labels.get("emulated") == "true"]
    assert {one.labels["platform"] for one in emulated} == {"linux/arm64"}
    assert {"lab_bench_trial_start_seconds", "lab_bench_failures"} <= {one.name for one in emulated}


def test_a_plot_shows_native_rows_only(pair: tuple[Path, Path]) -> None:
    page = without(r'<section id="emulated".*?</section>', (pair[0] / "report.html").read_text())
    summary = Summary.model_validate_json((pair[0] / "summary.json").read_text())
    for place in re.findall(r'data-path="/rows/(\d+)/(?:total_s|phases_s|second)', page):
        assert not summary.rows[int(place)].emulated


def test_two_runs_are_compared_without_emulated_cells(tmp_path: Path) -> None:
    first = mixed(tmp_path / "first", blocks=6)
    second = mixed(tmp_path / "second", longer, blocks=6)
    found = compare_runs(summarise(first), summarise(second))
    assert {change.cell.platform for change in found.changes} == {Platform.AMD64}
    assert {cell.platform for cell in found.emulated} == {Platform.ARM64}
    out = io.StringIO()
    Console(file=out, width=100).print(document(found).to_terminal())
    for text in (document(found).to_markdown(), to_html(found), out.getvalue()):
        assert "Emulated, so not compared" in text


def test_failures_under_emulation_are_shown_and_told_apart(pair: tuple[Path, Path]) -> None:
    summary = summarise(pair[0]).summary
    failures = [one for one in summary.findings if one.kind is FindingKind.FAILURES]
    assert [one.title for one in failures] == [
        "onnx (linux/arm64, emulated): 30 of 66 trials failed (early exit)"
    ]
    assert "may be the image's or QEMU's" in failures[0].why
    page = (pair[0] / "report.html").read_text()
    assert "qemu: signal 11" in page
    section = page[page.index('<section id="emulated"') :]
    assert '<td class="no">' in section[: section.index("</section>")]


@pytest.mark.parametrize("stop_after", [None, 0])
def test_a_cell_that_never_answered_under_emulation_is_no_native_row(
    stop_after: int | None,
) -> None:
    script = Script(
        emulated=True,
        platform=Platform.ARM64,
        blocks=2,
        edit=lambda sample: synthetic.failed(sample, FailureKind.NEVER_READY, "no answer"),
        stop_after=stop_after,
    )
    assert all(one.row.emulated for one in gather(recorded(script)))


def test_the_same_platform_on_its_own_machine_is_native() -> None:
    script = Script(platform=Platform.ARM64, engine={"platform": "linux/arm64"}, stop_after=0)
    assert not any(one.row.emulated for one in gather(recorded(script)))


def test_wherever_emulated_rows_are_shown_it_is_said_why_they_are_apart(
    pair: tuple[Path, Path],
) -> None:
    for name in ("report.html", "report.md"):
        assert EMULATED_WHY in (pair[0] / name).read_text(), name


def test_the_finding_says_why_and_what_to_do(pair: tuple[Path, Path]) -> None:
    (one,) = (f for f in summarise(pair[0]).summary.findings if f.kind is FindingKind.EMULATED)
    assert one.title == "24 rows under emulation (QEMU)"
    assert one.seen == "linux/arm64 on an engine of linux/amd64: 264 trials, 30 of them failed."
    assert "by a factor that nobody knows" in one.why
    assert "lab report join" in one.remedy
    assert one.stake_s is None


def test_image_bytes_of_an_emulated_platform_count_in_full(pair: tuple[Path, Path]) -> None:
    summary = summarise(pair[0]).summary
    found = {
        (one.variant, one.quantity.value): one.ratio
        for one in summary.comparisons
        if one.against is Against.PLATFORM
    }
    assert len(found) == 2 * 5
    assert found["onnx-slim", "image_compressed_bytes"] == pytest.approx(0.96, abs=1e-3)
    (target,) = (one for one in summary.targets if one.id == "arm64")
    assert target.reached is Reached.YES
    page = (pair[0] / "report.html").read_text()
    table = page[page.index('<table id="sizes">') :]
    table = table[: table.index("</table>")]
    for variant in ("baseline", "slim", "onnx", "onnx-slim", FLOOR):
        assert f'<th scope="row">{variant}</th>' in table
    assert table.count("0.96x") >= 8
    assert "## Image sizes by platform" in (pair[0] / "report.md").read_text()


def test_an_image_that_outgrew_its_amd64_twin_misses_the_figure() -> None:
    native, emulated = Script(blocks=1), Script(platform=Platform.ARM64, emulated=True, blocks=1)
    run, samples = synthetic.mixed(native, emulated)
    heavy = [
        image.model_copy(update={"compressed_bytes": 70_000_000})
        if (image.variant, image.platform) == ("onnx-slim", Platform.ARM64)
        else image
        for image in run.images
    ]
    one = recorded()
    one = type(one)(
        folder=one.folder,
        run=run.model_copy(update={"images": heavy}),
        samples=samples,
        torn=0,
    )
    (target,) = (each for each in results(one).summary.targets if each.id == "arm64")
    assert target.reached is Reached.NO


def test_a_run_on_one_platform_has_no_table_of_platforms(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", Script(blocks=2))
    page = write_report(folder).read_text()
    assert 'id="sizes"' not in page
    assert "Image sizes by platform" not in (folder / "report.md").read_text()
    assert Phase.IMPORTS in page
