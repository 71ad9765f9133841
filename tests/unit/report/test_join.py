import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lab.cli.report import app
from lab.coldstart.record import Sample
from lab.errors import UsageError
from lab.report.compare.machines import machine_of, same_machine
from lab.report.formats.write import write_report
from lab.report.join.build import build, letter
from lab.report.join.collect import collect
from lab.report.join.model import Joined, Machines
from lab.report.join.words_out import to_terminal
from lab.report.join.write import write_join
from lab.report.summary import summarise
from lab.report.words import EMULATED_WHY
from lab.spec import Platform, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script
from tests.unit.report.test_emulated import longer, mixed, without

FRESH = StartKind.FRESH
GRAVITON = Script(
    id="20261121T100000Z-default",
    platform=Platform.ARM64,
    kinds=(FRESH, StartKind.PULL),
    seed=11,
    engine={"platform": "linux/arm64", "cpus": 4, "memory_bytes": 8_000_000_000},
    host={"machine": "aarch64", "cpu_model": "Neoverse-V1", "hostname": "graviton"},
    edit=lambda sample: synthetic.scaled(sample, 0.8),
)
DEMANDED = (FRESH, StartKind.ONDEMAND)
X86 = Script(kinds=(FRESH, StartKind.PULL))


def joined(*folders: Path) -> Joined:
    return build(collect([str(folder) for folder in folders]), join_id="join")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return synthetic.write(tmp_path / "x86", X86), synthetic.write(tmp_path / "arm", GRAVITON)


def printed(one: Joined) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(to_terminal(one))
    return out.getvalue()


def test_native_times_of_two_architectures_stand_side_by_side(pair: tuple[Path, Path]) -> None:
    found = joined(*pair)
    (quotient,) = (
        one for one in found.quotients if (one.variant, one.start_kind) == ("slim", FRESH)
    )
    assert quotient.machines is Machines.DIFFERENT
    assert quotient.platforms == (Platform.ARM64, Platform.AMD64)
    assert quotient.ratio == pytest.approx(0.8, rel=0.05)
    assert quotient.interval is not None
    assert quotient.interval[0] <= quotient.ratio <= quotient.interval[1]
    assert "2 runs of 2 machines, side by side: onnx-slim, fresh, takes" in found.headline.text
    assert "compares machines, not images" in found.headline.detail


def test_each_run_keeps_the_figures_and_the_host_that_it_has_alone(
    pair: tuple[Path, Path],
) -> None:
    found = joined(*pair)
    for member, folder in zip(found.runs, pair, strict=True):
        alone = summarise(folder)
        assert list(member.rows) == list(alone.summary.rows)
        assert list(member.comparisons) == list(alone.summary.comparisons)
        assert member.host == alone.recorded.run.host
    assert [member.machine for member in found.runs] == [
        "AMD EPYC 9R14, 2 CPUs, 25.0 GB, linux/amd64",
        "Neoverse-V1, 4 CPUs, 8.0 GB, linux/arm64",
    ]


def test_samples_are_not_pooled_even_of_one_machine(tmp_path: Path) -> None:
    first = synthetic.write(tmp_path / "first", Script(kinds=(FRESH,)))
    again = Script(id="20261120T130000Z-default", kinds=(FRESH,), seed=9)
    found = joined(first, synthetic.write(tmp_path / "again", again))
    assert [row.n for member in found.runs for row in member.rows] == [10] * 10
    assert {one.machines for one in found.quotients} == {Machines.SAME}
    assert "2 runs of 1 machine" in found.headline.text


def test_between_machines_nothing_is_called_a_ratio_of_images(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    _, page = write_join(collect([str(one) for one in pair]), tmp_path / "out")
    html, text = page.read_text(), (tmp_path / "out" / "report.md").read_text()
    section = html[html.index('<section id="time"') : html.index('<section id="ratios"')]
    captions = re.findall(r"<caption>(.*?)</caption>", section)
    assert captions
    assert all("different machines" in caption for caption in captions)
    assert "B over A<br>different machines" in section
    assert "It is no ratio of images." in section
    headings = [line for line in text.splitlines() if line.startswith("## fresh")]
    assert headings == ["## fresh · retinopathy-mobilenet · 2048 MB — different machines"]
    assert "B over A, different machines" in text
    assert "— different machines" in printed(joined(*pair))


def test_each_run_answers_for_its_own_ratios_of_images(pair: tuple[Path, Path]) -> None:
    found = joined(*pair)
    for member in found.runs:
        row = {(one.variant, one.start_kind): one.total_s.p50 or 0.0 for one in member.rows}
        for one in member.comparisons:
            if one.start_kind and one.numerator == "baseline":
                expected = row["baseline", one.start_kind] / row[one.denominator, one.start_kind]
                assert one.ratio == expected


def test_a_pull_over_another_link_is_not_divided(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    file = pair[1] / "run.json"
    text = file.read_text()
    file.write_text(text.replace('"bandwidth_bits_per_s":1000000000', '"bandwidth_bits_per_s":5'))
    assert file.read_text() != text
    assert {one.start_kind for one in joined(*pair).quotients} == {FRESH}


def test_nor_is_a_start_on_demand_whose_chunks_took_longer(tmp_path: Path) -> None:
    scripts = [Script(id=f"2026112{day}T000000Z-default", kinds=DEMANDED) for day in (0, 1)]
    here, there = (synthetic.write(tmp_path / one.id, one) for one in scripts)
    assert {one.start_kind for one in joined(here, there).quotients} == set(DEMANDED)
    file = there / "run.json"
    text = file.read_text()
    file.write_text(text.replace('"chunk_latency":0.0005', '"chunk_latency":0.002'))
    assert file.read_text() != text
    assert {one.start_kind for one in joined(here, there).quotients} == {FRESH}


def test_processes_are_not_divided_by_containers(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    bare = Script(id="20261122T000000Z-default", kinds=(FRESH,), process=True, compressed=False)
    found = joined(pair[0], synthetic.write(tmp_path / "bare", bare))
    assert found.quotients == []
    _, page = write_join(collect([str(pair[0]), str(tmp_path / "bare")]), tmp_path / "out")
    assert "no container" in page.read_text()


def test_emulated_seconds_stand_beside_nothing(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    def files(name: str, edit: Callable[[Sample], Sample]) -> tuple[str, str, dict[str, Any], str]:
        folder = mixed(tmp_path / name / "x86", edit)
        one, page = write_join(collect([str(folder), str(pair[1])]), tmp_path / name / "join")
        document = json.loads((page.parent / "join.json").read_text())
        document["made_at"] = ""
        for member in document["runs"]:
            member["rows"] = [row for row in member["rows"] if not row["emulated"]]
        text = (page.parent / "report.md").read_text()
        return page.read_text(), text, document, printed(one)

    once = files("once", lambda sample: sample)
    again = files("again", longer)
    section = r'<section id="emulated".*?</section>'
    assert once[0] != again[0]
    assert without(section, once[0]) == without(section, again[0])
    section = r"## Emulated \(QEMU\), in no other table\n.*?\n(?=## )"
    assert without(section, once[1]) == without(section, again[1])
    assert once[2:] == again[2:]
    assert all(EMULATED_WHY in text for text in once[:2])
    assert "30 rows ran under emulation" in once[3]


def test_an_emulated_arm64_is_not_set_beside_a_native_one(tmp_path: Path) -> None:
    emulated = Script(platform=Platform.ARM64, emulated=True, kinds=(FRESH,), blocks=6)
    folders = (
        synthetic.write(tmp_path / "qemu", emulated),
        synthetic.write(tmp_path / "arm", GRAVITON),
    )
    found = joined(*folders)
    assert found.quotients == []
    assert "no start was measured natively in more than one" in found.headline.text


def test_image_bytes_are_compared_across_runs(pair: tuple[Path, Path]) -> None:
    sizes = {one.variant: one for one in joined(*pair).sizes}
    one = sizes["onnx-slim"]
    assert one.amd64 is not None
    assert one.arm64 is not None
    assert (one.amd64.run, one.arm64.run) == ("A", "B")
    assert one.compressed == pytest.approx(0.96, abs=1e-3)


def test_the_folder_holds_all_that_is_needed_to_check_it(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    torn = pair[1] / "samples.jsonl"
    torn.write_bytes(torn.read_bytes() + b'{"schema": 1, "tri\xc3')
    one, page = write_join(collect([str(folder) for folder in pair]), tmp_path / "out")
    assert {path.name for path in page.parent.iterdir()} == {
        *("join.json", "report.md", "report.html", "inputs")
    }
    copies = sorted((page.parent / "inputs").iterdir())
    assert [copy.name for copy in copies] == [
        "A-20261120T120501Z-default",
        "B-20261121T100000Z-default",
    ]
    assert (copies[1] / "samples.jsonl").read_bytes() == torn.read_bytes()
    assert list(joined(*copies).quotients) == list(one.quotients)
    text = (page.parent / "join.json").read_text()
    assert Joined.model_validate_json(text).to_json() == text
    for foreign in ("http://", "https://", "src=", "@import", "url("):
        assert foreign not in page.read_text()


def test_the_command_makes_a_new_folder_beside_the_runs(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    for _ in range(2):
        done = CliRunner().invoke(app, ["join", *map(str, pair)], catch_exceptions=False)
        assert done.exit_code == 0
        assert "B over A" in done.output
    made = list((tmp_path / "home" / "runs").iterdir())
    assert len(made) == 2
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-join(-2)?", one.name) for one in made)


def other_schema(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / name
        lines = file.read_text().replace('"schema":1', '"schema":2,"new":true', 1)
        file.write_text(lines if name == "run.json" else lines.replace(',"new":true', ""))

    return edit


def no_run(folder: Path) -> None:
    (folder / "run.json").unlink()


def a_join(folder: Path) -> None:
    (folder / "join.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "neither a run's id nor a folder"),
        (no_run, "has no run.json"),
        (a_join, "itself a join"),
        (other_schema("run.json"), r"run\.json is of schema 2, and this lab reads schema 1"),
        (other_schema("samples.jsonl"), r"samples\.jsonl, line 1 is of schema 2"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_the_reason(
    pair: tuple[Path, Path], spoil: Callable[[Path], None], message: str
) -> None:
    spoil(pair[1])
    with pytest.raises(UsageError, match=message):
        collect([str(one) for one in pair])


def test_one_run_is_no_join(pair: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="two runs or more, not 1"):
        collect([str(pair[0])])


def test_the_same_run_twice_is_refused_also_as_a_copy_made_before_it_went_on(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pair[0], copy)
    lines = (copy / "samples.jsonl").read_text().splitlines()
    (copy / "samples.jsonl").write_text("\n".join(lines[:20]) + "\n")
    for second in (pair[0], copy):
        with pytest.raises(UsageError, match="is there twice"):
            collect([str(pair[0]), str(second)])


def test_a_runs_own_report_is_never_overwritten(pair: tuple[Path, Path]) -> None:
    before = write_report(pair[0]).read_bytes()
    with pytest.raises(UsageError, match="holds a run"):
        write_join(collect([str(one) for one in pair]), pair[0])
    assert (pair[0] / "report.html").read_bytes() == before


def test_two_machines_of_one_type_are_two_machines() -> None:
    one, _ = synthetic.make(Script(host={"hostname": "first"}, stop_after=0))
    twin, _ = synthetic.make(Script(host={"hostname": "second"}, stop_after=0))
    later, _ = synthetic.make(
        Script(host={"hostname": "first", "memory_bytes": 24_900_000_000}, stop_after=0)
    )
    assert not same_machine(one, twin)
    assert same_machine(one, later)
    assert machine_of(one) == "AMD EPYC 9R14, 2 CPUs, 25.0 GB, linux/amd64"


def test_a_comparison_of_two_machines_says_so(pair: tuple[Path, Path], tmp_path: Path) -> None:
    script = Script(kinds=(FRESH,), host={"cpu_model": "Xeon"}, id="20261122T000000Z-default")
    other = synthetic.write(tmp_path / "other", script)
    out = tmp_path / "compared"
    command = ["compare", str(pair[0]), str(other), "--out", str(out)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "different machines" in done.output
    for name in ("compare.html", "compare.md"):
        assert "different machines" in (out / name).read_text()


def test_runs_have_letters_and_after_z_numbers() -> None:
    assert [letter(place) for place in (0, 1, 25, 26)] == ["A", "B", "Z", "R27"]
