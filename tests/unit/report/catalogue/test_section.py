"""The sizes of a model in a run's report."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lab import paths
from lab.coldstart.catalogue import Binding
from lab.coldstart.record import FailureKind, ModelRecord, Sample
from lab.coldstart.summary import Summary, read_summary
from lab.report.catalogue.out import document, rounded, table
from lab.report.catalogue.plot import plots
from lab.report.formats.terminal import summary_table
from lab.report.formats.write import write_report
from lab.spec import FLOOR, Phase, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import MB, Script

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SECONDS_PER_ITEM: Mapping[Phase, float] = {
    Phase.MODEL_FETCH: 3e-6,
    Phase.MODEL_LOAD: 1e-6,
    Phase.FIRST_PREDICTION: 0.5e-6,
}
GROWS = 4.5e-6
BYTES_PER_ITEM = 1_200
TURNS = 60_000
"""Items at which what grows comes to what does not, in what ``grown`` makes."""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "recommender_niser"
    folder.mkdir(parents=True)
    (folder / "model.py").touch()
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")


def items_of(sample: Sample) -> int:
    return int(sample.cell.model.rpartition("-")[2])


def grown(sample: Sample) -> Sample:
    """Affine in its items, so that the start turns at 60,000 of them; a third of GB at the most."""
    items = items_of(sample)
    grows = {
        phase: 0.01 + SECONDS_PER_ITEM[phase] * items * (1 + sample.block * 1e-3)
        for phase in SECONDS_PER_ITEM
    }
    rest = {Phase.CREATE: 0.02, Phase.START: 0.15, Phase.INTERPRETER: 0.02, Phase.IMPORTS: 0.11}
    phases = {**rest, **grows}
    total = sum(phases.values())
    return sample.model_copy(
        update={
            "phases_s": phases,
            "total_s": total,
            "peak_memory_bytes": 60 * MB + BYTES_PER_ITEM * items,
        }
    )


SCRIPT = Script(
    variants=("onnx-slim", FLOOR),
    kinds=(StartKind.FRESH,),
    models=[f"recommender-niser-{size}" for size in SIZES],
    tiers=("host",),
    blocks=6,
    edit=grown,
)


def written(folder: Path, script: Script = SCRIPT) -> Path:
    run, samples = synthetic.make(script)
    archives = [
        ModelRecord(name=f"recommender-niser-{size}", archive="onnx", sha256="", bytes=400 * size)
        for size in SIZES
    ]
    synthetic.write_run(folder, run.model_copy(update={"models": archives}), samples)
    write_report(folder)
    return folder


def summary_of(folder: Path, script: Script = SCRIPT) -> Summary:
    return read_summary(written(folder, script))


def printed(folder: Path) -> str:
    """The section as a terminal of ordinary width has it."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    _, _, section = console.export_text().partition("recommender-niser · onnx-slim")
    return section.partition("onnx-slim, fresh: up to")[0]


def cells(summary: Summary) -> Sequence[Mapping[str, str]]:
    found = table(summary.catalogues[0], summary.rows)
    lines = [re.split(r" \| ", line.strip("| ")) for line in found.to_markdown().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_every_size_has_a_line_with_what_it_costs(tmp_path: Path) -> None:
    lines = cells(summary_of(tmp_path / "run"))
    assert [line["items"] for line in lines] == ["1,000", "10,000", "100,000", "1,000,000"]
    assert [line["archive"] for line in lines] == ["400 kB", "4.0 MB", "40.0 MB", "400 MB"]
    assert [line["peak"] for line in lines] == ["61.2 MB", "72.0 MB", "180 MB", "1.3 GB"]
    assert [line["fits from"] for line in lines] == [*["1024 MB"] * 3, "2048 MB"]
    assert [line["of it"] for line in lines] == ["6 %", "7 %", "17 %", "59 %"]
    assert {line["image"] for line in lines} == {"61.0 MB"}
    assert lines[-1]["fetch"] == "3.02 s"
    assert lines[-1]["load"] == "1.01 s"
    assert " to " in lines[-1]["interval"]


def test_the_sentence_says_where_it_turns_and_what_more_items_cost(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run")
    found = document(summary)
    assert found is not None
    turn = summary.catalogues[0].crossing
    assert turn is not None
    assert turn.binding is Binding.CROSSES
    assert turn.items == pytest.approx(TURNS, rel=0.01)
    assert None not in (turn.low, turn.items, turn.high)
    assert (turn.low or 0) < (turn.items or 0) < (turn.high or 0)
    assert turn.per_item_s == pytest.approx(GROWS, rel=0.01)
    assert (
        "up to 60,000 items (60,000 to 60,000, at 94 %) a start is bound by engine" in found.answer
    )
    assert "each 100,000 items add 452 ms" in found.answer


def test_page_markdown_and_terminal_have_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    page = (folder / "report.html").read_text()
    section = re.search(r'<section id="catalogue".*?</section>', page, re.DOTALL)
    assert section is not None
    assert "60,000 items" in section[0]
    assert ">2048 MB<" in section[0]
    assert section[0].count('class="pt"') == 2 * len(SIZES) + 1  # and where they cross
    markdown = (folder / "report.md").read_text()
    assert "## By catalogue size" in markdown
    assert "| 1,000,000 |" in markdown
    said = printed(folder)
    assert "…" not in said
    assert re.search(r"1,000,000 +400 MB +3\.02 s +1\.01 s +512 ms +4\.85 s +1\.3 GB", said)


def test_two_sizes_are_no_catalogue_and_neither_is_a_model_without_sizes(tmp_path: Path) -> None:
    two = replace(SCRIPT, models=SCRIPT.models[:2])
    assert document(summary_of(tmp_path / "two", two)) is None
    plain = Script(blocks=2, kinds=(StartKind.FRESH,))
    folder = written(tmp_path / "plain", plain)
    assert not read_summary(folder).catalogues
    assert 'id="catalogue"' not in (folder / "report.html").read_text()


def in_tiers(sample: Sample) -> Sample:
    """The largest is killed in 1024 MB, and starts in 2048."""
    made = grown(sample)
    if sample.cell.tier == "1024" and items_of(sample) == SIZES[-1]:
        return synthetic.failed(made, FailureKind.OOM, "killed", exit_code=137)
    return made


def test_what_was_seen_in_a_memory_size_counts_before_the_peak(tmp_path: Path) -> None:
    def frugal(sample: Sample) -> Sample:
        """Its peak says 1024 MB, and there it was killed."""
        return in_tiers(sample).model_copy(update={"peak_memory_bytes": 900 * MB})

    tiers = replace(SCRIPT, tiers=("1024", "2048"), blocks=3)
    lines = cells(summary_of(tmp_path / "run", replace(tiers, edit=in_tiers)))
    assert [line["seen"] for line in lines] == [*["✓ 1024"] * 3, "✗ 1024 ✓ 2048"]
    assert "…" not in printed(tmp_path / "run")
    lines = cells(summary_of(tmp_path / "frugal", replace(tiers, edit=frugal)))
    assert lines[-1]["fits from"] == "2048 MB"


def test_a_peak_of_files_pages_gives_way_to_a_start_in_less(tmp_path: Path) -> None:
    def wasteful(sample: Sample) -> Sample:
        return grown(sample).model_copy(update={"peak_memory_bytes": 1_200 * MB})

    script = replace(SCRIPT, tiers=("1024", "2048"), blocks=3, edit=wasteful)
    assert {line["fits from"] for line in cells(summary_of(tmp_path / "run", script))} == {
        "1024 MB"
    }


def test_a_size_that_serverless_inference_has_not_is_no_answer(tmp_path: Path) -> None:
    lines = cells(summary_of(tmp_path / "run", replace(SCRIPT, tiers=("512", "2048"), blocks=3)))
    assert {line["seen"] for line in lines} == {"✓ 512"}
    assert {line["fits from"] for line in lines} == {"1024 MB"}


def test_what_no_memory_size_holds_is_said(tmp_path: Path) -> None:
    def huge(sample: Sample) -> Sample:
        return grown(sample).model_copy(update={"peak_memory_bytes": 7_000 * MB})

    lines = cells(summary_of(tmp_path / "run", replace(SCRIPT, edit=huge)))
    assert lines[0]["fits from"] == "over 6144"


@pytest.mark.parametrize(("factor", "binding"), [(0.01, Binding.REST), (1000.0, Binding.TABLE)])
def test_where_it_does_not_turn_within_what_was_measured_that_is_said(
    factor: float, binding: Binding, tmp_path: Path
) -> None:
    def other(sample: Sample) -> Sample:
        made = grown(sample)
        phases = {
            phase: seconds * (factor if phase in SECONDS_PER_ITEM else 1.0)
            for phase, seconds in made.phases_s.items()
        }
        return made.model_copy(update={"phases_s": phases, "total_s": sum(phases.values())})

    summary = summary_of(tmp_path / "run", replace(SCRIPT, edit=other))
    found, turn = document(summary), summary.catalogues[0].crossing
    assert turn is not None
    assert turn.binding is binding
    assert found is not None
    assert "is not within what was measured" in found.answer
    assert [one.marks[-1].look for one in plots(summary.catalogues)] == ["every"]


def test_times_that_say_nothing_turn_nowhere(tmp_path: Path) -> None:
    def outside(sample: Sample) -> Sample:
        """Nothing is known of what is inside the container."""
        total = sample.total_s or 0.0
        return sample.model_copy(update={"phases_s": {Phase.BOOT: total}})

    summary = summary_of(tmp_path / "run", replace(SCRIPT, edit=outside))
    assert summary.catalogues[0].crossing is None
    assert plots(summary.catalogues) == []
    told = document(summary)
    assert told is not None
    assert "is not known" in told.answer


@pytest.mark.parametrize(
    ("items", "words"), [(83_412, "83,000"), (1_049_999, "1,000,000"), (950, "950"), (4, "4")]
)
def test_an_interpolated_size_has_two_figures(items: float, words: str) -> None:
    assert rounded(items) == words
