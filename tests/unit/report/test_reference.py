"""Whom a report is about: a user's image, and never what is measured beside it."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Against, Quantity, Summary
from lab.report.compare.runs import compare_runs
from lab.report.formats.terminal import summary_table
from lab.report.formats.write import write_report
from lab.report.join.collect import collect
from lab.report.join.write import write_join
from lab.report.recorded import Recorded
from lab.report.rows import references
from lab.report.study import published
from lab.report.summary import Results, results, summarise
from lab.spec import FLOOR, Phase, StartKind
from lab.stats.ratios import RatioVerdict
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script

MINE = "acme-srv-1"
IMAGE = "ghcr.io/acme/srv:1"
FRESH, PULL = StartKind.FRESH, StartKind.PULL
STUDY = re.compile(
    r"study|Graviton|UFRGS|thesis|VGG19|Figures to reach|arm64 on AWS|at least 6x", re.IGNORECASE
)

Edit = Callable[[Sample], Sample]


def with_model(sample: Sample) -> Sample:
    mine = sample.cell.variant == MINE
    model = "in-image" if mine else sample.cell.model
    return sample.model_copy(update={"cell": sample.cell.model_copy(update={"model": model})})


def own_run(
    *beside: str,
    kinds: Sequence[StartKind] = (FRESH, PULL),
    blocks: int = 6,
    edit: Edit = lambda sample: sample,
    inside: Mapping[str, Mapping[Phase, float]] = synthetic.INSIDE,
    plan: Mapping[str, Any] | None = None,
) -> Recorded:
    """``--image`` with ``--against`` what is beside it, whose imports are their largest phase."""
    script = Script(
        variants=(MINE, *beside, FLOOR),
        kinds=kinds,
        blocks=blocks,
        inside=inside,
        edit=lambda sample: edit(with_model(sample)),
    )
    run, samples = synthetic.make(script)
    cells = [
        (block, cell.model_copy(update={"model": "in-image"}) if cell.variant == MINE else cell)
        for block, cell in run.order
    ]
    told = {"own": {"image": IMAGE}} if plan is None else plan
    run = run.model_copy(update={"order": cells, "plan": {**run.plan, **told}})
    return Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0)


def written(folder: Path, recorded: Recorded) -> Mapping[str, str]:
    """The report's files, and what the terminal prints."""
    synthetic.write_run(folder, recorded.run, recorded.samples)
    write_report(folder)
    out = io.StringIO()
    Console(file=out, width=80).print(summary_table(folder))
    names = ("report.html", "report.md", "summary.json")
    return {"terminal": out.getvalue(), **{name: (folder / name).read_text() for name in names}}


def without_code(page: str) -> str:
    return re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)


def test_beside_a_users_image_the_lab_s_variants_are_references() -> None:
    rows = results(own_run("baseline", "onnx-slim")).summary.rows
    assert {row.variant: row.reference for row in rows} == {
        MINE: False,
        "baseline": True,
        "onnx-slim": True,
        FLOOR: True,
    }


@pytest.mark.parametrize(
    ("variants", "plan", "expected"),
    [
        ((MINE, "slim"), {"own": {"image": IMAGE}}, {"slim", FLOOR}),
        (("slim", "onnx"), {"own": None}, {FLOOR}),
        # A variant that the lab had when the run was made, and has no longer.
        (("slim", "onnx-old"), {"own": None}, {FLOOR}),
        # Runs of old, whose plans do not say.
        ((MINE, "slim"), {}, {"slim", FLOOR}),
        (("slim", "onnx"), {}, {FLOOR}),
    ],
)
def test_the_run_says_what_is_a_reference_or_it_is_told_by_the_names(
    variants: Sequence[str], plan: Mapping[str, Any], expected: set[str]
) -> None:
    run, _ = synthetic.make(Script(variants=(*variants, FLOOR), kinds=(FRESH,), blocks=1))
    run = run.model_copy(update={"plan": plan})
    assert {name for name in (*variants, FLOOR) if name in references(run)} == expected


def test_no_finding_names_or_counts_a_reference(tmp_path: Path) -> None:
    def spoil(sample: Sample) -> Sample:
        """Everything that a rule could object to, and at the references too."""
        if sample.block == 3:
            return synthetic.failed(sample, FailureKind.EARLY_EXIT, "It exited.", exit_code=1)
        if sample.cell.start_kind is PULL and sample.block > 4:
            return synthetic.skipped(sample, "no privileges")
        slow = synthetic.scaled(sample, 5.0 if sample.block == 5 else 1.0)
        return slow.model_copy(
            update={"peak_memory_bytes": 2_140_000_000, "throttled_seconds": 50.0}
        )

    recorded = own_run("baseline", "onnx-slim", blocks=8, edit=spoil)
    findings = results(recorded).summary.findings
    assert len(findings) > 5
    for one in findings:
        said = " ".join([one.title, one.seen, *one.cells])
        assert not re.search(rf"\b(baseline|onnx-slim|{FLOOR})\b", said), one
        assert "retinopathy" not in said
    told = written(tmp_path / "run", recorded)
    assert f"{MINE}: 2 of 14 trials failed" in told["report.md"]


def test_the_page_of_a_users_image_is_about_it_and_not_about_the_study(tmp_path: Path) -> None:
    told = written(tmp_path / "run", own_run("onnx-slim"))
    for name, text in told.items():
        found = STUDY.search(without_code(text))
        assert found is None, (name, found)
    assert Summary.model_validate_json(told["summary.json"]).targets == []
    page = told["report.html"]
    order = [page.index(f'id="{part}"') for part in ("headline", "time", "findings", "layers")]
    assert order == sorted(order) < [page.index('id="samples"')]
    assert page.index(f"inference-lab/{MINE}:amd64") < page.index('id="headline"')
    layers = page[page.index('id="layers"') :]
    assert layers.index(f"<b>{MINE}</b>") < layers.index("<b>onnx-slim</b>")
    assert page.count("<small>reference</small>") >= 2 * 2
    assert "onnx-slim (reference)" in told["report.md"]
    assert "Measured to compare with: onnx-slim, floor." in told["terminal"]


def test_what_the_study_measured_stands_where_a_run_repeats_it(tmp_path: Path) -> None:
    run, samples = synthetic.make()
    plain = Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0)
    for name, recorded in {
        "its plan, with an image of the user's": own_run("baseline", "slim", "onnx-slim"),
        "its plan": plain,
    }.items():
        told = written(tmp_path / name, recorded)
        for file in ("report.html", "report.md"):
            assert "Graviton over x86-64" in told[file], (name, file)
            assert "Figures to reach" in told[file], (name, file)


@pytest.mark.parametrize(
    ("variants", "model", "expected"),
    [
        (("slim", "onnx-slim"), "retinopathy-mobilenet", True),
        (("onnx-slim",), "retinopathy-vgg19", True),
        (("onnx-slim",), "my-model", False),
        ((MINE,), "retinopathy-mobilenet", False),
    ],
)
def test_a_run_of_another_model_or_image_repeats_no_study(
    variants: Sequence[str], model: str, *, expected: bool
) -> None:
    run, samples = synthetic.make(
        Script(variants=(*variants, FLOOR), models=(model,), kinds=(FRESH,), blocks=2)
    )
    recorded = Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0)
    assert published.repeated(results(recorded).summary.rows) is expected


def test_a_join_of_users_images_has_nothing_of_the_study(tmp_path: Path) -> None:
    runs = []
    for name in ("first", "second"):
        recorded = own_run("onnx-slim", kinds=(FRESH,))
        run = recorded.run.model_copy(update={"id": name})
        runs.append(str(synthetic.write_run(tmp_path / name, run, recorded.samples)))
    write_join(collect(runs), tmp_path / "join")
    for file in ("report.html", "report.md"):
        assert not STUDY.search(without_code((tmp_path / "join" / file).read_text()))


def comparison(found: Results, against: Against, kind: StartKind = FRESH) -> Any:
    return next(
        one for one in found.summary.comparisons if (one.against, one.start_kind) == (against, kind)
    )


def test_a_users_image_is_set_beside_each_reference_and_no_two_references_are() -> None:
    found = results(own_run("slim", "onnx-slim", kinds=(FRESH,)))
    totals = [
        (one.against, one.numerator, one.denominator)
        for one in found.summary.comparisons
        if one.quantity is Quantity.TOTAL and one.against is not Against.FLOOR
    ]
    assert totals == [
        (Against.REFERENCE, MINE, "slim"),
        (Against.REFERENCE, MINE, "onnx-slim"),
    ]
    sizes = [
        (one.numerator, one.denominator)
        for one in found.summary.comparisons
        if one.quantity is Quantity.COMPRESSED
    ]
    assert sizes == [(MINE, "slim"), (MINE, "onnx-slim")]


def test_an_image_that_never_started_leads_the_report_and_not_its_reference(
    tmp_path: Path,
) -> None:
    def dead(sample: Sample) -> Sample:
        mine = sample.cell.variant == MINE
        return synthetic.failed(sample, FailureKind.EARLY_EXIT, "Gone.") if mine else sample

    told = written(tmp_path / "run", own_run("onnx-slim", kinds=(FRESH,), edit=dead))
    assert f"No start of {MINE} succeeded: 7 trials failed." in told["report.html"]
    page = told["report.html"]
    assert page.index('<section id="findings"') < page.index('<section id="time"')
    assert re.search(rf"{MINE} +300 MB +0 ✗7 +failed", told["terminal"])


# --- no ratio where no difference is shown ------------------------------------------------------

ALIKE = dict(synthetic.INSIDE, slim=synthetic.INSIDE["onnx-slim"])
MINE_ALIKE = dict(synthetic.INSIDE, **{MINE: synthetic.INSIDE["onnx-slim"]})


def alike(blocks: int) -> Recorded:
    run, samples = synthetic.make(
        Script(variants=("slim", "onnx-slim", FLOOR), kinds=(FRESH,), blocks=blocks, inside=ALIKE)
    )
    return Recorded(folder=Path("nowhere"), run=run, samples=samples, torn=0)


@pytest.mark.parametrize(
    ("blocks", "verdict", "text"),
    [
        (4, RatioVerdict.UNKNOWN, r"Too few samples to tell \S+ and \S+ apart from a fresh"),
        (1, RatioVerdict.UNKNOWN, r"Too few samples to tell \S+ and \S+ apart from a fresh"),
        (10, RatioVerdict.SAME, r"No difference shown between \S+ and \S+ from a fresh"),
    ],
)
def test_where_no_difference_is_shown_nothing_says_a_ratio(
    tmp_path: Path, blocks: int, verdict: RatioVerdict, text: str
) -> None:
    recorded = alike(blocks)
    found = results(recorded)
    one = comparison(found, Against.SMALLEST)
    assert one.verdict is verdict
    assert re.match(text, found.summary.headline.text)
    assert "sooner" not in found.summary.headline.text
    told = written(tmp_path / "run", recorded)
    ratio = f"{one.ratio:.2f}x"
    assert ratio not in told["terminal"]
    assert verdict.value in told["terminal"]
    # On the page it stands only in the table, with what it shows beside it.
    page = told["report.html"]
    place = results(recorded).summary.comparisons.index(one)
    cells = page.split(f'data-path="/comparisons/{place}/ratio"')
    assert len(cells) == 2
    assert verdict.value in cells[1][: cells[1].index("</td>")]


@pytest.mark.parametrize(
    ("blocks", "text"),
    [(4, "Too few samples to tell it from onnx-slim ("), (10, "No difference shown from onnx-")],
)
def test_nor_of_a_users_image_beside_a_reference(blocks: int, text: str) -> None:
    recorded = own_run("onnx-slim", kinds=(FRESH,), blocks=blocks, inside=MINE_ALIKE)
    detail = results(recorded).summary.headline.detail
    assert text in detail
    assert "sooner" not in detail
    assert "later" not in detail


def test_the_interval_of_a_sentence_is_that_of_its_ratio() -> None:
    found = results(own_run("onnx-slim", kinds=(FRESH,)))
    one = comparison(found, Against.REFERENCE)
    assert one.ci95 is not None
    low, high = (f"{end:.2f}" for end in one.ci95)
    over = re.search(
        r"ready ([\d.]+)x later than onnx-slim .*: ([\d.]+) to ([\d.]+)x",
        found.summary.headline.detail,
    )
    assert over
    assert over[1] == f"{one.ratio:.2f}"
    # Turned, as the sentence is about the reference over the image.
    assert (f"{1 / one.ci95[1]:.2f}", f"{1 / one.ci95[0]:.2f}") == (over[2], over[3])
    assert (low, high) != (over[2], over[3])


def test_a_comparison_of_runs_tells_few_samples_from_no_difference(tmp_path: Path) -> None:
    runs = []
    for seed in (7, 8):
        script = Script(variants=("slim", "onnx-slim"), kinds=(FRESH,), blocks=2, seed=seed)
        runs.append(summarise(synthetic.write(tmp_path / str(seed), script)))
    text = compare_runs(*runs).text
    assert "0 show no difference" in text
    assert "2 have too few samples to tell" in text


# --- layers -------------------------------------------------------------------------------------


def test_markdown_has_every_layer_with_its_bytes_and_its_command(tmp_path: Path) -> None:
    recorded = own_run(kinds=(FRESH,))
    command = "RUN echo `date` | tee /built"
    images = []
    for image in recorded.run.images:
        first, *rest = image.layers
        layers = [first.model_copy(update={"created_by": command}), *rest]
        images.append(image.model_copy(update={"layers": layers}))
    run = recorded.run.model_copy(update={"images": images})
    text = written(tmp_path / "run", replace(recorded, run=run))["report.md"]
    section = text[text.index(f"### Layers of {MINE}, linux/amd64") :]
    assert "| made by | compressed | unpacked | share |" in section
    assert "| `` RUN echo `date` \\| tee /built `` | 186 MB | 521 MB | 62 % |" in section
    assert "| `COPY app /opt/program/app` | 9.0 MB | 25.2 MB | 3 % |" in section


def test_a_page_without_compressed_sizes_has_no_column_for_them(tmp_path: Path) -> None:
    for compressed in (True, False):
        script = Script(variants=(MINE, FLOOR), kinds=(FRESH,), compressed=compressed, blocks=2)
        folder = synthetic.write(tmp_path / str(compressed), script)
        page = write_report(folder).read_text()
        table = page[page.index(">made by<") :]
        head = table[: table.index("</thead>")]
        assert ("compressed" in head) is compressed
