import errno
import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lab.cli.report import app
from lab.coldstart.folder import RunFolder
from lab.coldstart.record import FailureKind, Sample
from lab.coldstart.summary import Summary
from lab.errors import DiskFullError, UsageError
from lab.report.compare.runs import compare_runs
from lab.report.compare.runs_out import document, to_html
from lab.report.formats.terminal import summary_table
from lab.report.formats.write import write_report
from lab.report.recorded import load
from lab.report.study import published
from lab.report.summary import summarise
from lab.runfiles import write_whole
from lab.spec import FLOOR, Phase, Platform, StartKind
from lab.stats.ratios import RatioVerdict
from tests.timing import quickest
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script


def spoil(sample: Sample) -> Sample:
    if sample.cell.variant == "slim" and sample.trial % 3 == 0:
        return synthetic.failed(sample, FailureKind.EARLY_EXIT, "It exited.", exit_code=1)
    if sample.cell.start_kind is StartKind.DISKCOLD:
        return synthetic.skipped(sample, "the page cache may not be dropped here")
    return sample


def printed(folder: Path, *, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary_table(folder))
    return out.getvalue()


EVERY_SHAPE = {
    "healthy": Script(),
    "on demand": Script(kinds=(StartKind.ONDEMAND, StartKind.PULL), blocks=4),
    "failures and skipped kinds": Script(
        kinds=(StartKind.FRESH, StartKind.DISKCOLD), edit=spoil, blocks=6
    ),
    "no container": Script(process=True, compressed=False, blocks=6),
    "emulated": Script(emulated=True, platform=Platform.ARM64, blocks=2),
    "a single sample": Script(blocks=1),
    "nothing but warm-up": Script(blocks=0),
    "empty": Script(stop_after=0),
    "cut short": Script(stop_after=40),
    "foreign": Script(variants=("me-srv-1.2", "onnx-slim", FLOOR), blocks=4),
    "alone": Script(variants=("me-srv-1.2",), kinds=(StartKind.FRESH,)),
    "floor alone": Script(variants=(FLOOR,), kinds=(StartKind.FRESH,), blocks=2),
    "without compressed sizes": Script(compressed=False, blocks=3),
    "all failed": Script(
        edit=lambda sample: synthetic.failed(sample, FailureKind.ENGINE, "<gone> & lost"), blocks=1
    ),
    "study": Script(
        models=("retinopathy-mobilenet", "retinopathy-vgg19"),
        tiers=("1024", "2048", "3072"),
        kinds=(StartKind.FRESH,),
        blocks=6,
    ),
}


@pytest.mark.parametrize("shape", EVERY_SHAPE)
def test_a_run_of_any_shape_gets_all_its_files(shape: str, tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", EVERY_SHAPE[shape])
    page = write_report(folder)
    assert page == folder / "report.html"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("run.json", "samples.jsonl"),
        *("summary.json", "summary.csv", "report.md", "report.html"),
    }
    assert printed(folder)


def test_summary_json_can_be_read_back(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run")
    write_report(folder)
    text = (folder / "summary.json").read_text()
    document = synthetic.as_json(folder / "summary.json")
    assert document["schema"] == 1
    assert list(document) == [
        *("schema", "run", "headline", "rows", "comparisons", "targets", "findings"),
        "catalogues",
    ]
    row = document["rows"][0]
    assert row["total_s"]["p50_ci95"][0] <= row["total_s"]["p50"] <= row["total_s"]["p50_ci95"][1]
    assert set(row["phases_s"]) <= {phase.value for phase in Phase}
    assert Summary.model_validate_json(text).to_json() == text


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    page = write_report(synthetic.write(tmp_path / "run")).read_text()
    for foreign in ("http://", "https://", "src=", "@import", "url("):
        assert foreign not in page
    assert len(page) < 400_000


def test_what_a_user_names_cannot_become_markup(tmp_path: Path) -> None:
    def hostile(sample: Sample) -> Sample:
        return synthetic.failed(
            sample, FailureKind.EARLY_EXIT, "<script>alert(1)</script>", log_tail="</style><b>"
        )

    page = write_report(synthetic.write(tmp_path / "run", Script(edit=hostile))).read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count("</style>") == 1


def test_a_report_is_written_within_five_seconds(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", EVERY_SHAPE["study"])
    assert quickest(lambda: write_report(folder), times=2) < 5


def test_every_title_says_that_there_was_no_container(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", Script(process=True, compressed=False))
    page = write_report(folder).read_text()
    for tag in ("h2", "caption", "figcaption"):
        titles = [part.split(f"</{tag}>")[0] for part in page.split(f"<{tag}")[1:]]
        told = [title for title in titles if "How to read this" not in title]
        silent = [title for title in told if "no container" not in title]
        # The published study did use containers.
        theirs = ("Images", "Serverless cold starts", "Warm serverless", "published, not measured")
        assert all(any(one in title for one in theirs) for title in silent), silent
    headings = [
        line for line in (folder / "report.md").read_text().splitlines() if line.startswith("#")
    ]
    ours = [line for line in headings if "published, not measured" not in line]
    assert all("no container" in line for line in ours)
    assert printed(folder, width=120).count("no container") >= 2


def test_markdown_tables_have_as_many_cells_in_each_row(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run")
    write_report(folder)
    for block in (folder / "report.md").read_text().split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_the_terminals_table_fits_80_columns(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run")
    text = printed(folder)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text
    assert "onnx-slim is ready 10.1x sooner" in text
    assert "at least 6x" in text


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", Script(stop_after=10))
    file = folder / "samples.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    found = load(folder)
    assert (len(found.samples), found.torn) == (9, 1)
    assert "cut off" in summarise(folder).summary.findings[0].seen


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", Script(stop_after=10))
    file = folder / "samples.jsonl"
    lines = file.read_text().splitlines()
    lines[3] = '{"schema": 1}'
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match=r"samples\.jsonl, line 4: trial"):
        load(folder)


def test_a_trial_measured_again_replaces_the_first(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run", Script(stop_after=3))
    file = folder / "samples.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[1]]) + "\n")
    assert [sample.trial for sample in load(folder).samples] == [0, 2, 1]


def test_a_run_is_found_by_id_path_and_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    folder = synthetic.write(tmp_path / "runs" / "20261120T120501Z-default", Script(stop_after=1))
    (tmp_path / "runs" / "latest").symlink_to(folder.name)
    for name in ("latest", str(folder), folder.name):
        assert RunFolder.find(name).path == folder
    with pytest.raises(UsageError, match="20261120T120501Z-default"):
        RunFolder.find("nonsense")


def test_where_there_is_no_run_the_remedy_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="lab coldstart run smoke"):
        RunFolder.find("latest")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    write_whole(target, "old")

    def full(_: Path, __: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFullError, match="disk"):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def two_runs(tmp_path: Path, second: Script) -> tuple[Path, Path]:
    first = synthetic.write(tmp_path / "first", Script(kinds=(StartKind.FRESH,)))
    return first, synthetic.write(tmp_path / "second", second)


def test_two_runs_are_compared_cell_by_cell(tmp_path: Path) -> None:
    def slower(sample: Sample) -> Sample:
        return synthetic.scaled(sample, 1.3) if sample.cell.variant == "slim" else sample

    first, second = two_runs(tmp_path, Script(kinds=(StartKind.FRESH,), seed=8, edit=slower))
    found = compare_runs(summarise(first), summarise(second))
    verdicts = {one.cell.variant: one.verdict for one in found.changes}
    assert verdicts.pop("slim") is RatioVerdict.DIFFERENT
    assert set(verdicts.values()) == {RatioVerdict.SAME}
    slim = next(one for one in found.changes if one.cell.variant == "slim")
    assert slim.ratio == slim.second_s / slim.first_s
    assert found.differences == []
    assert "1 got slower" in found.text
    assert "slower" in document(found).to_markdown()
    assert "Nothing that was recorded" in to_html(found)


def test_what_differs_between_runs_is_named(tmp_path: Path) -> None:
    first, second = two_runs(
        tmp_path,
        Script(
            kinds=(StartKind.FRESH,),
            variants=("slim", "onnx"),
            engine={"name": "Docker Engine 28.0"},
        ),
    )
    found = compare_runs(summarise(first), summarise(second))
    assert [(one.what, one.second) for one in found.differences if "engine" in one.what] == [
        ("engine name", "Docker Engine 28.0")
    ]
    assert len(found.only_first) == 3


def test_conditions_that_differ_are_told_with_their_units(tmp_path: Path) -> None:
    host = {"memory_bytes": 8_000_000_000}
    first, second = two_runs(tmp_path, Script(kinds=(StartKind.FRESH,), host=host))
    file = second / "run.json"
    told = file.read_text()
    file.write_text(
        told.replace('"bandwidth_bits_per_s":1000000000', '"bandwidth_bits_per_s":null')
    )
    found = compare_runs(summarise(first), summarise(second)).differences
    assert {(one.what, one.first, one.second) for one in found} == {
        ("bandwidth", "1 Gbit/s", "—"),
        ("host memory", "25.0 GB", "8.0 GB"),
    }


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (Script(kinds=(StartKind.RESTART,)), "no measured cell in common"),
        (Script(kinds=(StartKind.FRESH,), stop_after=0), "no cell with samples"),
        (Script(kinds=(StartKind.FRESH,), process=True), "plain processes"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    tmp_path: Path, script: Script, message: str
) -> None:
    first, second = two_runs(tmp_path, script)
    with pytest.raises(UsageError, match=message):
        compare_runs(summarise(first), summarise(second))


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    first = synthetic.write(tmp_path / "first")
    with pytest.raises(UsageError, match="itself"):
        compare_runs(summarise(first), summarise(first))


def test_the_command_makes_the_report_again_and_prints_it(tmp_path: Path) -> None:
    folder = synthetic.write(tmp_path / "run")
    done = CliRunner().invoke(app, [str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "onnx-slim is ready" in done.output
    assert (folder / "report.html").is_file()


def test_the_command_compares_into_a_folder_of_choice(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path, Script(kinds=(StartKind.FRESH,), seed=8))
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["compare", str(first), str(second), "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert {path.name for path in out.iterdir()} == {"compare.html", "compare.md"}
    assert not (second / "compare.html").exists()


def test_an_unknown_run_is_a_users_error() -> None:
    with pytest.raises(UsageError):
        CliRunner().invoke(app, ["no-such-run"], catch_exceptions=False)


def test_the_published_figures_are_those_of_the_study() -> None:
    images = published.IMAGES
    assert images[0].compressed_bytes / images[2].compressed_bytes == pytest.approx(3.477, abs=1e-3)
    cold = {(one.model, one.memory_mb): one.cold_total_s for one in published.SERVERLESS}
    assert cold[published.MOBILENET, 2048] == 12.479
    assert len(cold) == 6


def test_published_ratios_stand_beside_ours(tmp_path: Path) -> None:
    summary = summarise(synthetic.write(tmp_path / "run", EVERY_SHAPE["study"])).summary
    found = published.beside(summary)
    memory = next(one for one in found if "1024 MB over 2048" in one.what)
    assert memory.published == pytest.approx(1.656, abs=1e-3)
    assert memory.ours is not None
    image = next(one for one in found if one.ours_is == "baseline / slim, fresh")
    assert (image.published, image.ours is not None) == (1.2864, True)
    assert next(one for one in found if "pull" in one.ours_is).ours is None
